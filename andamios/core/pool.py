"""
The pool of connections, which can be resized while it works.

SQLAlchemy's own pool has a size for life, and newcomers may overtake those who wait. Here
a connection that comes back is handed to whoever waits longest, growing lets waiting tasks
open connections at once, and each check-out remembers where it was made. Connections of
an event loop that was left, or of the process that this one was forked from, are of no use
here, and are forgotten.

This is the one file, beside ``plans/``, that overrides private names of SQLAlchemy: those
in :data:`PRIVATE_NAMES`, which a test watches.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sqlalchemy import exc
from sqlalchemy.pool import Pool
from sqlalchemy.util.concurrency import await_only, greenlet_spawn

from andamios.core.ping import is_trusted, note_idle, trust
from andamios.core.stacks import Stack, stack_of_caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

__all__ = ["PRIVATE_NAMES", "CheckOut", "LivePool", "PoolStats"]

PRIVATE_NAMES = (
    "_create_connection",
    "_creator",
    "_dialect",
    "_do_get",
    "_do_return_conn",
    "_is_hard_or_soft_invalidated",
    "_is_asyncio",
    "_orig_logging_name",
    "_pre_ping",
    "_recycle",
    "_reset_on_return",
)
"""What of SQLAlchemy's ``Pool`` is used here though it is private."""

_OF_OTHER_PROCESSES: list[object] = []
"""Kept from the garbage collector, which would close them."""


@dataclass(frozen=True, slots=True)
class PoolStats:
    """
    How many connections a pool has, at one moment.

    Args:
        size: Connections that are kept.
        idle: Connections in the pool.
        in_use: Connections that somebody holds.
        overflow: Connections above ``size`` that exist now.
        waiting: Tasks that wait for a connection.
    """

    size: int
    idle: int
    in_use: int
    overflow: int
    waiting: int = 0


class CheckOut(NamedTuple):
    """
    Who has a connection: since when (``time.perf_counter``), in which task, from where.

    The stack of one that was lent for a single statement is empty.
    """

    since: float
    owner: asyncio.Task[Any] | None
    stack: Stack = ()

    @property
    def task(self) -> str | None:
        """The name of the task."""
        return None if self.owner is None else self.owner.get_name()


