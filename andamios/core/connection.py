"""The connections of an engine: taking one, and how many there are."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import QueuePool
from sqlalchemy.util.concurrency import greenlet_spawn

from andamios.core.closing import finish
from andamios.core.factory import check_sizes
from andamios.core.guard import translating
from andamios.core.listening import is_pool_ours
from andamios.core.pool import LivePool, PoolStats
from andamios.core.stacks import format_stack
from andamios.errors import AndamiosError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.engine import Connection, Engine

    from andamios.core.engine import AndamiosEngine

__all__ = ["ConnectionLeak", "ConnectionManager", "ready_pool"]


@dataclass(frozen=True, slots=True)
class ConnectionLeak:
    """
    A connection that somebody has had for long.

    Args:
        since: When it was taken, in seconds of ``time.perf_counter``.
        held: Seconds since then.
        task: Name of the task that took it; None outside of a task.
        stack: Where it was taken, written as in a traceback.
    """

    since: float
    held: float
    task: str | None
    stack: str


class ConnectionManager:
    """
    The live pool of an engine, found at ``engine.connections``.

    Example:
        >>> import andamios
        >>> async def main() -> int:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         async with engine.connections.acquire():
        ...             return engine.connections.stats().in_use
        >>> andamios.run(main())
        1
    """

    def __init__(self, engine: AndamiosEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[AsyncConnection]:
        """
        Take a connection out of the pool for the length of a block.

        Yields:
            SQLAlchemy's connection; what was not committed is rolled back.

        Raises:
            ConnectionFailedError: The server cannot be reached.
            PoolTimeoutError: No connection came free in time.
        """
        engine = self._engine.async_engine
        pool = ready_pool(engine.sync_engine)
        with translating():
            if pool is None:
                connection = await engine.connect()
            else:
                connection = AsyncConnection(engine, engine.sync_engine.connect())
            try:
                yield connection
            finally:
                held = connection.sync_connection
                if held is not None and pool is not None and _returns_without_io(held, pool):
                    held.close()
                else:
                    await finish(connection.close())

    def stats(self) -> PoolStats:
        """Count the connections; costs no I/O."""
        pool = self._engine.async_engine.pool
        if isinstance(pool, LivePool):
            return pool.stats()
        if not isinstance(pool, QueuePool):
            return PoolStats(size=0, idle=0, in_use=0, overflow=0)
        return PoolStats(
            size=pool.size(),
            idle=pool.checkedin(),
            in_use=pool.checkedout(),
            # SQLAlchemy counts from -size until the pool has been full once.
            overflow=max(pool.overflow(), 0),
        )

    async def resize(self, pool_size: int, max_overflow: int | None = None) -> None:
        """
        Change the size of the pool while it works.

        Tasks that wait get their connections at once when it grows. When it shrinks, idle
        connections are closed now and others when they come back; nobody loses one.

        Args:
            pool_size: Connections that are kept, from 1.
            max_overflow: Connections above that; -1: no limit; None: as it is.

        Raises:
            ConfigurationError: The sizes make no sense, or the engine has a pool of another
                kind.
        """
        pool = self._live_pool("resized")
        overflow = pool.max_overflow if max_overflow is None else max_overflow
        check_sizes({"pool_size": pool_size, "max_overflow": overflow})
        with translating():
            await greenlet_spawn(pool.resize, pool_size, overflow)

    def leaks(self, older_than: float = 60.0) -> list[ConnectionLeak]:
        """
        Tell who has had a connection for long, the longest first.

        Args:
            older_than: Seconds; who has had one for less is not told.

        Raises:
            ConfigurationError: The engine has a pool of another kind.
        """
        now = time.perf_counter()
        taken = sorted(self._live_pool("watched").check_outs.values(), key=lambda each: each.since)
        return [
            ConnectionLeak(each.since, now - each.since, each.task, format_stack(each.stack))
            for each in taken
            if now - each.since >= older_than
        ]

    def _live_pool(self, done: str) -> LivePool:
        pool = self._engine.async_engine.pool
        if not isinstance(pool, LivePool):
            raise ConfigurationError(
                f"A {type(pool).__name__} cannot be {done}. Leave out poolclass when the engine "
                "is made."
            )
        return pool

    async def validate(self) -> bool:
        """Whether the database answers now; never raises for one that does not."""
        try:
            async with self.acquire() as connection:
                # On SQLite a transaction would wait for the writer, which may be this task.
                await connection.execution_options(andamios_begin=False)
                await connection.execute(text("SELECT 1"))
        except AndamiosError:
            return False
        return True


def ready_pool(engine: Engine) -> LivePool | None:
    """Give the pool from which a connection can be taken and begin without waiting at all."""
    pool = engine.pool
    # Only asyncpg's adapter leaves BEGIN to the first statement.
    if engine.dialect.driver != "asyncpg" or not isinstance(pool, LivePool):
        return None
    is_ready = pool.on_taken is None and pool.is_ready() and is_pool_ours(engine)
    return pool if is_ready else None


def _returns_without_io(connection: Connection, pool: LivePool) -> bool:
    """Whether a connection could go back to the pool it is from without waiting at all."""
    if connection.closed or connection.invalidated or connection.in_transaction():
        return False
    driver: Any = connection.connection.driver_connection
    # One that was begun behind SQLAlchemy's back has to be rolled back.
    is_free = driver is not None and not driver.is_in_transaction()
    return is_free and pool.has_room() and is_pool_ours(connection.engine)
