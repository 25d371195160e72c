"""
Who may migrate: one deployer a database, and one user of Alembic's global names a process.

On PostgreSQL and MySQL an advisory lock is held on a connection of its own, outside of
any transaction: CREATE INDEX CONCURRENTLY would otherwise wait for the very deployers that
wait for it. For the same reason it is asked for again and again instead of waited for.
SQLite needs none: each migration reads the version inside the write lock it runs in.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import text

from andamios.core.poolers import is_pooled
from andamios.errors import ConnectionFailedError, MigrationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.core.engine import AndamiosEngine

__all__ = ["alembic_alone", "only_deployer"]

PAUSE = 0.2
"""Seconds between two attempts."""

# PostgreSQL's locks belong to a database, MySQL's to the server.
STATEMENTS = {
    "postgresql": (
        "SELECT pg_try_advisory_lock(hashtext('andamios'), hashtext('migrations'))",
        "SELECT pg_advisory_unlock(hashtext('andamios'), hashtext('migrations'))",
    ),
    "mysql": ("SELECT GET_LOCK(:name, 0)", "SELECT RELEASE_LOCK(:name)"),
}
STATEMENTS["mariadb"] = STATEMENTS["mysql"]

_alembic = threading.Lock()


@asynccontextmanager
async def alembic_alone() -> AsyncIterator[None]:
    """Have ``alembic.op``, which is one object for the whole process, to oneself."""
    # Other loops and threads may hold it, so that a lock of asyncio would not do.
    while not _alembic.acquire(blocking=False):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        _alembic.release()


@asynccontextmanager
async def only_deployer(engine: AndamiosEngine, patience: float) -> AsyncIterator[None]:
    """
    Be the only one who migrates this database for the length of a block.

    Args:
        engine: The database.
        patience: How long to wait for another one, in seconds.

    Raises:
        MigrationError: The other one took longer, or no lock can be held behind a pooler.
    """
    if engine.backend == "sqlite":
        yield
        return
    async with engine.connections.acquire() as plain:
        if is_pooled(plain.dialect):
            raise MigrationError(
                "Behind a pooler such as PgBouncer each transaction may be on another "
                "connection, so that no deployer can hold a lock. Migrate with PostgreSQL's own "
                "address."
            )
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        await _take(connection, engine, patience)
        try:
            yield
        finally:
            with suppress(ConnectionFailedError):  # a lock goes with its connection
                await _run(connection, engine, STATEMENTS[engine.backend][1])


async def _take(connection: AsyncConnection, engine: AndamiosEngine, patience: float) -> None:
    end = asyncio.get_running_loop().time() + patience
    while not await _run(connection, engine, STATEMENTS[engine.backend][0]):
        if asyncio.get_running_loop().time() > end:
            raise MigrationError(
                f"Somebody else has been migrating this database for {patience:g} s. Try again "
                "when they are done, or raise deployer_timeout."
            )
        await asyncio.sleep(PAUSE)


async def _run(connection: AsyncConnection, engine: AndamiosEngine, statement: str) -> bool:
    digest = hashlib.sha256(str(engine.url.database).encode()).hexdigest()[:32]
    values = {"name": f"andamios_migrations_{digest}"} if ":name" in statement else {}
    return bool(await connection.scalar(text(statement), values))
