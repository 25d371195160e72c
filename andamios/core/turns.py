"""
Turns: the writers of one SQLite engine, one after the other, in the order in which they came.

SQLite has one writer at a time, and lets the others try again and again until one of them
is lucky: some wait for seconds while newcomers pass. Waiting in a thread cannot be cancelled
either. Here they wait in line, on the event loop.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import TYPE_CHECKING

from sqlalchemy.util.concurrency import await_only

from andamios.errors import DeadlockError

if TYPE_CHECKING:
    Writer = object
    """Whose turn it is: whatever stands for it and can be referred to weakly."""

__all__ = ["Turns"]


class Turns:
    """
    Who writes, and who waits for it.

    Args:
        timeout: Seconds to wait.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        # Weak: one that is lost without a rollback must not keep its turn for ever.
        self._holder: weakref.ref[Writer] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._line: deque[tuple[asyncio.Future[None], Writer]] = deque()

    def take(self, writer: Writer) -> None:
        """
        Wait for a turn; called in SQLAlchemy's greenlet.

        Raises:
            DeadlockError: It did not come in time.
        """
        if not self._take_now(writer):
            await_only(self._line_up(writer))

    async def wait(self, writer: Writer) -> None:
        """
        Wait for a turn.

        Raises:
            DeadlockError: It did not come in time.
        """
        if not self._take_now(writer):
            await self._line_up(writer)

    def _take_now(self, writer: Writer) -> bool:
        is_free = self._holder is None or self._loop is not asyncio.get_running_loop()
        if is_free:
            # A turn of a loop that ended, or of the process that this one was forked from, will
            # not be given up; SQLite's own lock is there for what is left of it.
            self._hold(writer)
        return is_free

    async def _line_up(self, writer: Writer) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((turn, writer))
        try:
            await _within(turn, self._timeout)
        except BaseException as error:
            self._leave(turn, writer)
            if isinstance(error, TimeoutError):
                raise DeadlockError(
                    f"Other writers of this SQLite database took longer than {self._timeout:g} s. "
                    "Keep transactions that write short.",
                    code="SQLITE_BUSY",
                ) from None
            raise

    def give_up(self, writer: Writer) -> None:
        """End a turn, if this one has it."""
        if self._holder is not None and self._holder() is writer:
            self._next()

    def _hold(self, writer: Writer) -> None:
        self._holder = weakref.ref(writer, self._lost)
        self._loop = asyncio.get_running_loop()

    def _lost(self, reference: weakref.ref[Writer]) -> None:
        # The garbage collector runs where it likes, also in another thread.
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._free, reference)

    def _free(self, reference: weakref.ref[Writer]) -> None:
        if self._holder is reference:
            self._next()

    def _next(self) -> None:
        self._holder = None
        while self._line and self._holder is None:
            turn, writer = self._line.popleft()
            if not turn.done() and turn.get_loop() is self._loop:
                self._hold(writer)
                turn.set_result(None)

    def _leave(self, turn: asyncio.Future[None], writer: Writer) -> None:
        if (turn, writer) in self._line:
            self._line.remove((turn, writer))
        # It may have come in the same moment.
        self.give_up(writer)


async def _within(turn: asyncio.Future[None], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await turn
