"""Operations that are repeated."""

import asyncio
import logging
from collections.abc import Callable

import pytest
from tenacity import (
    RetryCallState,
    RetryError,
    retry_if_exception_type,
    stop_after_attempt,
    wait_none,
)

from andamios import AndamiosEngine, DuplicateError, SerializationError, TransactionError
from andamios.errors import CircuitOpenError, ConfigurationError, ConnectionFailedError
from andamios.resilience import CircuitBreaker, ConnectionResilience
from harness.faults import FaultProxy
from tests.resilience.conftest import NoteReader
from tests.resilience.models import ResNote


class Operation:
    """Fails as often as told, then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.calls = 0

    async def __call__(self) -> int:
        self.calls += 1
        if self._failures:
            raise self._failures.pop(0)
        return self.calls


@pytest.fixture
def pauses() -> list[float]:
    """The pauses that were taken, in seconds."""
    return []


@pytest.fixture
def sleep(pauses: list[float]) -> Callable[[float], object]:
    """Take no time."""

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    return note


COLLIDED = (SerializationError("1"), SerializationError("2"), SerializationError("3"))


async def test_three_attempts_with_growing_pauses(
    sleep: Callable[[float], object], pauses: list[float]
) -> None:
    """By default there are three attempts, 4 to 10 seconds apart."""
    resilience = ConnectionResilience(sleep=sleep)
    assert 3 == await resilience.execute_with_retry(Operation(*COLLIDED[:2]))
    assert [4, 4] == pauses
    with pytest.raises(SerializationError, match="3"):
        await resilience.execute_with_retry(Operation(*COLLIDED))


async def test_what_lasts_is_raised_at_once(
    sleep: Callable[[float], object], pauses: list[float]
) -> None:
    """An error that would happen again is raised as it is."""
    operation = Operation(DuplicateError("there"))
    with pytest.raises(DuplicateError, match="there"):
        await ConnectionResilience(sleep=sleep).execute_with_retry(operation)
    assert (1, []) == (operation.calls, pauses)


async def test_cancellation_is_not_repeated() -> None:
    """A cancelled operation ends, and a cancelled pause too."""
    operation = Operation(*COLLIDED)
    task = asyncio.create_task(ConnectionResilience().execute_with_retry(operation))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 1 == operation.calls


async def test_options_of_tenacity() -> None:
    """Each default can be replaced."""
    once = ConnectionResilience(stop=stop_after_attempt(1))
    with pytest.raises(SerializationError, match="1"):
        await once.execute_with_retry(Operation(*COLLIDED))
    mine = ConnectionResilience(
        wait=wait_none(), retry=retry_if_exception_type(ValueError), reraise=False
    )
    with pytest.raises(RetryError):
        await mine.execute_with_retry(Operation(ValueError(), ValueError(), ValueError()))


def test_unknown_option() -> None:
    """A mistyped option is told when the object is made."""
    with pytest.raises(ConfigurationError, match="waits"):
        ConnectionResilience(waits=wait_none())


async def test_plain_function_that_returns_an_awaitable() -> None:
    """A lambda is as good as an async function."""
    operation = Operation(*COLLIDED[:1])
    resilience = ConnectionResilience(wait=wait_none())
    assert 2 == await resilience.execute_with_retry(lambda: asyncio.ensure_future(operation()))


async def test_several_at_once() -> None:
    """Calls at the same time count their attempts each for itself."""

    async def is_collision(state: RetryCallState) -> bool:
        await asyncio.sleep(0)
        return bool(state.outcome and isinstance(state.outcome.exception(), SerializationError))

    resilience = ConnectionResilience(wait=wait_none(), retry=is_collision)
    calls = [
        resilience.execute_with_retry(Operation(*COLLIDED[:failures]))
        for failures in (0, 1, 2, 0, 1, 2)
    ]
    assert [1, 2, 3, 1, 2, 3] == await asyncio.gather(*calls)


async def test_log_names_the_engine_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Who reads the log sees what is repeated, and not the message with its statement."""
    engine = AndamiosEngine("postgresql://me:secret@localhost/db", uvloop=False)
    resilience = ConnectionResilience(engine, wait=wait_none())
    with caplog.at_level(logging.WARNING, "andamios.resilience"):
        await resilience.execute_with_retry(Operation(SerializationError("in: SELECT")))
    (line,) = caplog.messages
    assert line.startswith("Attempt 1 on AndamiosEngine('postgresql+asyncpg://me:***@localhost/db'")
    assert line.endswith("failed with SerializationError; again in 0.0 s")


async def test_inside_a_session_is_refused(engine: AndamiosEngine) -> None:
    """Repeating a part of a transaction could lose the rest of it."""
    operation = Operation()
    async with engine.session():
        with pytest.raises(TransactionError, match="Call it outside"):
            await ConnectionResilience(engine).execute_with_retry(operation)
    assert 0 == operation.calls


async def test_broken_connection_is_repeated(
    proxied: AndamiosEngine, proxy: FaultProxy, notes: NoteReader
) -> None:
    """An operation whose connection broke before COMMIT is done once, by the second try."""
    calls = 0

    async def operation() -> None:
        nonlocal calls
        calls += 1
        async with proxied.session() as session:
            session.add(ResNote(text="one"))
            await session.flush()
            if calls == 1:
                proxy.cut(b"two")
            session.add(ResNote(text="two"))
            await session.flush()

    await ConnectionResilience(proxied, wait=wait_none()).execute_with_retry(operation)
    assert 2 == calls
    assert ["one", "two"] == await notes()


async def test_breaker_ends_the_attempts() -> None:
    """Once the circuit is open, nothing is tried any more."""
    breaker = CircuitBreaker(failures=2)
    resilience = ConnectionResilience(
        breaker=breaker, wait=wait_none(), stop=stop_after_attempt(10)
    )
    operation = Operation(*[ConnectionFailedError("away") for _ in range(10)])
    with pytest.raises(CircuitOpenError) as caught:
        await resilience.execute_with_retry(operation)
    assert 2 == operation.calls
    assert isinstance(caught.value.__cause__, ConnectionFailedError)
