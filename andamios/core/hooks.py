"""
Telling listeners what happened, at no cost where nobody listens.

SQLAlchemy's events are asked for with the first listener of a kind. It has no event for
the moment after a COMMIT, so that the dialect's ``do_commit``, a documented method, is
wrapped for it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import event

from andamios.core.commits import is_unknown
from andamios.core.facts import (
    CommitSettled,
    CommitStarted,
    ConnectionReturned,
    ConnectionTaken,
    Fact,
    Outcome,
    PoolMeasured,
    QueryFinished,
    TransactionEnded,
)
from andamios.core.listening import listen
from andamios.core.pool import LivePool

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection, Engine, ExceptionContext

__all__ = ["INTERNAL", "STARTED", "Hooks", "cancel_again"]

F = TypeVar("F")

STARTED = "andamios_started"
"""The attribute of a context that says when its statement was sent."""

COMMITTING = "andamios_committing"
TAKEN = "andamios_taken"

INTERNAL = "andamios_internal"
"""The execution option of what core sends by itself, which is nobody's query."""

log = logging.getLogger("andamios.hooks")


class Hooks:
    """
    The listeners of an engine, found at ``engine.hooks``.

    A listener is called with each fact of its kind, inside the call that made it a fact.
    It may wait with SQLAlchemy's ``await_only``. What it raises is logged and goes no
    further: who watches must not break what is watched.

    Example:
        >>> import andamios
        >>> from sqlalchemy import text
        >>> from andamios.core.facts import QueryFinished
        >>> async def main() -> list[str]:
        ...     seen: list[str] = []
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         engine.hooks.listen(QueryFinished, lambda fact: seen.append(fact.statement))
        ...         async with engine.session() as session:
        ...             await session.scalar(text("SELECT 42"))
        ...     return seen
        >>> "SELECT 42" in andamios.run(main())
        True
    """

    def __init__(self, sync_engine: Engine) -> None:
        self._engine = sync_engine
        self._listeners: dict[type[Any], tuple[Callable[[Any], object], ...]] = {}
        self._sources: set[Callable[[Hooks], None]] = set()
        self._transactions: weakref.WeakKeyDictionary[Connection, tuple[int, float]] = (
            weakref.WeakKeyDictionary()
        )
        self._numbers = itertools.count(1)

    def listen(self, kind: type[F], listener: Callable[[F], object]) -> Callable[[F], object]:
        """
        Call ``listener`` with each fact of that kind from now on.

        Args:
            kind: A class of ``andamios.core.facts``.
            listener: Called with the fact; its result is not looked at.

        Returns:
            The listener, so that :meth:`remove` can be given a lambda too.

        Example:
            >>> import andamios
            >>> from andamios.core.facts import QueryFinished
            >>> hooks = andamios.AndamiosEngine("sqlite://").hooks
            >>> slow = hooks.listen(QueryFinished, lambda fact: print(fact.statement))
            >>> hooks.remove(QueryFinished, slow)
        """
        source = _SOURCES[kind]
        if source not in self._sources:
            self._sources.add(source)
            source(self)
        self._listeners[kind] = (*self._listeners.get(kind, ()), listener)
        return listener

    def remove(self, kind: type[F], listener: Callable[[F], object]) -> None:
        """Call a listener no longer; one that does not listen is no mistake."""
        listeners = self._listeners.get(kind, ())
        self._listeners[kind] = tuple(each for each in listeners if each != listener)

    def announce(self, fact: Fact) -> None:
        """Tell a fact to everybody who listens to its kind."""
        for listener in self._listeners.get(type(fact), ()):
            try:
                listener(fact)
            except Exception:
                log.exception("A listener to %s failed", type(fact).__name__)

    def has_listeners(self, kind: type[Any]) -> bool:
        """Whether anybody listens to facts of a kind."""
        return bool(self._listeners.get(kind))

    @property
    def are_heard(self) -> bool:
        """Whether anybody listens to anything."""
        return bool(self._listeners)

    def finished_alone(
        self, statement: str, began: float, *, rows: int | None = None, error: str | None = None
    ) -> None:
        """
        Tell of a statement that was a transaction by itself, and of that.

        Args:
            statement: The SQL.
            began: When it was sent, in seconds of ``time.perf_counter``.
            rows: As in :class:`QueryFinished`.
            error: As in :class:`QueryFinished`.
        """
        self.finished_within(statement, began, rows=rows, error=error)
        self.ended(began, "rolled back" if error else "committed")

    def finished_within(
        self, statement: str, began: float, *, rows: int | None = None, error: str | None = None
    ) -> None:
        """Tell of a statement inside a transaction, with what :meth:`finished_alone` takes."""
        if self._listeners.get(QueryFinished):
            took = time.perf_counter() - began
            self.announce(QueryFinished(statement, took, rows, error))

    def ended(self, began: float, outcome: Outcome) -> None:
        """Tell of a transaction that SQLAlchemy did not begin, but that began at that moment."""
        if self._listeners.get(TransactionEnded):
            took = time.perf_counter() - began
            self.announce(TransactionEnded(next(self._numbers), outcome, took))

    def transaction_of(self, connection: Connection) -> int | None:
        """
        Give the number of the transaction that is open on a connection of SQLAlchemy.

        Returns:
            The number; None outside of a transaction, or where nobody listens to
            transactions.
        """
        known = self._transactions.get(connection)
        return known[0] if known else None

    def _announce_queries(self) -> None:
        def started(*execution: Any) -> None:
            context = execution[4]
            if context is not None and INTERNAL not in context.execution_options:
                setattr(context, STARTED, time.perf_counter())

        def finished(*execution: Any) -> None:
            _connection, cursor, statement, _parameters, context, _is_many = execution
            begun = getattr(context, STARTED, None)
            if begun is not None:
                # Drivers say -1 where they do not count.
                is_counted = cursor.description is None and cursor.rowcount >= 0
                rows = cursor.rowcount if is_counted else None
                self.announce(QueryFinished(statement, time.perf_counter() - begun, rows))

        def failed(context: ExceptionContext) -> None:
            begun = getattr(context.execution_context, STARTED, None)
            if begun is not None and context.statement is not None:
                error = getattr(context, "chained_exception", None) or context.original_exception
                took = time.perf_counter() - begun
                name = type(error).__name__
                self.announce(QueryFinished(context.statement, took, error=name))

        for name, listener in {"before": started, "after": finished}.items():
            listen(self._engine, f"{name}_cursor_execute", listener)
        listen(self._engine, "handle_error", failed)

    def _announce_waits(self) -> None:
        pool = self._engine.pool
        if isinstance(pool, LivePool):
            pool.on_taken = lambda waited: self.announce(ConnectionTaken(waited))

    def _announce_returns(self) -> None:
        def taken(_connection: Any, record: Any, _proxy: Any) -> None:
            record.info[TAKEN] = time.perf_counter()

        def returned(_connection: Any, record: Any) -> None:
            since = record.info.pop(TAKEN, None)
            if since is None:
                return
            try:
                self.announce(ConnectionReturned(time.perf_counter() - since))
            except asyncio.CancelledError:
                # SQLAlchemy would lose the connection, which goes back first.
                cancel_again()

        # As a stranger, who sees every connection that is taken and returned.
        event.listen(self._engine, "checkout", taken)
        event.listen(self._engine, "checkin", returned)

    def _announce_transactions(self) -> None:
        listen(self._engine, "begin", self._begin)
        listen(self._engine, "commit", self._commit)
        listen(self._engine, "rollback", self._rollback)
        dialect = self._engine.dialect
        do_commit = dialect.do_commit

        def commit(connection: Any) -> None:
            committing = connection.info.pop(COMMITTING, None)
            outcome: Outcome = "unknown"
            try:
                do_commit(connection)
                outcome = "committed"
            except BaseException as error:
                if not is_unknown(dialect, connection, error):
                    outcome = "rolled back"
                raise
            finally:
                self._end(committing, outcome)

        # Of this dialect alone, which no other engine has.
        dialect.do_commit = commit  # type: ignore[method-assign, assignment]

    def _begin(self, connection: Connection) -> None:
        self._transactions[connection] = (next(self._numbers), time.perf_counter())

    def _commit(self, connection: Connection) -> None:
        known = self._transactions.get(connection)
        if known is None:
            return
        connection.info[COMMITTING] = connection
        try:
            self.announce(CommitStarted(known[0]))
        except BaseException:
            # Cancelled. SQLAlchemy takes this for a COMMIT that failed and sends no ROLLBACK,
            # so that the connection must not go back into the pool.
            connection.invalidate()
            self._end(connection, "rolled back")
            raise

    def _rollback(self, connection: Connection) -> None:
        self._end(connection, "rolled back")

    def _end(self, connection: Connection | None, outcome: Outcome) -> None:
        known = self._transactions.pop(connection, None) if connection is not None else None
        if known is not None:
            number, began = known
            self.announce(TransactionEnded(number, outcome, time.perf_counter() - began))


def cancel_again() -> None:
    """Let a cancellation that came too early strike at the next await of this task."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()  # it stays one, for those who count them
        task.cancel()


_SOURCES: dict[type[Any], Callable[[Hooks], None]] = {
    QueryFinished: Hooks._announce_queries,  # noqa: SLF001  this very class
    ConnectionTaken: Hooks._announce_waits,  # noqa: SLF001
    ConnectionReturned: Hooks._announce_returns,  # noqa: SLF001
    CommitStarted: Hooks._announce_transactions,  # noqa: SLF001
    TransactionEnded: Hooks._announce_transactions,  # noqa: SLF001
    CommitSettled: lambda _hooks: None,  # announced by who settles them
    PoolMeasured: lambda _hooks: None,  # announced by HealthMonitor
}
