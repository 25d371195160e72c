"""The circuit breaker: closed, open, half-open."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from andamios.errors import (
    CircuitOpenError,
    ConfigurationError,
    DeadlineExceededError,
    DuplicateError,
    PoolTimeoutError,
)
from andamios.resilience import CircuitBreaker, ConnectionResilience


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    """Two failures open it, for ten seconds."""
    return CircuitBreaker(2, 10, clock=clock)


def failing(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


async def succeed() -> str:
    return "done"


async def fail_often(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ConnectionRefusedError):
            await breaker.call(failing(ConnectionRefusedError()))


async def test_opens_after_failures_in_a_row(breaker: CircuitBreaker) -> None:
    """The error then says how often it failed and when to try again."""
    await fail_often(breaker, 1)
    assert "done" == await breaker.call(succeed)
    await fail_often(breaker, 2)
    assert "open" == breaker.state
    with pytest.raises(CircuitOpenError, match=r"failed 2 times in a row.*in 10\.0 s"):
        await breaker.call(succeed)


async def test_answers_of_the_server_do_not_count(breaker: CircuitBreaker) -> None:
    """A server that refuses a row is there."""
    await fail_often(breaker, 1)
    with pytest.raises(DuplicateError):
        await breaker.call(failing(DuplicateError("there")))
    await fail_often(breaker, 1)
    assert "closed" == breaker.state


async def test_an_exhausted_pool_says_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    """Who got no connection did not ask the server, which may still be away."""
    await fail_often(breaker, 1)
    with pytest.raises(PoolTimeoutError):
        await breaker.call(failing(PoolTimeoutError("full")))
    await fail_often(breaker, 1)
    assert "open" == breaker.state
    clock.now += 10
    with pytest.raises(PoolTimeoutError):
        await breaker.call(failing(PoolTimeoutError("full")))
    assert "half-open" == breaker.state
    assert "done" == await breaker.call(succeed)


async def test_deadlines_count(breaker: CircuitBreaker, clock: Clock) -> None:
    """A server that is silent lets every caller wait, which is what a breaker is to end."""
    late = failing(DeadlineExceededError("late"))
    for _ in range(2):
        with pytest.raises(DeadlineExceededError):
            await breaker.call(late)
    assert "open" == breaker.state
    clock.now += 10
    with pytest.raises(DeadlineExceededError):
        await breaker.call(late)
    assert "open" == breaker.state


async def test_the_servers_own_limit_is_an_answer(breaker: CircuitBreaker) -> None:
    """A statement that the server gave up because of its own limit shows that it is there."""
    await fail_often(breaker, 1)
    with pytest.raises(DeadlineExceededError):
        await breaker.call(failing(DeadlineExceededError("slow", code="57014")))
    assert 0 == breaker.failures


async def test_deadline_of_a_retry(breaker: CircuitBreaker, clock: Clock) -> None:
    """It reaches the breaker as a cancellation, of which it asks where it came from."""
    resilience = ConnectionResilience(breaker=breaker)
    for _ in range(2):
        with pytest.raises(DeadlineExceededError):
            await resilience.execute_with_retry(asyncio.Event().wait, deadline=0.02)
    with pytest.raises(CircuitOpenError):
        await resilience.execute_with_retry(succeed)
    clock.now += 10
    with pytest.raises(DeadlineExceededError):
        await resilience.execute_with_retry(asyncio.Event().wait, deadline=0.02)
    assert "open" == breaker.state


async def test_one_trial_closes_it(breaker: CircuitBreaker, clock: Clock) -> None:
    """After the pause one call goes through, others are refused until it is done."""
    await fail_often(breaker, 2)
    clock.now += 10
    assert "half-open" == breaker.state
    may_end = asyncio.Event()
    trial = asyncio.create_task(breaker.call(may_end.wait))
    await asyncio.sleep(0)
    with pytest.raises(CircuitOpenError, match="trial under way"):
        await breaker.call(succeed)
    may_end.set()
    await trial
    assert "closed" == breaker.state
    await fail_often(breaker, 1)
    assert "closed" == breaker.state


async def test_failed_trial_opens_it_again(breaker: CircuitBreaker, clock: Clock) -> None:
    """The pause then begins anew."""
    await fail_often(breaker, 2)
    clock.now += 10
    await fail_often(breaker, 1)
    clock.now += 9
    assert "open" == breaker.state
    clock.now += 1
    assert "done" == await breaker.call(succeed)


async def test_cancelled_trial_leaves_room_for_the_next(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    """A cancellation says nothing about the server."""
    await fail_often(breaker, 2)
    clock.now += 10
    trial = asyncio.create_task(breaker.call(asyncio.Event().wait))
    await asyncio.sleep(0)
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    assert "half-open" == breaker.state
    assert "done" == await breaker.call(succeed)


async def test_late_success_does_not_close_it(breaker: CircuitBreaker) -> None:
    """A call that began before the circuit opened knows nothing newer."""
    may_end = asyncio.Event()
    early = asyncio.create_task(breaker.call(may_end.wait))
    await asyncio.sleep(0)
    await fail_often(breaker, 2)
    may_end.set()
    await early
    assert "open" == breaker.state


@pytest.mark.parametrize(("failures", "reset_after"), [(0, 1), (1, -1)])
def test_numbers_that_make_no_sense(failures: int, reset_after: float) -> None:
    """They are refused when the breaker is made."""
    with pytest.raises(ConfigurationError, match="circuit breaker"):
        CircuitBreaker(failures, reset_after)
