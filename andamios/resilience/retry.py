"""Repeating an operation that met a failure which passes, with pauses that grow."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from andamios.core.commits import is_of_commit
from andamios.errors import (
    CircuitOpenError,
    CommitOutcomeUnknownError,
    ConfigurationError,
    DeadlineExceededError,
    TransactionError,
)
from andamios.resilience.classify import is_retryable
from andamios.resilience.outermost import require_outermost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

    from andamios.core.engine import AndamiosEngine
    from andamios.resilience.breaker import CircuitBreaker

__all__ = ["ConnectionResilience"]

T = TypeVar("T")

log = logging.getLogger("andamios.resilience")


class ConnectionResilience:
    """
    Repeats operations that failed for a reason which passes by itself.

    By default three attempts, with 4 to 10 seconds between them, and only after errors
    that :func:`is_retryable` knows as safe. The last error is raised as it is.

    Args:
        engine: The engine that the operations use; the log names it, without the password.
        breaker: Asked before every attempt; while it is open nothing is tried.
        options: What overrides the defaults: any option of ``tenacity.AsyncRetrying``,
            such as ``stop``, ``wait``, ``retry`` or ``before_sleep``.

    Raises:
        ConfigurationError: tenacity has no such option.

    Example:
        >>> import andamios
        >>> from sqlalchemy import text
        >>> from andamios.resilience import ConnectionResilience
        >>> async def main() -> int:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         async def operation() -> int:
        ...             async with engine.session() as session:
        ...                 return await session.scalar(text("SELECT 42"))
        ...         return await ConnectionResilience(engine).execute_with_retry(operation)
        >>> andamios.run(main())
        42
    """

    def __init__(
        self,
        engine: AndamiosEngine | None = None,
        *,
        breaker: CircuitBreaker | None = None,
        **options: Any,
    ) -> None:
        self._engine = engine
        self._breaker = breaker
        defaults: dict[str, Any] = {
            "stop": stop_after_attempt(3),
            "wait": wait_exponential(multiplier=1, min=4, max=10),
            "retry": retry_if_exception(is_retryable),
            "before_sleep": self._tell,
            "reraise": True,
        }
        try:
            self._retrying = AsyncRetrying(**defaults | options)
        except TypeError as error:
            raise ConfigurationError(f"An option for retrying is wrong: {error}") from error

    @property
    def breaker(self) -> CircuitBreaker | None:
        """What is asked before every attempt."""
        return self._breaker

    async def execute_with_retry(
        self, operation: Callable[[], Awaitable[T]], *, deadline: float | None = None
    ) -> T:
        """
        Call an operation until it succeeds, fails for good, or was tried often enough.

        An operation with one transaction is safe to repeat: after any error that is
        repeated here, that transaction was rolled back. An operation with several
        transactions must be able to find the first ones done already.

        When the deadline is up the operation is cancelled, and its statement ends on the server
        too. What it had not committed is rolled back; a write that commits by itself, such as a
        repository's on an engine, may just have happened.

        Args:
            operation: Called without arguments. It opens its own session.
            deadline: Seconds for everything, pauses included; None is without end.

        Returns:
            What the operation returned.

        Raises:
            AndamiosError: The last attempt's error.
            CircuitOpenError: The breaker is open; its cause is what the last attempt met.
            CommitOutcomeUnknownError: The time was up during COMMIT; nothing is repeated.
            DeadlineExceededError: It was up before; its cause is what the last attempt met.
            TransactionError: A session of this task is open, and the operation could be
                only a part of its transaction.
        """
        require_outermost("execute_with_retry")
        breaker = self._breaker
        failure: Exception | None = None

        async def attempt() -> T:
            nonlocal failure
            try:
                if breaker is None:
                    return await operation()
                return await breaker.call(operation, is_late=scope.expired)
            except CircuitOpenError as error:
                raise error from failure  # by which it was opened
            except Exception as error:
                failure = error
                raise

        try:
            async with asyncio.timeout(deadline) as scope:
                # Of its own for each call, since tenacity keeps a call's state in the object.
                result: T = await self._retrying.copy()(attempt)
                return result
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise _too_late(deadline, error) from failure or error

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "Attempt %d%s failed with %s; again in %.1f s",
            state.attempt_number,
            f" on {self._engine!r}" if self._engine else "",
            type(error).__name__,
            state.upcoming_sleep,
        )


def _too_late(deadline: float | None, error: TimeoutError) -> TransactionError:
    if is_of_commit(error.__cause__):
        return CommitOutcomeUnknownError(
            f"The {deadline} s for the operation were up during COMMIT, which may have happened "
            "or not. Look whether the changes are there before you make them again."
        )
    return DeadlineExceededError(
        f"The {deadline} s for the operation were up, and it was cancelled. What it had not "
        "committed was rolled back."
    )
