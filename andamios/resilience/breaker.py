"""
A circuit breaker: a server that keeps failing is left alone for a while.

Without one, every caller waits for its own time-out, and the server that comes back meets
all of them at once. The pattern is Michael Nygard's ("Release It!", 2nd edition, 2018,
chapter 5): closed while calls succeed, open after several failures in a row, half-open
for one trial call after a pause.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from andamios.errors import (
    CircuitOpenError,
    ConfigurationError,
    DeadlineExceededError,
    PoolTimeoutError,
)
from andamios.resilience.classify import is_connection_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["CircuitBreaker", "CircuitState"]

T = TypeVar("T")

CircuitState: TypeAlias = Literal["closed", "open", "half-open"]


class CircuitBreaker:
    """
    Refuses calls at once while the server is known to be away.

    Failed connections count, and deadlines, since a server that is silent tells nothing else;
    one that refuses a statement has answered. Share one breaker between all that call the
    same server in this event loop.

    Args:
        failures: Failed connections in a row that open it.
        reset_after: Seconds for which it stays open; then one call is let through.
        clock: Where it reads the time, in seconds.

    Raises:
        ConfigurationError: ``failures`` is below 1, or ``reset_after`` below 0.

    Example:
        >>> import andamios
        >>> from andamios.resilience import CircuitBreaker
        >>> async def fail() -> None:
        ...     raise ConnectionRefusedError
        >>> async def main() -> str:
        ...     breaker = CircuitBreaker(failures=1)
        ...     try:
        ...         await breaker.call(fail)
        ...     except ConnectionRefusedError:
        ...         return breaker.state
        >>> andamios.run(main())
        'open'
    """

    def __init__(
        self,
        failures: int = 5,
        reset_after: float = 30.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if failures < 1 or reset_after < 0:
            raise ConfigurationError(
                f"A circuit breaker opens after at least one failure (not {failures}) and for "
                f"no less than 0 seconds (not {reset_after})."
            )
        self._limit = failures
        self._reset_after = reset_after
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None
        self._has_trial = False

    @property
    def state(self) -> CircuitState:
        """``closed`` lets calls through, ``open`` none, ``half-open`` one."""
        if self._opened is None:
            return "closed"
        return "open" if self._remaining(self._opened) > 0 else "half-open"

    @property
    def failures(self) -> int:
        """How many connections failed in a row, for whoever shows it, such as a health page."""
        return self._failures

    @property
    def retry_after(self) -> float:
        """Seconds until a call is let through; 0 where one is now, if no trial is under way."""
        return 0.0 if self._opened is None else max(self._remaining(self._opened), 0.0)

    async def call(
        self, operation: Callable[[], Awaitable[T]], *, is_late: Callable[[], bool] | None = None
    ) -> T:
        """
        Call an operation, unless the server failed too often.

        Args:
            operation: Called without arguments.
            is_late: Asked after a cancellation, which counts as a failure only if that came
                from a deadline, such as ``asyncio.Timeout.expired``.

        Returns:
            What it returned.

        Raises:
            CircuitOpenError: The circuit is open; the operation was not called.
        """
        is_trial = self._admit()
        try:
            result = await operation()
        except PoolTimeoutError:
            raise  # nobody asked the server
        except Exception as error:
            self._settle(is_trial, has_failed=is_connection_failure(error) or _is_late(error))
            raise
        except asyncio.CancelledError:
            if is_late is not None and is_late():
                self._settle(is_trial, has_failed=True)
            raise
        else:
            self._settle(is_trial, has_failed=False)
            return result
        finally:
            # Also after what says nothing about the server, such as another cancellation.
            if is_trial:
                self._has_trial = False

    def _admit(self) -> bool:
        if self._opened is None:
            return False
        remaining = self._remaining(self._opened)
        if self._has_trial or remaining > 0:
            when = f"in {remaining:.1f} s" if remaining > 0 else "when the trial under way succeeds"
            raise CircuitOpenError(
                f"The connection failed {self._failures} times in a row, and the server is left "
                f"alone for now. Try again {when}."
            )
        self._has_trial = True
        return True

    def _settle(self, is_trial: bool, *, has_failed: bool) -> None:  # noqa: FBT001  told by _admit
        if self._opened is not None and not is_trial:
            return  # began before the circuit opened, and knows nothing newer
        if not has_failed:
            self._failures, self._opened = 0, None
            return
        self._failures += 1
        if self._failures >= self._limit:
            self._opened = self._clock()

    def _remaining(self, opened: float) -> float:
        return opened + self._reset_after - self._clock()


def _is_late(error: Exception) -> bool:
    # One with a code is the server's answer, to a limit of its own.
    return isinstance(error, DeadlineExceededError) and error.code is None
