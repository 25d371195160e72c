"""
Isolation levels, ordered by what they forbid, and what databases mean by their names.

The order is that of A. Adya, *Weak Consistency: A Generalized Theory and Optimistic
Implementations for Distributed Transactions* (MIT, 1999): PL-1, PL-2, PL-SI, PL-2.99 and PL-3.
Snapshot isolation and PL-2.99 cannot be compared in general; they can be here, where nothing
is read by a predicate, so that PL-2.99 forbids all that PL-3 does.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Level", "level_of"]


class Level(IntEnum):
    """
    What a level promises; a higher one forbids all that a lower one does.

    Example:
        >>> Level.SNAPSHOT > level_of("READ COMMITTED")
        True
        >>> str(Level.READ_COMMITTED)
        'READ COMMITTED'
    """

    READ_UNCOMMITTED = 1
    """PL-1: no G0. What is wrong even here is wrong at every level."""
    READ_COMMITTED = 2
    """PL-2: no G1."""
    SNAPSHOT = 3
    """PL-SI: no G-single, hence no lost update, no G-nonadjacent; write skew (G2) is allowed."""
    REPEATABLE_READ = 4
    """PL-2.99: no G2 of rows that were read by key."""
    SERIALIZABLE = 5
    """PL-3."""

    def __str__(self) -> str:
        return self.name.replace("_", " ")


_INNODB = {"REPEATABLE READ": Level.READ_COMMITTED}
_MEANT = {
    # Its own words: "Repeatable Read" is snapshot isolation, "Read Uncommitted" is Committed.
    "postgresql": {
        "READ UNCOMMITTED": Level.READ_COMMITTED,
        "REPEATABLE READ": Level.SNAPSHOT,
    },
    # Reads are of a snapshot and writes are not, so that updates get lost between them.
    "mysql": _INNODB,
    # So too, unless innodb_snapshot_isolation is on, which is SNAPSHOT.
    "mariadb": _INNODB,
    "sqlite": dict.fromkeys(("READ COMMITTED", "REPEATABLE READ"), Level.SERIALIZABLE),
}


def level_of(isolation: str, database: str | None = None) -> Level:
    """
    Tell what a database promises at a level.

    Args:
        isolation: The level's name in SQL, or `SNAPSHOT`, which is what MariaDB's REPEATABLE
            READ is with `innodb_snapshot_isolation`.
        database: `postgresql`, `mysql`, `mariadb` or `sqlite`, with or without a driver as in
            `mysql+asyncmy`; None is what Adya says that the standard means.

    Raises:
        ValueError: There is no such level or database.

    Example:
        >>> level_of("REPEATABLE READ", "postgresql"), level_of("REPEATABLE READ", "mysql")
        (<Level.SNAPSHOT: 3>, <Level.READ_COMMITTED: 2>)
    """
    name = isolation.upper().replace("_", " ")
    if name not in map(str, Level):
        raise ValueError(
            f"no isolation level {isolation!r}; there are: {', '.join(map(str, Level))}"
        )
    if database is None:
        return Level[name.replace(" ", "_")]
    dialect = database.partition("+")[0]
    if dialect not in _MEANT:
        raise ValueError(f"no levels are known of {database!r}; known are: {', '.join(_MEANT)}")
    return _MEANT[dialect].get(name) or Level[name.replace(" ", "_")]
