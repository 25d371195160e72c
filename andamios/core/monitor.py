"""A task beside the work that looks after the pool for as long as the engine is open."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from andamios.core.facts import PoolMeasured
from andamios.core.pool import LivePool
from andamios.errors import ConfigurationError

if TYPE_CHECKING:
    from andamios.core.engine import AndamiosEngine

__all__ = ["HealthMonitor"]

log = logging.getLogger("andamios.pool")


class HealthMonitor:
    """
    Validates idle connections, resizes the pool, reports leaks and announces measures.

    It starts when the engine opens and stops when it closes. What it finds goes to the
    logger ``andamios.pool``; the counts are announced as ``PoolMeasured``.

    Args:
        interval: Seconds between two rounds; 0: never.
        leak_after: Seconds after which a connection that is still out is reported, once,
            with the stack of its check-out.
        max_pool_size: How far the pool may grow when it was exhausted since the last round;
            when less than half of it was in use it shrinks again, at most to the size that
            it began with. None: it keeps its size.

    Raises:
        ConfigurationError: A number is negative.

    Example:
        >>> import andamios
        >>> async def main() -> int:
        ...     monitor = andamios.HealthMonitor(interval=5, max_pool_size=40)
        ...     async with andamios.AndamiosEngine("sqlite://", monitor=monitor) as engine:
        ...         await monitor.check()
        ...         return engine.connections.stats().size
        >>> andamios.run(main())
        20
    """

    def __init__(
        self,
        *,
        interval: float = 30.0,
        leak_after: float = 60.0,
        max_pool_size: int | None = None,
    ) -> None:
        if interval < 0 or leak_after < 0 or (max_pool_size or 0) < 0:
            raise ConfigurationError("interval, leak_after and max_pool_size are not negative.")
        self._interval = interval
        self._leak_after = leak_after
        self._max_pool_size = max_pool_size
        self._engine: AndamiosEngine | None = None
        self._task: asyncio.Task[None] | None = None
        self._first_size = 0
        self._reported = 0.0
        self._was_valid = True

    def start(self, engine: AndamiosEngine) -> None:
        """Begin to watch an engine; the engine calls this when it opens."""
        if self._engine is not None and self._engine is not engine:
            raise ConfigurationError("A HealthMonitor watches one engine. Make one for each.")
        if self._engine is None:
            self._engine = engine
            self._first_size = engine.connections.stats().size
        loop = asyncio.get_running_loop()
        if self._interval and (
            self._task is None or self._task.done() or self._task.get_loop() is not loop
        ):
            self._task = asyncio.create_task(self._run(), name="andamios-health-monitor")

    async def stop(self) -> None:
        """End the task; the engine calls this when it closes."""
        task, self._task = self._task, None
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            return
        task.cancel()
        # Not `await task`: its cancellation could not be told from that of this task.
        await asyncio.wait([task])

    async def check(self) -> None:
        """
        Do one round now: validate, resize, report leaks, announce the counts.

        Raises:
            ConfigurationError: The engine was not opened yet.
        """
        engine = self._engine
        if engine is None:
            raise ConfigurationError(
                "This HealthMonitor has no engine yet. Open the engine first: "
                "async with AndamiosEngine(url, monitor=monitor): ..."
            )
        pool = engine.async_engine.pool
        peak = pool.take_peak() if isinstance(pool, LivePool) else 0
        await self._validate(engine)
        if isinstance(pool, LivePool):
            await self._resize(engine, pool, peak)
            self._report_leaks(engine)
        engine.hooks.announce(PoolMeasured(engine.connections.stats()))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.check()
            except Exception:
                log.exception("The health monitor's round failed")

    async def _validate(self, engine: AndamiosEngine) -> None:
        # First in, first out: as many check-outs as there are idle ones meet each of them.
        is_valid = True
        for _ in range(engine.connections.stats().idle):
            if not engine.connections.stats().idle:
                break
            is_valid = await self._validate_one(engine)
            if not is_valid:
                break
        if is_valid is not self._was_valid:
            log.log(
                logging.INFO if is_valid else logging.WARNING,
                "The database %s: %r",
                "answers again" if is_valid else "does not answer",
                engine,
            )
        self._was_valid = is_valid

    async def _validate_one(self, engine: AndamiosEngine) -> bool:
        try:
            async with asyncio.timeout(self._interval or None):
                return await engine.connections.validate()
        except TimeoutError:
            return False

    async def _resize(self, engine: AndamiosEngine, pool: LivePool, peak: int) -> None:
        size = pool.size()
        if self._max_pool_size is None:
            return
        if peak >= pool.limit() and size < self._max_pool_size:
            wanted = min(max(size + 1, size * 3 // 2), self._max_pool_size)
        elif peak * 2 < size and size > self._first_size:
            wanted = max(size * 3 // 4, self._first_size)
        else:
            return
        await engine.connections.resize(wanted)
        log.info("The pool now keeps %d connections instead of %d", wanted, size)

    def _report_leaks(self, engine: AndamiosEngine) -> None:
        for leak in engine.connections.leaks(self._leak_after):
            if leak.since > self._reported:
                self._reported = leak.since
                log.warning(
                    "A connection is out for %.0f s, taken by %s at\n%s",
                    leak.held,
                    leak.task,
                    leak.stack,
                )
