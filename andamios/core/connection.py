"""The connections of an engine: taking one, and how many there are."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from andamios.core.guard import translating
from andamios.errors import AndamiosError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.core.engine import AndamiosEngine

__all__ = ["ConnectionManager", "PoolStats"]


@dataclass(frozen=True, slots=True)
class PoolStats:
    """
    How many connections a pool has, at one moment.

    Args:
        size: Connections that are kept.
        idle: Connections in the pool.
        in_use: Connections that somebody holds.
        overflow: Connections above ``size`` that exist now.
    """

    size: int
    idle: int
    in_use: int
    overflow: int


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
        with translating():
            async with self._engine.async_engine.connect() as connection:
                yield connection

    def stats(self) -> PoolStats:
        """Count the connections; costs no I/O."""
        pool = self._engine.async_engine.pool
        if not isinstance(pool, QueuePool):
            return PoolStats(size=0, idle=0, in_use=0, overflow=0)
        return PoolStats(
            size=pool.size(),
            idle=pool.checkedin(),
            in_use=pool.checkedout(),
            # SQLAlchemy counts from -size until the pool has been full once.
            overflow=max(pool.overflow(), 0),
        )

    async def validate(self) -> bool:
        """Whether the database answers now; never raises for one that does not."""
        try:
            async with self.acquire() as connection:
                await connection.execute(text("SELECT 1"))
        except AndamiosError:
            return False
        return True
