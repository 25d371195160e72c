"""What MySQL and MariaDB need to behave like the others: UTC, and transactions that only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["connect_args", "prepare"]


def connect_args() -> dict[str, Any]:
    """Give the arguments for the driver; the command runs once a connection."""
    return {"init_command": "SET time_zone = '+00:00'"}


def prepare(engine: AsyncEngine) -> None:
    """Register what an engine on MySQL needs."""
    event.listen(engine.sync_engine, "begin", _begin)
    dialect = engine.sync_engine.dialect

    def name_mariadb(_connection: Any, _record: Any) -> None:
        # A mysql:// URL may lead to MariaDB, whose collations and types have names of
        # their own; SQLAlchemy chooses them by the dialect's name.
        if getattr(dialect, "is_mariadb", False):
            dialect.name = "mariadb"

    event.listen(engine.sync_engine, "connect", name_mariadb)


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("andamios_read_only"):
        connection.exec_driver_sql("START TRANSACTION READ ONLY")

