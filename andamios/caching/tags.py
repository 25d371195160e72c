"""
Tags: names for parts of the data, on which answers depend and which writes touch.

==================  ==================================================================
``t:users``         the table as a whole: touched by every write to it
``t:users:7``       one row: touched by a write that names this row by its key
``t:users:*``       unknown rows: touched by every write that does not name its rows
``*``               everything: touched by ``clear()`` and by writes in plain text
``any``             touched by every write: for reads with parts in plain text
==================  ==================================================================

A list of users depends on ``t:users``. User 7 depends on ``t:users:7`` and ``t:users:*``, so
that a write to user 8 leaves it alone. Everything depends on ``*``.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import NoReferenceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ForeignKey, MetaData

__all__ = [
    "ANY_WRITE",
    "EVERYTHING",
    "cascaded",
    "everything_beside",
    "row_tag",
    "rows_tag",
    "table_tag",
]

EVERYTHING = "*"
ANY_WRITE = "any"

CASCADES = {"CASCADE", "SET NULL", "SET DEFAULT"}


def everything_beside(name: str) -> str:
    """Give the name of everything in the namespace of a tag's name, ``namespace|tag``."""
    return f"{name.partition('|')[0]}|{EVERYTHING}"


def table_tag(table: str) -> str:
    """Name a table as a whole; ``table`` is its full name, with its schema if it has one."""
    return f"t:{table}"


def rows_tag(table: str) -> str:
    """Name whichever rows of a table."""
    return f"t:{table}:*"


def row_tag(table: str, key: Sequence[Any]) -> str | None:
    """
    Name one row.

    Returns:
        The tag; None for keys of other types than int and UUID, of which a database may
        find equal what Python does not ('A' and 'a').
    """
    if not key or not all(type(part) is int or isinstance(part, uuid.UUID) for part in key):
        return None
    return f"t:{table}:{','.join(map(str, key))}"


def cascaded(metadata: MetaData, table: str, action: str) -> set[str]:
    """
    Find the tables in which the database itself changes rows along with those of ``table``.

    Args:
        metadata: Where the tables are described.
        table: The one that is written.
        action: ``ondelete`` or ``onupdate``.

    Returns:
        Full names of tables that refer to it with CASCADE, SET NULL or SET DEFAULT, and of
        those that refer to them.
    """
    found: set[str] = set()
    waiting = [(table, action)]
    while waiting:
        target, how = waiting.pop()
        for other in metadata.tables.values():
            for key in other.foreign_keys:
                rule = (getattr(key, how) or "").upper()
                if rule in CASCADES and _target(key) == target and other.fullname not in found:
                    found.add(other.fullname)
                    # A row that loses its reference is updated, whatever began it.
                    waiting += [(other.fullname, "ondelete"), (other.fullname, "onupdate")]
    return found


def _target(key: ForeignKey) -> str:
    """Name the table that a key refers to, with a schema that only its metadata names."""
    try:
        return key.column.table.fullname
    except NoReferenceError:
        return key.target_fullname.rpartition(".")[0]
