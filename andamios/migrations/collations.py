"""
Collations of SQLite, which SQLAlchemy does not read back.

To change a table, Alembic reads it, copies it and drops the old one. A long decimal is a TEXT
that compares as a number because of its collation (:mod:`andamios.core.sqlite_types`);
without it the copy would put 10 before 9.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, Text, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Inspector

__all__ = ["keeping_collations"]

DECIMAL = "andamios_decimal"


@contextmanager
def keeping_collations() -> Iterator[None]:
    """Read long decimals back with their collation for the length of a block."""
    event.listen(Table, "column_reflect", _add_collation)
    try:
        yield
    finally:
        event.remove(Table, "column_reflect", _add_collation)


def _add_collation(inspector: Inspector, table: Table, column: Any) -> None:
    if inspector.dialect.name == "sqlite" and isinstance(column["type"], Text):
        name = rf'["`\[]?{re.escape(column["name"])}["`\]]?'
        if re.search(rf'(?<!\w){name}\s+TEXT\s+COLLATE\s+"?{DECIMAL}\b', _source(inspector, table)):
            column["type"] = Text(collation=DECIMAL)


def _source(inspector: Inspector, table: Table) -> str:
    connection = inspector.bind
    if not isinstance(connection, Connection):
        return ""
    query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
    return str(connection.exec_driver_sql(query, (table.name,)).scalar())
