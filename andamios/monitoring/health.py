"""Whether the database, the pool and whatever else was registered are well, in bounded time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import text

from andamios.core.pool import LivePool
from andamios.errors import ConfigurationError
from andamios.monitoring.bounded import BoundedChecks
from andamios.monitoring.statuses import HealthReport, HealthStatus, PoolHealth, reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from andamios.core.connection import ConnectionLeak
    from andamios.core.engine import AndamiosEngine
    from andamios.core.pool import PoolStats

    Check: TypeAlias = Callable[[], Awaitable[bool | HealthStatus | None]]

__all__ = ["HealthChecker", "HealthReport", "HealthStatus", "PoolHealth"]

DATABASE, POOL = "database", "pool"

LEAK_AFTER = 60.0
"""Seconds after which a connection that is still out is told."""


class HealthChecker:
    """
    Checks an engine and what else was registered. No check takes longer than ``timeout``.

    A check that hangs is cancelled, and is not started again before it has ended; whoever
    asks meanwhile is told so in time.

    The database is asked through the pool. A pool that is full for a moment does not count
    against it. One from which nothing comes within ``timeout`` does, and the whole is
    unhealthy: a request would get no connection either, and connections that all hang
    look just like that. The detail then says that no connection came free.

    Args:
        engine: Whose database and pool.
        timeout: Seconds for each check.

    Raises:
        ConfigurationError: The timeout is not above zero.

    Example:
        >>> import andamios
        >>> from andamios.monitoring import HealthChecker
        >>> async def main() -> bool:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         checker = HealthChecker(engine, timeout=1)
        ...         return (await checker.check_all()).is_healthy
        >>> andamios.run(main())
        True
    """

    def __init__(self, engine: AndamiosEngine, *, timeout: float = 2.0) -> None:
        if not timeout > 0:
            raise ConfigurationError(f"timeout is a number of seconds above 0, not {timeout!r}.")
        self._engine = engine
        self._bounded = BoundedChecks(timeout)
        self._is_in_line = False
        self._checks: dict[str, tuple[Check, bool]] = {
            DATABASE: (self._ask, True),
            # The check before goes through the pool too, and says whether that matters.
            POOL: (self._pool_status, False),
        }

    def register(self, name: str, check: Check, *, is_critical: bool = True) -> None:
        """
        Add a check of something else: a cache, a replica, the version of the schema.

        Args:
            name: Of the check.
            check: Called without arguments; False, an unhealthy status or an error mean
                that it is not well.
            is_critical: Whether the whole is unhealthy without it.

        Raises:
            ConfigurationError: There is a check of that name.
        """
        if name in self._checks:
            raise ConfigurationError(f"There is a health check {name!r} already.")
        self._checks[name] = (check, is_critical)

    async def check_database_connectivity(self) -> HealthStatus:
        """Ask the database something, through the pool."""
        return await self._run(DATABASE)

    async def check_pool_health(self) -> PoolHealth:
        """
        Look at the pool.

        It is healthy when a connection can be had in time. While some of those it keeps are
        not in use, nothing is tried.
        """
        stats = self._engine.connections.stats()
        detail = ""
        if stats.in_use >= stats.size:
            is_in_line = self._is_full()
            try:
                await self._bounded.run(POOL, self._take)
            except Exception as error:  # noqa: BLE001  whatever it is, the pool is not well
                detail = self._reason(error, is_in_line=is_in_line)
        return PoolHealth(not detail, stats, self._utilisation(stats), self._leaks(), detail)

    async def check_all(self) -> HealthReport:
        """Run all checks at the same time."""
        return HealthReport(tuple(await asyncio.gather(*map(self._run, self._checks))))

    async def _run(self, name: str) -> HealthStatus:
        check, is_critical = self._checks[name]
        # The pool's check bounds its own wait.
        began = time.perf_counter()
        try:
            answer = await (check() if name == POOL else self._bounded.run(name, check))
        except Exception as error:  # noqa: BLE001  whatever it is, it is not well
            status = HealthStatus(name, is_healthy=False, detail=self._detail(name, error))
        else:
            status = _status(name, answer)
        latency = time.perf_counter() - began
        return replace(status, latency=latency, is_critical=is_critical)

    async def _ask(self) -> bool:
        # Only to read: SQLite's writers must not wait for a health check, nor it for them.
        self._is_in_line = self._is_full()
        async with self._engine.session(read_only=True, is_current=False) as session:
            await session.connection()
            self._is_in_line = False
            return bool(await session.scalar(text("SELECT 1")))

    async def _take(self) -> None:
        async with self._engine.async_engine.connect():
            pass

    async def _pool_status(self) -> HealthStatus:
        health = await self.check_pool_health()
        return HealthStatus(POOL, health.is_healthy, detail=health.detail)

    def _limit(self) -> float:
        pool = self._engine.async_engine.pool
        return pool.limit() if isinstance(pool, LivePool) else inf

    def _is_full(self) -> bool:
        return self._engine.connections.stats().in_use >= self._limit()

    def _utilisation(self, stats: PoolStats) -> float:
        limit = self._limit()
        limit = stats.size if limit == inf else limit
        return min(1.0, stats.in_use / limit) if limit else 0.0

    def _leaks(self) -> tuple[ConnectionLeak, ...]:
        if not isinstance(self._engine.async_engine.pool, LivePool):
            return ()
        return tuple(self._engine.connections.leaks(LEAK_AFTER))

    def _detail(self, name: str, error: Exception) -> str:
        if name == DATABASE:
            return self._reason(error, is_in_line=self._is_in_line)
        return reason(error, self._bounded.timeout)

    def _reason(self, error: Exception, *, is_in_line: bool) -> str:
        stats = self._engine.connections.stats()
        has_none = is_in_line and self._is_full()
        why = "no connection came free" if has_none else reason(error, self._bounded.timeout)
        return f"{why}; {stats.in_use} connections in use, the pool keeps {stats.size}"


def _status(name: str, answer: bool | HealthStatus | None) -> HealthStatus:  # noqa: FBT001  an answer
    if isinstance(answer, HealthStatus):
        return replace(answer, name=name)
    is_healthy = answer is None or bool(answer)
    return HealthStatus(name, is_healthy, detail="" if is_healthy else "the check said no")
