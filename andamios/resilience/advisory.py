"""
Locks by name: one holder at a time among all clients of a database.

The servers have them ("advisory" locks, which guard nothing by themselves), and give them
back when their holder's connection ends, whatever ends it. On PostgreSQL a lock is held by
an open transaction, which a pooler keeps on one connection; it reads nothing, so that it
keeps no old rows alive. On MySQL and MariaDB it belongs to a connection and to the whole server,
so that the name of the database is a part of it. SQLite has none: see
:mod:`andamios.resilience.advisory_files`.

PostgreSQL, "Advisory Locks"; MySQL, "Locking Functions". Not covered: clusters of several
writing servers, each of which has locks of its own, and the time after a failover, when the
new server knows nothing of the old one's locks.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from andamios.core.hooks import INTERNAL
from andamios.errors import AndamiosError, ConnectionFailedError, DeadlockError
from andamios.resilience.advisory_files import locked_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.core.engine import AndamiosEngine

__all__ = ["advisory_lock"]

NOT_AVAILABLE = "55P03"

LONGEST_WAIT = 3600
"""Seconds for which MySQL is asked to wait at a time, where there is no limit."""

PAUSE = 0.05
"""Seconds between attempts in the last second, of which MySQL knows no parts."""


@asynccontextmanager
async def advisory_lock(
    engine: AndamiosEngine, name: str, patience: float | None
) -> AsyncIterator[None]:
    """
    Hold the lock of that name for the length of a block.

    Args:
        engine: Of the database that the lock belongs to.
        name: Any text.
        patience: Seconds to wait for another holder; None is without end.

    Raises:
        DeadlockError: The other holder took longer.
        ConnectionFailedError: The connection that held the lock broke, so that somebody else
            may have had it before the block ended.
    """
    async with _holder(engine, name, patience) as is_held:
        try:
            yield
        except BaseException as error:
            if isinstance(error, Exception) and not await is_held():
                error.add_note(f"The lock {name!r} was lost before.")
            raise
        if not await is_held():
            raise ConnectionFailedError(
                f"The connection that held the lock {name!r} broke, so that somebody else may "
                "have had it before this block ended. What the block did stays done."
            )


def _holder(
    engine: AndamiosEngine, name: str, patience: float | None
) -> AbstractAsyncContextManager[Any]:
    if engine.backend == "sqlite":
        return locked_file(engine, name, patience)
    take = _in_transaction if engine.backend == "postgresql" else _on_connection
    return take(engine, name, patience)


@asynccontextmanager
async def _in_transaction(
    engine: AndamiosEngine, name: str, patience: float | None
) -> AsyncIterator[Any]:
    key = int.from_bytes(_digest(name)[:8], signed=True)
    async with engine.connections.acquire() as plain:
        # Of its own, since an engine may commit each statement, and with it the lock.
        connection = await plain.execution_options(isolation_level="READ COMMITTED")
        # In milliseconds, where 0 would be without end.
        limit = 0 if patience is None else max(1, int(patience * 1000))
        await _ask(connection, f"SET LOCAL lock_timeout = {limit}")
        try:
            await _ask(connection, f"SELECT pg_advisory_xact_lock({key})")
        except DeadlockError as error:
            raise (_too_late(name, patience) if error.code == NOT_AVAILABLE else error) from error

        async def is_held() -> bool:
            return await _answers(connection, "SELECT 1")

        yield is_held


@asynccontextmanager
async def _on_connection(
    engine: AndamiosEngine, name: str, patience: float | None
) -> AsyncIterator[Any]:
    database = str(engine.url.database)
    key = f"andamios_{_digest(f'{database}/{name}').hex()[:48]}"  # of 64 letters at most
    async with engine.connections.acquire() as connection:
        try:
            await _get_lock(connection, key, name, patience)

            async def is_held() -> bool:
                return await _answers(connection, f"SELECT IS_USED_LOCK('{key}') = CONNECTION_ID()")

            yield is_held
            await _release(connection, key)
        except BaseException:
            await connection.invalidate()  # and with it the lock, if it was taken
            raise


async def _release(connection: AsyncConnection, key: str) -> None:
    try:
        await _ask(connection, f"SELECT RELEASE_LOCK('{key}')")
    except AndamiosError:
        await connection.invalidate()  # which gives it back too


async def _get_lock(
    connection: AsyncConnection, key: str, name: str, patience: float | None
) -> None:
    loop = asyncio.get_running_loop()
    end = None if patience is None else loop.time() + patience
    while True:
        left = LONGEST_WAIT if end is None else end - loop.time()
        wait = max(0, min(int(left), LONGEST_WAIT))
        if await _ask(connection, f"SELECT GET_LOCK('{key}', {wait})"):
            return
        if end is not None and loop.time() >= end:
            raise _too_late(name, patience)
        if wait == 0:
            await asyncio.sleep(PAUSE)


async def _answers(connection: AsyncConnection, question: str) -> bool:
    try:
        return bool(await _ask(connection, question))
    except ConnectionFailedError:
        return False


async def _ask(connection: AsyncConnection, statement: str) -> Any:
    asked = await connection.execute(text(statement), execution_options={INTERNAL: True})
    return asked.scalar() if asked.returns_rows else None


def _digest(name: str) -> bytes:
    return hashlib.sha256(f"andamios.lock/{name}".encode()).digest()


def _too_late(name: str, patience: float | None) -> DeadlockError:
    return DeadlockError(
        f"Somebody else has held the lock {name!r} for {patience:g} s. Try again later, or wait "
        "for longer."
    )
