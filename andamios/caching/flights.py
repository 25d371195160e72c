"""One load at a time for each key, however many ask; named for Go's ``singleflight``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from typing import Any

__all__ = ["Flights"]

R = TypeVar("R")


class Flights:
    """
    Loads that are under way.

    Each runs in a task of its own: when one of those who wait is cancelled, be it the one
    who came first, the load goes on for the others and ends its transaction properly.

    Example:
        >>> import asyncio
        >>> from andamios.caching.flights import Flights
        >>> async def main() -> int:
        ...     loads = []
        ...     async def load() -> None:
        ...         loads.append(await asyncio.sleep(0))
        ...     flights = Flights()
        ...     await asyncio.gather(*(flights.run("users", load) for _ in range(50)))
        ...     return len(loads)
        >>> asyncio.run(main())
        1
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Any]] = {}

    async def run(self, key: Hashable, load: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Give what the load under way for this key gives; begin one if there is none."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(load())
            task.add_done_callback(lambda done: self._landed(key, done))
        result: R = await asyncio.shield(task)
        return result

    async def close(self) -> None:
        """Wait until all are done."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _landed(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            # Looked at here, since everybody who waited may be gone.
            task.exception()