class LivePool(Pool):
    """
    A pool for asyncio that hands over fairly and can be resized.

    Args:
        creator: Makes a connection; SQLAlchemy passes it.
        pool_size: Connections that are kept; 0 keeps none.
        max_overflow: Connections above that, closed when they come back; -1: no limit.
        timeout: Seconds to wait for a connection.
        use_lifo: Whether the connection that came back last goes out first.
        options: What SQLAlchemy's ``Pool`` takes.
    """

    _is_asyncio = True

    def __init__(
        self,
        creator: Any,
        pool_size: int = 5,
        max_overflow: int = 10,
        timeout: float = 30.0,
        use_lifo: bool = False,  # noqa: FBT001, FBT002
        **options: Any,
    ) -> None:
        super().__init__(creator, **options)
        self._size = pool_size
        self.max_overflow = max_overflow
        self._timeout = timeout
        self._use_lifo = use_lifo
        self._open = 0
        self._idle: deque[ConnectionPoolEntry] = deque()
        self._waiters: deque[asyncio.Future[ConnectionPoolEntry | None]] = deque()
        self._condemned: set[ConnectionPoolEntry] = set()
        self.check_outs: dict[ConnectionPoolEntry, CheckOut] = {}
        self.on_taken: Callable[[float], None] | None = None
        self.is_pinged = False
        self._peak = 0
        self._home: tuple[int, asyncio.AbstractEventLoop] | None = None

    def connect(self) -> PoolProxiedConnection:
        """Take a connection, and say how long that took."""
        started = time.perf_counter()
        connection = super().connect()
        if self.on_taken is not None:
            try:
                self.on_taken(time.perf_counter() - started)
            except BaseException:  # cancelled while a listener waited
                connection.close()
                raise
        return connection

    def lend(self) -> ConnectionPoolEntry | None:
        """
        Give an idle connection without any I/O and without SQLAlchemy's wrapper around it.

        Who takes it gives it back by :meth:`take_back`. Of the listeners to check-outs only
        those of :mod:`andamios.core.ping` are served.

        Returns:
            The connection; None if none is there, or it would have to be looked at first.
        """
        if self.on_taken is not None or not self.is_ready():
            return None
        record = self._idle.pop() if self._use_lifo else self._idle.popleft()
        self._note(record, ())
        trust(record)
        return record

    async def wait_lent(self) -> ConnectionPoolEntry | None:
        """
        Wait in line for a connection as :meth:`lend` gives it, while all that may be are out.

        Returns:
            The connection; None if :meth:`connect` has to be asked.

        Raises:
            TimeoutError: SQLAlchemy's: none came free in time.
        """
        is_full = not self._idle and self._open >= self.limit()
        if not is_full or self.on_taken is not None or self._home != _here():
            return None
        waiter = self._line_up()
        try:
            record = await _within(waiter, self._timeout)
        except GeneratorExit:  # nothing can be waited for any longer
            self._give_up(waiter)
            raise
        except BaseException as error:
            await greenlet_spawn(self._give_up, waiter)
            if isinstance(error, TimeoutError):
                raise self._late() from None
            raise
        return await self._looked_at(record or await greenlet_spawn(self._create))

    async def _looked_at(self, record: Any) -> ConnectionPoolEntry:
        self._note(record, ())
        if record._is_hard_or_soft_invalidated():  # noqa: SLF001
            try:
                await greenlet_spawn(record.get_connection)
            except BaseException:
                await greenlet_spawn(self._do_return_conn, record)
                raise
        trust(record)
        found: ConnectionPoolEntry = record
        return found

    def give_up(self, connection: object) -> None:
        """Close a driver's connection that is out, and of which nobody else could let go."""
        for record in tuple(self.check_outs):
            fairy: Any = record.fairy_ref() if record.fairy_ref is not None else None  # type: ignore[attr-defined]
            if record.dbapi_connection is connection and fairy is not None:
                fairy.invalidate()

    def take_back(self, record: ConnectionPoolEntry) -> None:
        """Take a connection back that was lent; no I/O where :meth:`has_room`."""
        if self.is_pinged:
            note_idle(record)
        self._do_return_conn(record)

    def is_ready(self) -> bool:
        """Whether :meth:`connect` would give a connection at once, without any I/O."""
        if not self._idle or self._home != _here():
            return False
        record: Any = self._idle[-1 if self._use_lifo else 0]
        if record._is_hard_or_soft_invalidated() or not is_trusted(record):  # noqa: SLF001
            return False
        return self._recycle < 0 or time.time() - record.starttime <= self._recycle

    def has_room(self) -> bool:
        """Whether a connection that came back now would be kept, or handed on."""
        if self._open > self.limit() or self._condemned:
            return False
        return bool(self._waiters) or len(self._idle) < self._size

    def resize(self, pool_size: int, max_overflow: int) -> None:
        """
        Change the size; called where closing a connection may wait, in SQLAlchemy's greenlet.

        Connections in use are never touched: what is too much is closed when it comes back.
        """
        self._size, self.max_overflow = pool_size, max_overflow
        while self._idle and (len(self._idle) > pool_size or self._open > self.limit()):
            self._discard(self._idle.popleft())
        self._let_open()

    def stats(self) -> PoolStats:
        """Count the connections."""
        return PoolStats(
            size=self._size,
            idle=len(self._idle),
            in_use=self.checkedout(),
            overflow=max(self.overflow(), 0),
            waiting=len(self._waiters),
        )

    def take_peak(self) -> int:
        """Give the most connections wanted at once since the last call, waiting ones counted."""
        peak, self._peak = self._peak, self.checkedout() + len(self._waiters)
        return peak

    def limit(self) -> float:
        """Give the number of connections that may exist; infinity where there is no limit."""
        return self._size + self.max_overflow if self.max_overflow > -1 else float("inf")

    def dispose(self) -> None:
        """Close what is idle now, and what is in use when it comes back."""
        self._condemned |= set(self.check_outs)
        self._open -= len(self.check_outs)
        self.check_outs.clear()
        while self._idle:
            self._discard(self._idle.popleft())
        self._let_open()

    def recreate(self) -> Self:
        """Make the pool that takes this one's place; this one keeps nothing from now on."""
        made = type(self)(
            self._creator,
            self._size,
            max_overflow=self.max_overflow,
            timeout=self._timeout,
            use_lifo=self._use_lifo,
            pre_ping=self._pre_ping,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            reset_on_return=self._reset_on_return,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )
        made.on_taken = self.on_taken
        made.is_pinged = self.is_pinged
        self._size, self.max_overflow = 0, -1
        self._let_open()
        return made

    def size(self) -> int:
        """Give the number of connections that are kept."""
        return self._size

    def timeout(self) -> float:
        """Give the seconds for which somebody waits."""
        return self._timeout

    def checkedin(self) -> int:
        """Count the connections in the pool."""
        return len(self._idle)

    def checkedout(self) -> int:
        """Count the connections that somebody holds or opens."""
        return self._open - len(self._idle)

    def overflow(self) -> int:
        """Count the connections above the size; negative while there are fewer."""
        return self._open - self._size

    def status(self) -> str:
        """Describe the pool in one line."""
        return str(self.stats())

    def _do_get(self) -> ConnectionPoolEntry:
        self._settle()
        record = self._get()
        self._note(record, stack_of_caller())
        return record

    def _note(self, record: ConnectionPoolEntry, stack: Stack) -> None:
        self.check_outs[record] = CheckOut(time.perf_counter(), asyncio.current_task(), stack)
        wanted = self._open - len(self._idle) + len(self._waiters)
        self._peak = max(self._peak, wanted)

    def _settle(self) -> None:
        """Forget connections that belong to another event loop or process."""
        left, self._home = self._home, _here()
        if left is None or left == self._home:
            return
        has_forked = left[0] != self._home[0]
        if has_forked:
            # Closing them would take them out of the other process's event loop too.
            _OF_OTHER_PROCESSES.append((*self._idle, *self.check_outs))
            self._waiters.clear()
        # SQLite's have threads, and no loop.
        if has_forked or getattr(self._dialect, "name", None) != "sqlite":
            self._condemned |= set(self.check_outs)
            self._open -= len(self.check_outs) + len(self._idle)
            self.check_outs.clear()
            self._idle.clear()

    def _get(self) -> ConnectionPoolEntry:
        if self._idle:
            return self._idle.pop() if self._use_lifo else self._idle.popleft()
        if self._open < self.limit():
            self._open += 1
            return self._create()
        return self._wait() or self._create()

    def _create(self) -> ConnectionPoolEntry:
        try:
            return self._create_connection()
        except BaseException:
            self._open -= 1
            self._let_open()
            raise

    def _wait(self) -> ConnectionPoolEntry | None:
        """Wait for a connection, or for None: the permission to open one."""
        waiter = self._line_up()
        try:
            return await_only(_within(waiter, self._timeout))
        except BaseException as error:
            self._give_up(waiter)
            if isinstance(error, TimeoutError):
                raise self._late() from None
            raise

    def _line_up(self) -> asyncio.Future[ConnectionPoolEntry | None]:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._peak = max(self._peak, self.checkedout() + len(self._waiters))
        return waiter

    def _late(self) -> exc.TimeoutError:
        message = f"No connection came free in {self._timeout} s ({self.status()})"
        return exc.TimeoutError(message, code="3o7r")

    def _give_up(self, waiter: asyncio.Future[ConnectionPoolEntry | None]) -> None:
        if not waiter.done() or waiter.cancelled():
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        elif (record := waiter.result()) is not None:
            self._pass_on(record)
        else:
            self._open -= 1
            self._let_open()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self.check_outs.pop(record, None)
        if record in self._condemned:
            self._condemned.discard(record)
            record.close()
        else:
            self._pass_on(record)

    def _pass_on(self, record: ConnectionPoolEntry) -> None:
        if self._open <= self.limit() and (waiter := self._next_waiter()) is not None:
            waiter.set_result(record)
        elif len(self._idle) < self._size and self._open <= self.limit():
            self._idle.append(record)
        else:
            self._discard(record)

    def _discard(self, record: ConnectionPoolEntry) -> None:
        try:
            record.close()
        finally:
            self._open -= 1
            self._let_open()

    def _let_open(self) -> None:
        """Let as many of those who wait open a connection as the size allows."""
        while self._open < self.limit() and (waiter := self._next_waiter()) is not None:
            self._open += 1
            waiter.set_result(None)

    def _next_waiter(self) -> asyncio.Future[ConnectionPoolEntry | None] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done() and not waiter.get_loop().is_closed():
                return waiter
        return None


def _here() -> tuple[int, asyncio.AbstractEventLoop]:
    return os.getpid(), asyncio.get_running_loop()


async def _within(
    waiter: asyncio.Future[ConnectionPoolEntry | None], seconds: float
) -> ConnectionPoolEntry | None:
    async with asyncio.timeout(seconds):
        return await waiter
