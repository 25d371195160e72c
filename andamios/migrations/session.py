"""
The session settings of a migrating connection, and how they are taken back.

PostgreSQL and MySQL: how long a statement waits for a lock. While ALTER TABLE waits, everybody
who comes later waits behind it, so that it had better give up and be tried again.

SQLite: foreign keys are off, since changing a table there means copying it and dropping
the old one, which would delete the rows that refer to it (sqlite.org, "ALTER TABLE", 7). The
connection is closed afterwards.
:func:`check_references` looks before each commit whether they still hold.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from andamios.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.engine import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.core.engine import AndamiosEngine

__all__ = ["broken_references", "check_references", "migrating_connection"]


@asynccontextmanager
async def migrating_connection(
    engine: AndamiosEngine, *, lock_timeout: float, patience: float
) -> AsyncIterator[AsyncConnection]:
    """
    Take a connection out of the pool and give it the settings for DDL.

    Args:
        engine: The database.
        lock_timeout: How long a statement waits for a lock on a server, in seconds.
        patience: How long SQLite waits for another writer, in seconds.
    """
    before, after = _settings(engine.backend, lock_timeout, patience)
    async with engine.connections.acquire() as connection:
        if engine.backend == "sqlite":
            # Closed when it comes back: a cancellation could leave foreign keys off.
            (await connection.get_raw_connection()).invalidate(soft=True)
        await _set(connection, before)
        try:
            yield connection
        finally:
            await connection.rollback()
            await _set(connection, after)


def _settings(backend: str, lock_timeout: float, patience: float) -> tuple[list[str], list[str]]:
    milliseconds, seconds = max(round(lock_timeout * 1000), 1), max(round(lock_timeout), 1)
    if backend == "postgresql":
        return [f"SET lock_timeout = {milliseconds}"], ["RESET lock_timeout"]
    if backend == "sqlite":
        return (
            ["PRAGMA foreign_keys=OFF", f"PRAGMA busy_timeout={round(patience * 1000)}"],
            [],
        )
    names = ("lock_wait_timeout", "innodb_lock_wait_timeout")
    return (
        [f"SET SESSION {name} = {seconds}" for name in names],
        [f"SET SESSION {name} = DEFAULT" for name in names],
    )


async def _set(connection: AsyncConnection, statements: list[str]) -> None:
    if connection.dialect.name == "sqlite":
        # The pragma does nothing inside a transaction, and SQLAlchemy would begin one.
        raw: Any = (await connection.get_raw_connection()).driver_connection
        for statement in statements:
            await (await raw.execute(statement)).close()
        return
    for statement in statements:
        await connection.execute(text(statement))
    await connection.commit()


def broken_references(connection: Connection) -> set[tuple[Any, ...]]:
    """Find the rows of a SQLite database that refer to nothing; empty on servers."""
    if connection.dialect.name != "sqlite":
        return set()
    return {tuple(row) for row in connection.exec_driver_sql("PRAGMA foreign_key_check")}


def check_references(connection: Connection, before: set[tuple[Any, ...]]) -> None:
    """
    Refuse a migration that leaves rows without what they refer to.

    Args:
        connection: The migrating one.
        before: What was broken already.

    Raises:
        MigrationError: More is broken now.
    """
    new = broken_references(connection) - before
    if new:
        tables = sorted({str(row[0]) for row in new})
        raise MigrationError(
            f"Foreign keys of {', '.join(tables)} no longer hold: {len(new)} rows refer to "
            "something that is not there"
        )
