"""
Transactions as functions: all of the work or none, and again from the start where that is safe.

A serialization failure, a deadlock and a connection lost before COMMIT leave nothing
behind; the whole function then runs again in a fresh session, since what it read is out
of date. The pauses in between are random within a limit that doubles ("full jitter": Marc
Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), so that those who
collided do not collide again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from andamios.core.current import current_session
from andamios.errors import ConfigurationError
from andamios.resilience.attempt import Attempt
from andamios.resilience.outermost import require_outermost
from andamios.resilience.savepoints import SavepointContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession as AnySession

    from andamios.core.engine import AndamiosEngine
    from andamios.core.session import AsyncSession

    Operation = Callable[[AsyncSession], Awaitable[Any]]

__all__ = ["TransactionManager"]

T = TypeVar("T")

FIRST_PAUSE = 0.02
"""The limit of the first random pause, in seconds; it doubles with each attempt."""

LONGEST_PAUSE = 1.0
"""What that limit grows to, in seconds."""


class TransactionManager:
    """
    Runs functions in transactions of an engine.

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

    async def execute_in_transaction(self, operations: Sequence[Operation]) -> list[Any]:
        """
        Execute operations one after the other, all in one transaction or none of them.

        Nothing is repeated; :meth:`run` does that.

        Args:
            operations: Each is called with the session.

        Returns:
            What they returned, in their order.

        Raises:
            CommitOutcomeUnknownError: The connection was lost during COMMIT.
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

    async def run(
        self,
        fn: Callable[[AsyncSession], Awaitable[T]],
        *,
        isolation: str | None = None,
        read_only: bool = False,
        deadline: float | None = None,
        attempts: int = 10,
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
            deadline: Seconds for everything, pauses included; None is without end.
            attempts: How often it is called at most.

        Returns:
            What the function returned in the attempt that was committed.

        Raises:
            CommitOutcomeUnknownError: The connection was lost, or the time was up, during
                COMMIT; nothing is repeated.
            DeadlineExceededError: The time was up; nothing was committed.
            ReadOnlyError: The function writes, and ``read_only`` is set.
            StaleVersionError: Somebody else changed a row first.
            TransactionError: A session of this task is open.
            AndamiosError: The last attempt's error.
        """
        require_outermost("TransactionManager.run")
        if attempts < 1:
            raise ConfigurationError(f"A transaction needs at least one attempt, not {attempts}.")
        attempt = Attempt(self._engine, fn, isolation=isolation, read_only=read_only)
        retrying = AsyncRetrying(
            retry=retry_if_exception(attempt.is_repeatable),
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            reraise=True,
        )
        result: T = await attempt.within(deadline, retrying)
        return result
