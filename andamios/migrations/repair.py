"""
Invalid indexes: what a CREATE INDEX CONCURRENTLY leaves behind on PostgreSQL when it fails.

The name is taken then, so that the next attempt fails, or with IF NOT EXISTS does nothing
at all (PostgreSQL, "Building Indexes Concurrently"). Just before such an index is
created, an invalid one of its name is dropped. Plain text passed to ``op.execute`` is not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Index, text
from sqlalchemy.schema import CreateIndex

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

__all__ = ["drop_invalid"]

# One that is being built right now is not valid either.
IS_INVALID = text(
    "SELECT true FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid AND "
    "indexrelid NOT IN (SELECT index_relid FROM pg_stat_progress_create_index)"
)


def drop_invalid(connection: Connection, statement: Any) -> None:
    """Drop the invalid index whose name a concurrent CREATE INDEX is about to use."""
    index = statement.element if isinstance(statement, CreateIndex) else None
    if not isinstance(index, Index) or connection.dialect.name != "postgresql":
        return
    if not index.dialect_options["postgresql"]["concurrently"]:
        return
    name = _quoted(connection, index)
    if connection.scalar(IS_INVALID, {"name": name}):
        connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))


def _quoted(connection: Connection, index: Index) -> str:
    quote = connection.dialect.identifier_preparer.quote
    schema = index.table.schema if index.table is not None else None
    return ".".join(quote(part) for part in (schema, index.name) if part)
