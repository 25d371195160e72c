"""The indexes that a table has, so that none is offered again, and no name twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from andamios.queries.indexes.candidates import Candidate

__all__ = ["ExistingIndexes", "existing_indexes", "free_name", "is_covered"]

PARTIAL = ("postgresql_where", "sqlite_where", "mysql_length", "mariadb_length")

MYSQL_NAMES = (
    "SELECT index_name FROM information_schema.statistics "
    "WHERE table_name = :name AND table_schema = coalesce(:schema, database())"
)
NAMES = {
    "sqlite": "SELECT name FROM sqlite_master",
    "postgresql": "SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = "
    "(SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = to_regclass(:quoted))",
    "mysql": MYSQL_NAMES,
    "mariadb": MYSQL_NAMES,
}
"""The names that an index of a table cannot have: MySQL's belong to the table, others do not."""


@dataclass(frozen=True, slots=True)
class ExistingIndexes:
    """
    What is there already.

    Args:
        columns: The columns of each index and key; those of a part of its rows are empty.
        names: The names that another index cannot have, in small letters.
    """

    columns: list[tuple[str | None, ...]]
    names: frozenset[str]


def existing_indexes(connection: sa.Connection, table: sa.Table) -> ExistingIndexes:
    """Look which indexes and keys a table has."""
    quoted = connection.dialect.identifier_preparer.format_table(table)
    names = connection.scalars(
        sa.text(NAMES[connection.dialect.name]),
        {"name": table.name, "schema": table.schema, "quoted": quoted},
    )
    taken = frozenset(name.lower() for name in names)
    return ExistingIndexes(_columns(connection, table), taken)


def _columns(connection: sa.Connection, table: sa.Table) -> list[tuple[str | None, ...]]:
    inspector = sa.inspect(connection)
    found: dict[tuple[str | None, ...], None] = {}
    key = inspector.get_pk_constraint(table.name, table.schema)
    found[tuple(key["constrained_columns"])] = None
    for unique in inspector.get_unique_constraints(table.name, table.schema):
        found[tuple(unique["column_names"])] = None
    partial = 0
    for index in inspector.get_indexes(table.name, table.schema):
        options = index.get("dialect_options", {})
        if any(options.get(name) is not None for name in PARTIAL):
            partial += 1
        else:
            found[tuple(index["column_names"])] = None
    return [columns for columns in found if columns] + [()] * partial


def free_name(name: str, taken: Collection[str], longest: int) -> str:
    """
    Give the name, or if it is taken, the first free one with a number behind it.

    Args:
        name: As it should be.
        taken: In small letters.
        longest: Characters that a name may have.
    """
    found, number = name, 1
    while found.lower() in taken:
        number += 1
        suffix = f"_{number}"
        found = name[: longest - len(suffix)] + suffix
    return found


def is_covered(candidate: Candidate, existing: Iterable[tuple[str | None, ...]]) -> bool:
    """Whether an index begins with the columns; of mixed directions, the planner judges."""
    names = candidate.names
    return not candidate.is_mixed and any(names == columns[: len(names)] for columns in existing)
