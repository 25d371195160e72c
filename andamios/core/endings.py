"""
Ending on the server what a cancelled task had under way there, without making it wait.

A task that is cancelled leaves at once, and its connection is given up. What is still to be told
to the server is told in the background, for a few seconds at most; closing the engine waits
for it, and so does an event loop that ends.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import event
from sqlalchemy.util.concurrency import await_only, in_greenlet

from andamios.core.translation import error_code

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sqlalchemy.engine import Engine

__all__ = ["LIMIT", "Endings"]

LIMIT = 5.0
"""Seconds for one server; then the log says that statements may go on."""

V = TypeVar("V")

log = logging.getLogger("andamios.pool")


class Endings(ABC, Generic[V]):
    """What is to be ended for one engine."""

    def __init__(self) -> None:
        self._victims: list[V] = []
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    def victim_of(self, driver_connection: Any) -> V | None:
        """Tell what has to be known of a connection that is given up; None: nothing to end."""

    @abstractmethod
    def address_of(self, victim: V) -> tuple[Any, ...]:
        """Tell on which server something is to be ended: host, port, and what else there is."""

    @abstractmethod
    async def end_all(self, first: V) -> None:
        """End all that :meth:`next_at` gives for the address of one, and :meth:`remove` it."""

    def watch(self, engine: Engine) -> None:
        """Learn of an engine's cancelled tasks."""

        def invalidated(connection: Any, _record: Any, error: BaseException | None) -> None:
            # Errors are answers; and after a GeneratorExit nothing can be waited for.
            if error is None or isinstance(error, Exception | GeneratorExit):
                return
            victim = self.victim_of(connection.driver_connection)
            if victim is not None:
                self.add(victim)

        def disposed(_engine: Engine) -> None:
            if in_greenlet():
                await_only(self.settle())

        event.listen(engine, "invalidate", invalidated)
        event.listen(engine, "engine_disposed", disposed)

    def add(self, victim: V) -> None:
        """End something soon; called where an event loop runs."""
        self._victims.append(victim)
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            # Begun before the task: asyncio may cancel that before its first step.
            finishing = self._finishing()
            with suppress(StopIteration):
                finishing.asend(None).send(None)
            self._task = loop.create_task(self._run(finishing), name="andamios-endings")

    def next_at(self, address: tuple[Any, ...]) -> V | None:
        """Give something that is to be ended on a server."""
        return next((each for each in self._victims if self.address_of(each) == address), None)

    def remove(self, victim: V) -> None:
        """Forget something that has ended, or must not be."""
        with suppress(ValueError):
            self._victims.remove(victim)

    async def settle(self) -> None:
        """Wait until everything has ended, or could not be."""
        task = self._task
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([task])
        await self._work()

    async def _run(self, finishing: Any) -> None:
        try:
            await self._work()
        finally:
            if not finishing.ag_running:
                await finishing.aclose()

    async def _finishing(self) -> AsyncGenerator[None, None]:
        """
        Be there when the event loop ends.

        asyncio cancels all tasks first, those whose statements are to be ended and our own
        too; then it closes generators such as this one, and waits for them.
        """
        try:
            yield
        finally:
            if asyncio.current_task() is self._task:
                await self._work()
            else:
                await self.settle()

    async def _work(self) -> None:
        while self._victims:
            first = self._victims[0]
            address = self.address_of(first)
            try:
                async with asyncio.timeout(LIMIT):
                    await self.end_all(first)
            except Exception as error:  # noqa: BLE001  whatever it is, nobody waits for it
                while victim := self.next_at(address):
                    self.remove(victim)
                log.warning(
                    "Statements of cancelled tasks may go on at %s, which could not be asked to "
                    "end them (%s)",
                    ":".join(str(part) for part in address if part),
                    error_code(error) or type(error).__name__,
                )
