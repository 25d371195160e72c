"""Whose a file or a table is: the tour replaces its own, and refuses to touch any other."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from andamios.errors import ConfigurationError
from andamios.tour.models import TourModel

if TYPE_CHECKING:
    from pathlib import Path

    from andamios.core.engine import AndamiosEngine

__all__ = ["require_own_file", "require_own_tables"]


def require_own_file(file: Path) -> None:
    """
    Let a file pass that is not there, is empty, or has only the tour's tables.

    Raises:
        ConfigurationError: It is somebody's.
    """
    if not file.exists() or (file.is_file() and file.stat().st_size == 0):
        return
    try:
        # An ordinary connection, which finishes what a process that died left in the log.
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True)) as connection:
            found = connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view', 'trigger')"
            )
            others = sorted({str(name) for (name,) in found} - set(TourModel.metadata.tables))
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"{file} is no SQLite database that can be read ({error}), and the tour does not "
            "replace what is not its own. Choose another file with --database-url."
        ) from error
    if others:
        raise ConfigurationError(
            f"{file} has {others[0]!r} in it, and the tour replaces only a file of its own. "
            "Choose another file with --database-url."
        )


async def require_own_tables(engine: AndamiosEngine) -> None:
    """
    Let a database pass whose tables of the tour's names, if any, have the tour's columns.

    Raises:
        ConfigurationError: A table is somebody else's.
    """
    async with engine.connections.acquire() as connection:
        foreign = await connection.run_sync(_foreign_table)
    if foreign is not None:
        raise ConfigurationError(
            f"The database has a table {foreign!r} that is not the tour's. Rename it, or choose "
            "another database with --database-url."
        )


def _foreign_table(connection: Any) -> str | None:
    inspector = inspect(connection)
    tables = TourModel.metadata.tables
    for name in sorted(set(tables) & set(inspector.get_table_names())):
        if {column["name"] for column in inspector.get_columns(name)} != set(tables[name].c.keys()):
            return name
    return None
