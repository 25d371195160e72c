"""Who writes to a SQLite database, and who waits for it."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from andamios.core.turns import Turns
from andamios.errors import SessionTaskError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy.engine import Connection, Dialect

    Tasks = weakref.WeakKeyDictionary[object, asyncio.Task[Any] | None]

__all__ = ["QUERY_ONLY", "Writer", "give_writer", "writer_of"]

QUERY_ONLY = "query_only"
"""Where a connection's ``info`` says whether it refuses to write."""


class Writer:
    """
    Knows which task writes, and lets writers take turns.

    A second writing session in the task that holds the writer would wait for itself until
    the busy time-out; it is refused at once instead. A database in memory has no WAL, so
    there a second reading session would wait as well.

    Args:
        timeout: Seconds to wait for a turn.
        blocks_readers: Whether readers wait for the writer, and it for them.
    """

    def __init__(self, timeout: float, *, blocks_readers: bool) -> None:
        self._blocks_readers = blocks_readers
        self._turns = Turns(timeout)
        # Weak: a connection that nobody closes must still be found by the garbage collector.
        self._writers: Tasks = weakref.WeakKeyDictionary()
        self._readers: Tasks = weakref.WeakKeyDictionary()

    def refuse_twice(self, *, read_only: bool) -> None:
        """
        Refuse what would wait for this very task.

        Raises:
            SessionTaskError: The task writes already, or reads from a database in memory.
        """
        task = asyncio.current_task()
        if task in self._writers.values() and (self._blocks_readers or not read_only):
            raise SessionTaskError(
                "This task already writes to this SQLite database in another session, and would "
                "wait for itself. Use that session"
                + ("." if self._blocks_readers else ", or open this one with read_only=True.")
            )
        if not read_only and task in self._readers.values():
            raise SessionTaskError(
                "This task reads from this SQLite database in memory in another session, and "
                "would wait for itself. End the reading first, or use a file."
            )

    def reads(self, connection: Connection) -> None:
        """Note a transaction that reads."""
        if self._blocks_readers:
            self._readers[connection] = asyncio.current_task()

    @contextmanager
    def taking(self, connection: Connection) -> Iterator[None]:
        """Take a turn in SQLAlchemy's greenlet for a transaction that the block begins."""
        self._turns.take(connection)
        try:
            yield
        except BaseException:
            self._turns.give_up(connection)
            raise
        self._writers[connection] = asyncio.current_task()

    @asynccontextmanager
    async def turn(self, writer: object) -> AsyncIterator[None]:
        """Take a turn for one statement."""
        self.refuse_twice(read_only=False)
        await self._turns.wait(writer)
        self._writers[writer] = asyncio.current_task()
        try:
            yield
        finally:
            self.end(writer)

    def end(self, writer: object) -> None:
        """Forget a transaction that is over, and let the next one write."""
        self._readers.pop(writer, None)
        self._writers.pop(writer, None)
        self._turns.give_up(writer)


_writers: weakref.WeakKeyDictionary[Dialect, Writer] = weakref.WeakKeyDictionary()


def give_writer(dialect: Dialect, writer: Writer) -> None:
    """Keep what lets the writers of an engine take turns."""
    _writers[dialect] = writer


def writer_of(dialect: Dialect) -> Writer:
    """Give what lets the writers of an engine take turns."""
    return _writers[dialect]
