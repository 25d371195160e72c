"""
Checks that answer in time, whatever hangs, and that do not pile up.

A check runs in a task of its own, and whoever asks waits for it no longer than agreed. To
cancel a check may take a while too: a connection that hangs is to be closed. So nobody waits
for the end of that, and until it came the same check is not started again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["BoundedChecks"]

T = TypeVar("T")

GRACE = 0.05
"""Seconds in which a check that was cancelled may still say why."""


class BoundedChecks:
    """
    Runs each check at most once at a time, and for a bounded time.

    Args:
        timeout: Seconds.

    Example:
        >>> async def hang() -> None:
        ...     await asyncio.sleep(60)
        >>> async def main() -> str:
        ...     try:
        ...         await BoundedChecks(0.01).run("hang", hang)
        ...     except TimeoutError:
        ...         return "in time"
        >>> asyncio.run(main())
        'in time'
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._running: dict[str, asyncio.Task[object]] = {}

    async def run(self, name: str, check: Callable[[], Awaitable[T]]) -> T:
        """
        Run a check, or wait for the one of that name that is running.

        Args:
            name: Of the check, always the same.
            check: What to run.

        Raises:
            TimeoutError: It did not answer in time.
            Exception: Whatever the check raises.
        """
        task = self._running.get(name)
        if task is None:
            task = asyncio.create_task(self._limited(check), name=f"health check {name}")
            self._running[name] = task
            task.add_done_callback(lambda done: self._ended(name, done))
        await asyncio.wait({task}, timeout=self.timeout + GRACE)
        if not task.done() or task.cancelled():
            raise TimeoutError
        return task.result()  # type: ignore[return-value]  # one kind of result a name

    async def _limited(self, check: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout(self.timeout):
            return await check()

    def _ended(self, name: str, task: asyncio.Task[object]) -> None:
        del self._running[name]
        if not task.cancelled():
            # Read, so that asyncio does not complain when nobody waits any more.
            task.exception()
