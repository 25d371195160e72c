"""
What is to happen after a transaction: once, when its end is known, and never for another end.

Callbacks belong to the innermost savepoint in which they were registered. One that is
released hands them to what is around it; one that is rolled back drops them. So nothing is
called for work that did not last, and nothing before it does.

What a callback raises is logged and counted: the transaction is over, and the other
callbacks have a right to be called. So they have after a cancellation, which ends only the one
that waits at that moment.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sqlalchemy import event
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.util.concurrency import await_only, greenlet_spawn, in_greenlet

from andamios.core.commits import WATCHER
from andamios.errors import TransactionError
from andamios.resilience.settling.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from sqlalchemy.ext.asyncio import AsyncSession as AnySession
    from sqlalchemy.orm import Session, SessionTransaction

    Function: TypeAlias = Callable[[], Awaitable[object] | object]

__all__ = ["End", "callback_failures", "register", "take_over"]

End: TypeAlias = Literal["commit", "rollback"]

KEY = "andamios_callbacks"

log = logging.getLogger("andamios.resilience")

_failures: Counter[str] = Counter()


def callback_failures() -> dict[str, int]:
    """
    Count what callbacks raised since the process began, by the function's name.

    Example:
        >>> from andamios.resilience import callback_failures
        >>> callback_failures().get("send_mail", 0)
        0
    """
    return dict(_failures)


@dataclass(frozen=True, slots=True)
class Callback:
    """A function, and after which end it is called."""

    end: End
    function: Function


def register(session: AnySession, end: End, function: Function) -> None:
    """
    Call a function after the transaction that is open in a session.

    Raises:
        TransactionError: The session is closed.
    """
    inner = session.sync_session
    found: Callbacks | None = inner.info.get(KEY)
    if found is None:
        found = Callbacks(inner)
    found.add(Callback(end, function))


def take_over(session: AnySession, witness: Witness) -> Callbacks:
    """Leave it to the caller, who watches COMMIT, to call back when the session is closed."""
    return Callbacks(session.sync_session, witness)


class Callbacks:
    """
    The callbacks of one session.

    Args:
        session: Whose.
        witness: Who watches COMMIT for somebody who calls :meth:`run`; None: the end of the
            outermost transaction runs them.
    """

    def __init__(self, session: Session, witness: Witness | None = None) -> None:
        session.info[KEY] = self
        self._session = session
        self._settled = witness
        self._of: dict[SessionTransaction, list[Callback]] = {}
        self._committed: SessionTransaction | None = None
        self._witness = Witness()
        self._due: list[Function] = []
        self._open: list[Callback] = []

    def add(self, callback: Callback) -> None:
        """Add one to the innermost savepoint, or the transaction."""
        session = self._session
        if not self._of:
            self._listen()
        try:
            owner = session.get_nested_transaction() or session.get_transaction() or session.begin()
        except InvalidRequestError as error:
            raise TransactionError(
                "This session is closed, and has no transaction after which anything could be "
                "called. Register callbacks inside its block."
            ) from error
        self._of.setdefault(owner, []).append(callback)

    async def run(self, *, is_committed: bool) -> None:
        """
        Call what is due after the end of the outermost transaction.

        Args:
            is_committed: How it ended, where its COMMIT left that open.
        """
        # SQLAlchemy tells of no end when the connection's return to the pool is cancelled.
        untold = [each for owned in self._of.values() for each in owned]
        self._of.clear()
        due = [*self._due, *_for([*self._open, *untold], is_committed=is_committed)]
        if due:  # a greenlet costs more than the question
            await greenlet_spawn(_run_now, due)

    def _listen(self) -> None:
        # On this session alone: others take shorter ways as long as nobody listens.
        if not event.contains(self._session, "after_commit", self._note_commit):
            event.listen(self._session, "after_commit", self._note_commit)
            event.listen(self._session, "after_transaction_end", self._end)
            event.listen(self._session, "before_commit", self._watch)

    def _watch(self, session: Session) -> None:
        # The end of a savepoint is a commit, too; and run() has put its own there.
        if not session.in_nested_transaction():
            self._witness = session.connection().info.setdefault(WATCHER, Witness())

    def _note_commit(self, session: Session) -> None:
        # The end of a savepoint is a commit, too.
        self._committed = session.get_nested_transaction() or session.get_transaction()

    def _end(self, _session: Session, transaction: SessionTransaction) -> None:
        is_committed = self._committed is transaction
        if transaction.nested:
            self._end_savepoint(transaction, is_committed=is_committed)
        elif transaction.parent is None:  # else it is a flush
            self._end_outermost(self._of.pop(transaction, []), is_committed=is_committed)

    def _end_savepoint(self, transaction: SessionTransaction, *, is_committed: bool) -> None:
        mine = self._of.pop(transaction, [])
        if not is_committed:
            _run_now(_for(mine, is_committed=False))
        elif mine:
            assert transaction.parent is not None
            self._of.setdefault(transaction.parent, []).extend(mine)

    def _end_outermost(self, mine: list[Callback], *, is_committed: bool) -> None:
        witness, self._witness = self._witness, Witness()
        if is_committed or witness.outcome != "unknown":
            # What failed behind COMMIT, such as a listener that was cancelled, changes nothing.
            is_committed = is_committed or witness.outcome == "committed"
            due = _for(mine, is_committed=is_committed)
            if self._settled is None:
                _run_now(due)
            else:
                self._due.extend(due)
        elif witness is self._settled:
            self._open = mine


def _for(callbacks: Iterable[Callback], *, is_committed: bool) -> Iterator[Function]:
    end = "commit" if is_committed else "rollback"
    return (each.function for each in callbacks if each.end == end)


def _run_now(functions: Iterable[Function]) -> None:
    """Call functions in SQLAlchemy's greenlet, all of them, whatever strikes."""
    cancelled = _await_cancellation()
    for function in functions:
        try:
            result: Any = function()
            if inspect.isawaitable(result):
                await_only(result)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception as error:  # noqa: BLE001  who watches must not break what is over
            _note_failure(function, error)
    if cancelled is not None:
        raise cancelled


def _await_cancellation() -> asyncio.CancelledError | None:
    """Let a cancellation strike that waits for the next await, before it strikes a callback."""
    task = asyncio.current_task() if in_greenlet() else None
    if task is not None and task.cancelling():
        try:
            await_only(asyncio.sleep(0))
        except asyncio.CancelledError as error:
            return error
    return None


def _note_failure(function: Function, error: Exception) -> None:
    name = getattr(function, "__qualname__", type(function).__name__)
    _failures[name] += 1
    log.error("%s failed after a transaction, which stays as it is", name, exc_info=error)
