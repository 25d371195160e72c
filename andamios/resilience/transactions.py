"""
Transactions as functions: all of the work or none, and again from the start where that is safe.

A serialization failure, a deadlock and a connection lost before COMMIT leave nothing
behind; the whole function then runs again in a fresh session, since what it read is out
of date. After a connection lost during COMMIT it is found out whether that happened
(:mod:`andamios.resilience.settling`), since nobody else could do so afterwards. The pauses in
between are random within a limit that doubles ("full jitter": Marc Brooker, "Exponential
Backoff And Jitter", AWS Architecture Blog, 2015), so that those who collided do not collide
again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from andamios.core.current import current_session
from andamios.errors import ConfigurationError, SessionTaskError, TransactionError
from andamios.resilience.advisory import advisory_lock
from andamios.resilience.attempt import Attempt
from andamios.resilience.callbacks import register
from andamios.resilience.outermost import require_outermost
from andamios.resilience.savepoints import SavepointContext
from andamios.resilience.settling.markers import markers_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.ext.asyncio import AsyncSession as AnySession

    from andamios.core.engine import AndamiosEngine
    from andamios.core.session import AsyncSession

    Operation = Callable[[AsyncSession], Awaitable[Any]]
    Function = Callable[[], Awaitable[object] | object]

__all__ = ["TransactionManager"]

T = TypeVar("T")

ATTEMPTS = 10
"""How often a function is called at most, where no time is set."""


class TransactionManager:
    """
    Runs functions in transactions of an engine.

    A COMMIT whose answer is lost is settled: if it happened, the caller gets the result, and
    if not, the function runs again. PostgreSQL is asked by the transaction's id. MySQL and
    MariaDB need a table for that, which :meth:`prepare` or a migration makes, and one short
    row in it for each transaction that is not ``read_only``; SQLite has no connection to lose.
    What cannot be told is a ``CommitOutcomeUnknownError``, never a guess.

    Args:
        engine: Where the sessions are opened.

    Example:
        >>> import andamios
        >>> from sqlalchemy import text
        >>> from andamios.resilience import TransactionManager
        >>> async def main() -> int:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         async def work(session: andamios.AsyncSession) -> int:
        ...             return await session.scalar(text("SELECT 42"))
        ...         return await TransactionManager(engine).run(work)
        >>> andamios.run(main())
        42
    """

    def __init__(self, engine: AndamiosEngine) -> None:
        self._engine = engine

    async def prepare(self) -> None:
        """
        Make the table of commit markers on MySQL and MariaDB, unless it is there.

        Workers that start at once may all call this. It does nothing on other backends.
        Where the schema is made by migrations, ``create_commit_markers()`` of
        :mod:`andamios.migrations` does the same.
        """
        markers = markers_of(self._engine)
        if markers is not None:
            await markers.prepare(self._engine)

    async def execute_in_transaction(self, operations: Sequence[Operation]) -> list[Any]:
        """
        Execute operations one after the other, all in one transaction or none of them.

        Nothing is repeated; :meth:`run` does that.

        Args:
            operations: Each is called with the session.

        Returns:
            What they returned, in their order.

        Raises:
            CommitOutcomeUnknownError: The connection was lost during COMMIT, and nobody can tell
                whether that happened.
            TransactionError: A session of this task is open.
        """

        async def work(session: AsyncSession) -> list[Any]:
            return [await operation(session) for operation in operations]

        return await self.run(work, attempts=1)

    def savepoint(self, name: str, *, session: AnySession | None = None) -> SavepointContext:
        """
        Make a part of the open transaction one that may fail alone.

        Use it as ``async with manager.savepoint("part"):``, with or without ``await``.

        Args:
            name: For people; it is not sent to the database.
            session: Whose transaction; default: the session of this task.

        Raises:
            SessionTaskError: No session was given, and none of this task is open.
        """
        return SavepointContext(name, current_session() if session is None else session)

    def after_commit(self, fn: Function, *, session: AnySession | None = None) -> Function:
        """
        Call a function once the open transaction is committed, and never if it is not.

        Functions are called in the order in which they were registered, after the session is
        closed, or, where no manager runs the transaction, at the end of its COMMIT. What one
        raises is logged and counted (:func:`callback_failures`). One that is registered in a
        savepoint waits for the whole transaction, and is dropped if the savepoint is rolled
        back. After a COMMIT with an unknown outcome, none is called, and that is also what a
        COMMIT has that was cancelled under way. A cancellation behind it ends no callback but
        the one that waits at that moment.

        Args:
            fn: Called without arguments; may be a coroutine function.
            session: Whose transaction; default: the session of this task.

        Returns:
            The function, so that this can be a decorator.

        Raises:
            TransactionError: No session was given, and none of this task is open.

        Example:
            >>> import andamios
            >>> from andamios.resilience import TransactionManager
            >>> async def main() -> None:
            ...     async with andamios.AndamiosEngine("sqlite://") as engine:
            ...         manager = TransactionManager(engine)
            ...         async def work(session: andamios.AsyncSession) -> None:
            ...             manager.after_commit(lambda: print("committed"))
            ...         await manager.run(work)
            >>> andamios.run(main())
            committed
        """
        register(_given_or_current(session, "after_commit"), "commit", fn)
        return fn

    def after_rollback(self, fn: Function, *, session: AnySession | None = None) -> Function:
        """
        Call a function once the open savepoint or transaction is rolled back.

        Each attempt that :meth:`run` gives up is rolled back by itself, and calls what was
        registered in it. Otherwise as :meth:`after_commit`.

        Args:
            fn: Called without arguments; may be a coroutine function.
            session: Whose transaction; default: the session of this task.

        Returns:
            The function, so that this can be a decorator.

        Raises:
            TransactionError: No session was given, and none of this task is open.
        """
        register(_given_or_current(session, "after_rollback"), "rollback", fn)
        return fn

    def lock(self, name: str, *, timeout: float | None = None) -> AbstractAsyncContextManager[None]:
        """
        Hold a lock with a name: one holder at a time among all clients of the database.

        It guards what agrees to ask for it, such as a job that only one worker is to do. It takes a
        connection of its own, and is independent of transactions. On SQLite it is a file
        beside the database. It is not re-entrant: who holds it and asks for it again waits for
        itself, as long as the timeout says.

        Args:
            name: Any text.
            timeout: Seconds to wait for another holder; None is without end.

        Returns:
            What ``async with`` holds it by.

        Raises:
            DeadlockError: On entering: another holder took longer. It may be retried
                (:func:`is_retryable`).
            ConnectionFailedError: On leaving: the connection that held it broke, so that
                somebody else may have had it before the block ended.

        Example:
            >>> import andamios
            >>> from andamios.resilience import TransactionManager
            >>> async def main() -> str:
            ...     async with andamios.AndamiosEngine("sqlite://") as engine:
            ...         async with TransactionManager(engine).lock("nightly", timeout=1):
            ...             return "alone"
            >>> andamios.run(main())
            'alone'
        """
        return advisory_lock(self._engine, name, timeout)

    async def run(
        self,
        fn: Callable[[AsyncSession], Awaitable[T]],
        *,
        isolation: str | None = None,
        read_only: bool = False,
        deadline: float | None = None,
        attempts: int | None = None,
    ) -> T:
        """
        Call a function with a fresh session and commit; after a collision, do so again.

        The function may run several times, so that what it does outside of the database
        must bear that. It leaves COMMIT and ROLLBACK to this method.

        A read that decides on a later write is not protected at the servers' default levels:
        pass ``isolation="SERIALIZABLE"``, give the model a version, or read with
        ``for_update()``. A ``StaleVersionError`` is not repeated, since the version may come
        from outside, from a form for instance, and would never fit.

        Args:
            fn: Called with the session, which is also the current one of this task.
            isolation: For instance ``"SERIALIZABLE"``; None is the server's own default.
            read_only: Refuse writes, with a ReadOnlyError that is not repeated.
            deadline: Seconds for everything, pauses included; None is without end. A COMMIT
                that is under way when they are up gets two more to be settled.
            attempts: How often it is called at most; default: 10 times, or as often as there is
                time for before the deadline.

        Returns:
            What the function returned in the attempt that was committed.

        Raises:
            CommitOutcomeUnknownError: The connection was lost, or the time was up, during
                COMMIT, and it could not be told in the rest of the time (or in 30 s, where
                there is no deadline) whether that happened; nothing is repeated.
            DeadlineExceededError: The time was up; nothing was committed. Its ``__cause__`` is the
                last attempt's error, if there was one.
            ReadOnlyError: The function writes, and ``read_only`` is set.
            StaleVersionError: Somebody else changed a row first.
            TransactionError: A session of this task is open.
            AndamiosError: The last attempt's error.
        """
        require_outermost("TransactionManager.run")
        if attempts is None:
            attempts = ATTEMPTS if deadline is None else sys.maxsize
        if attempts < 1:
            raise ConfigurationError(f"A transaction needs at least one attempt, not {attempts}.")
        attempt = Attempt(self._engine, fn, isolation=isolation, read_only=read_only)
        result: T = await attempt.within(deadline, attempts)
        return result


def _given_or_current(session: AnySession | None, what: str) -> AnySession:
    if session is not None:
        return session
    try:
        return current_session()
    except SessionTaskError as error:
        raise TransactionError(
            f"{what} belongs to a transaction, and no session of this task is open. Call it in "
            "the function that run() calls, or inside 'async with engine.session():', or pass "
            "the session."
        ) from error
