"""How SQLAlchemy writes an upsert on each backend; what conflicts is the email."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import mysql, postgresql, sqlite

from benchmarks.speed.schema import DATA

__all__ = ["upsert"]


def upsert(backend: str, table: Any) -> Any:
    """Build the statement, for a table or a mapped class."""
    changed = [name for name in DATA if name != "email"]
    if backend == "mysql":
        statement = mysql.insert(table)
        return statement.on_duplicate_key_update(
            {name: statement.inserted[name] for name in changed}
        )
    other: Any = (postgresql if backend == "postgresql" else sqlite).insert(table)
    return other.on_conflict_do_update(
        index_elements=["email"], set_={name: other.excluded[name] for name in changed}
    )
