"""How far a transaction has come, on which depends whether it may be begun again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from andamios.core.commits import WATCHER
from andamios.errors import (
    CommitOutcomeUnknownError,
    ConnectionFailedError,
    DeadlineExceededError,
    PoolTimeoutError,
)
from andamios.resilience.callbacks import Callbacks, take_over
from andamios.resilience.classify import is_retryable
from andamios.resilience.settling.settler import GRACE, LONGEST, Settler, witness_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.orm import Session

    from andamios.core.engine import AndamiosEngine
    from andamios.core.session import AsyncSession

__all__ = ["Attempt"]

FIRST_PAUSE = 0.02
"""The limit of the first random pause, in seconds; it doubles with each attempt."""

LONGEST_PAUSE = 1.0
"""What that limit grows to, in seconds."""


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
        self._witness = witness_of(engine, read_only=read_only)
        self._callbacks: Callbacks | None = None
        self._number: int | None = None
        self._scope: asyncio.Timeout | None = None
        self._has_ended_itself = False
        self._is_committed = False
        self._failure: BaseException | None = None
        self._result: Any = None

    async def __call__(self) -> Any:
        """Make one attempt, from the first statement until it is known how it ended."""
        self._witness = witness_of(self._engine, read_only=self._read_only)
        try:
            await self._work()
        except Exception as error:
            if self._is_in_doubt:
                await self._settle(error)
            else:
                if self._has_ended_itself:
                    error.add_note("The function ended its transaction itself: not repeated.")
                await self._call_back()
                raise
        except BaseException:
            if not self._is_in_doubt:
                await self._call_back()
            raise
        return self._result

    async def _work(self) -> None:
        async with self._engine.session(
            isolation=self._isolation, read_only=self._read_only
        ) as session:
            self._callbacks = take_over(session, self._witness)
            transaction = session.sync_session.begin()
            try:
                self._result = await self._fn(session)
            finally:
                self._has_ended_itself = session.sync_session.get_transaction() is not transaction
            await session.run_sync(self._commit)
            self._is_committed = True

    def _commit(self, session: Session) -> None:
        """Commit in SQLAlchemy's greenlet, all in one hop."""
        connection = session.connection()
        self._number = self._engine.hooks.transaction_of(connection)
        info = connection.info
        info[WATCHER] = self._witness
        try:
            session.commit()
        finally:
            info.pop(WATCHER, None)
            self._is_committed = self._witness.outcome == "committed"

    @property
    def _is_in_doubt(self) -> bool:
        return self._witness.outcome == "unknown" and not self._read_only

    def is_repeatable(self, error: BaseException) -> bool:
        """Whether nothing of the last attempt was kept, and another one may succeed."""
        self._failure = error
        # What the function committed itself would be done twice.
        if self._has_ended_itself or self._is_committed or isinstance(error, PoolTimeoutError):
            return False
        return is_retryable(error)

    async def within(self, deadline: float | None, attempts: int) -> Any:
        """
        Make attempts until one is committed, at most so many, and for so many seconds.

        Raises:
            CommitOutcomeUnknownError: It could not be found out what became of COMMIT.
            DeadlineExceededError: The time was up, and nothing was committed.
        """
        self._scope = scope = asyncio.timeout(deadline)
        try:
            async with scope:
                await self._try(attempts)
        except TimeoutError as error:
            if not scope.expired():
                raise
            await self._end_late(deadline, error)
        await self._call_back()
        return self._result

    async def _try(self, attempts: int) -> None:
        try:
            await self()
        except Exception as error:
            if attempts == 1 or not self.is_repeatable(error):
                raise
            failure: Exception | None = error
        else:
            return

        async def again() -> None:
            # The first attempt is over, and nearly always the last: tenacity hears of it now.
            nonlocal failure
            if failure is not None:
                first, failure = failure, None
                raise first
            await self()

        await AsyncRetrying(
            retry=retry_if_exception(self.is_repeatable),
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            reraise=True,
        )(again)

    async def _settle(self, error: Exception) -> None:
        """
        Find out what became of a COMMIT whose answer was lost.

        Raises:
            ConnectionFailedError: It did not happen, so that another attempt may be made.
            CommitOutcomeUnknownError: Nobody can tell.
        """
        assert self._scope is not None
        if self._scope.expired():
            await asyncio.sleep(0)  # which ends here, and is gone on with there
        if not self._witness.can_tell:
            raise error
        when = self._scope.when()
        left = LONGEST if when is None else when - asyncio.get_running_loop().time()
        self._scope.reschedule(None)
        if await self._was_committed(max(left, GRACE), error):
            return
        await self._call_back()
        self._scope.reschedule(when)
        raise ConnectionFailedError(
            "The connection was lost during COMMIT, which did not happen: nothing was changed.",
            code=getattr(error, "code", None),
        ) from error

    async def _end_late(self, deadline: float | None, error: TimeoutError) -> None:
        if self._is_committed:
            return
        if self._is_in_doubt:
            if not self._witness.can_tell:
                raise CommitOutcomeUnknownError(
                    f"The {deadline} s for the transaction were up during COMMIT, which may have "
                    "happened or not. Look whether the changes are there before you make them "
                    "again."
                ) from error
            if await self._was_committed(GRACE, error):
                return
            await self._call_back()
        raise DeadlineExceededError(
            f"The {deadline} s for the transaction were up. It was rolled back."
        ) from (self._failure or error)

    async def _was_committed(self, seconds: float, error: Exception) -> bool:
        try:
            found = await Settler(self._engine, self._witness, self._number).settle(seconds)
        except CommitOutcomeUnknownError as unknown:
            unknown.code = getattr(error, "code", None)
            raise unknown from error
        self._witness.ended("committed" if found else "rolled back")
        self._is_committed = found
        return found

    async def _call_back(self) -> None:
        """Call what was registered in an attempt of which it is known how it ended."""
        callbacks, self._callbacks = self._callbacks, None
        if callbacks is not None:
            await callbacks.run(is_committed=self._is_committed)
