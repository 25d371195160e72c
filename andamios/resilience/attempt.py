"""How far a transaction has come, on which depends whether it may be begun again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from andamios.errors import (
    CommitOutcomeUnknownError,
    DeadlineExceededError,
    PoolTimeoutError,
    TransactionError,
)
from andamios.resilience.classify import is_retryable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import AsyncRetrying

    from andamios.core.engine import AndamiosEngine
    from andamios.core.session import AsyncSession

__all__ = ["Attempt"]


class Attempt:
    """
    A function and how far its transaction has come; called once for each attempt.

    Args:
        engine: Where the sessions are opened.
        fn: Called with the session.
        isolation: The level of the transaction.
        read_only: Whether it only reads.
    """

    def __init__(
        self,
        engine: AndamiosEngine,
        fn: Callable[[AsyncSession], Awaitable[Any]],
        *,
        isolation: str | None,
        read_only: bool,
    ) -> None:
        self._engine = engine
        self._fn = fn
        self._isolation = isolation
        self._read_only = read_only
        self._has_ended_itself = False
        self._is_committing = False
        self._is_committed = False
        self._result: Any = None

    async def __call__(self) -> Any:
        """Make one attempt, from the first statement to the answer to COMMIT."""
        async with self._engine.session(
            isolation=self._isolation, read_only=self._read_only
        ) as session:
            transaction = session.sync_session.begin()
            try:
                self._result = await self._fn(session)
            finally:
                self._has_ended_itself = session.sync_session.get_transaction() is not transaction
            await session.flush()
            await self._commit(session)
        return self._result

    async def _commit(self, session: AsyncSession) -> None:
        self._is_committing = not self._read_only
        try:
            await session.commit()
            self._is_committed = True
        except Exception:
            # An answer, as opposed to a cancellation.
            self._is_committing = False
            raise

    def is_repeatable(self, error: BaseException) -> bool:
        """Whether nothing of the last attempt was kept, and another one may succeed."""
        # What the function committed itself would be done twice.
        if self._has_ended_itself or self._is_committed or isinstance(error, PoolTimeoutError):
            return False
        return is_retryable(error)

    async def within(self, deadline: float | None, retrying: AsyncRetrying) -> Any:
        """
        Make attempts until one is committed, for at most so many seconds.

        Raises:
            CommitOutcomeUnknownError: The time was up during COMMIT.
            DeadlineExceededError: It was up before.
        """
        try:
            async with asyncio.timeout(deadline) as scope:
                return await retrying(self)
        except TimeoutError as error:
            if not scope.expired():
                raise
            if self._is_committed:
                return self._result
            raise self._too_late(deadline) from error

    def _too_late(self, deadline: float | None) -> TransactionError:
        if self._is_committing:
            return CommitOutcomeUnknownError(
                f"The {deadline} s for the transaction were up during COMMIT, which may have "
                "happened or not. Look whether the changes are there before you make them again."
            )
        return DeadlineExceededError(
            f"The {deadline} s for the transaction were up. It was rolled back."
        )
