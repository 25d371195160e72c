"""The indexes that a table has, so that none is offered again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable

    from andamios.queries.indexes.candidates import Candidate

__all__ = ["existing_indexes", "is_covered"]

PARTIAL = ("postgresql_where", "sqlite_where", "mysql_length", "mariadb_length")


def existing_indexes(connection: sa.Connection, table: sa.Table) -> list[tuple[str | None, ...]]:
    """Give the columns of each index and key of a table; those of a part of its rows are empty."""
    inspector = sa.inspect(connection)
    found: dict[tuple[str | None, ...], None] = {}
    key = inspector.get_pk_constraint(table.name, table.schema)
    found[tuple(key["constrained_columns"])] = None
    for unique in inspector.get_unique_constraints(table.name, table.schema):
        found[tuple(unique["column_names"])] = None
    partial = 0
    for index in inspector.get_indexes(table.name, table.schema):
        options = index.get("dialect_options", {})
        if any(options.get(name) for name in PARTIAL):
            partial += 1
        else:
            found[tuple(index["column_names"])] = None
    return [columns for columns in found if columns] + [()] * partial


def is_covered(candidate: Candidate, existing: Iterable[tuple[str | None, ...]]) -> bool:
    """Whether an index begins with the columns; of mixed directions, the planner judges."""
    names = candidate.names
    return not candidate.is_mixed and any(names == columns[: len(names)] for columns in existing)
