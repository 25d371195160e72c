"""Repeating an operation that met a failure which passes, with pauses that grow."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from andamios.errors import ConfigurationError
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

    async def execute_with_retry(self, operation: Callable[[], Awaitable[T]]) -> T:
        """
        Call an operation until it succeeds, fails for good, or was tried often enough.

        An operation with one transaction is safe to repeat: after any error that is
        repeated here, that transaction was rolled back. An operation with several
        transactions must be able to find the first ones done already.

        Args:
            operation: Called without arguments. It opens its own session.

        Returns:
            What the operation returned.

        Raises:
            AndamiosError: The last attempt's error.
            CircuitOpenError: The breaker is open.
            TransactionError: A session of this task is open, and the operation could be
                only a part of its transaction.
        """
        require_outermost("execute_with_retry")
        breaker = self._breaker

        async def attempt() -> T:
            return await (operation() if breaker is None else breaker.call(operation))

        # Of its own for each call, since tenacity keeps the state of a call in the object.
        result: T = await self._retrying.copy()(attempt)
        return result

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "Attempt %d%s failed with %s; again in %.1f s",
            state.attempt_number,
            f" on {self._engine!r}" if self._engine else "",
            type(error).__name__,
            state.upcoming_sleep,
        )
