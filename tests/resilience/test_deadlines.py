"""Operations that are repeated until their time is up."""

import asyncio
import time

import pytest
from sqlalchemy import text
from tenacity import wait_fixed, wait_none

from andamios import AndamiosEngine
from andamios.errors import (
    CommitOutcomeUnknownError,
    ConnectionFailedError,
    DeadlineExceededError,
    SerializationError,
)
from andamios.resilience import CircuitBreaker, ConnectionResilience
from harness.faults import FaultProxy
from tests.core.conftest import server
from tests.core.server import Server, eventually
from tests.resilience.conftest import NoteReader
from tests.resilience.models import ResNote

__all__ = ["server"]


async def test_the_statement_ends_on_the_server(
    engine: AndamiosEngine, server: Server, notes: NoteReader
) -> None:
    """What is under way when the time is up is cancelled there too, and rolled back."""

    async def operation() -> None:
        async with engine.session() as session:
            session.add(ResNote(text="gone"))
            await session.flush()
            await session.execute(server.slow(5))

    began = time.monotonic()
    with pytest.raises(DeadlineExceededError, match=r"0\.3 s for the operation"):
        await ConnectionResilience(engine).execute_with_retry(operation, deadline=0.3)
    assert time.monotonic() - began < 4

    async def is_quiet() -> bool:
        return 0 == await server.open_transactions()

    assert await eventually(is_quiet, seconds=2)
    assert [] == await notes()


async def test_pauses_count(engine: AndamiosEngine) -> None:
    """The time is for all attempts, and the error's cause is what the last one met."""

    async def fail() -> None:
        raise SerializationError("collided")

    resilience = ConnectionResilience(engine, wait=wait_fixed(5))
    with pytest.raises(DeadlineExceededError) as caught:
        await resilience.execute_with_retry(fail, deadline=0.1)
    assert isinstance(caught.value.__cause__, SerializationError)


async def test_within_its_time() -> None:
    """An operation that is done in time is not touched, and one may have no deadline."""

    async def succeed() -> str:
        await asyncio.sleep(0)
        return "done"

    assert "done" == await ConnectionResilience().execute_with_retry(succeed, deadline=5)
    assert "done" == await ConnectionResilience().execute_with_retry(succeed, deadline=None)


async def test_a_time_out_of_its_own() -> None:
    """What the operation itself gives up stays what it is."""

    async def give_up() -> None:
        raise TimeoutError("mine")

    resilience = ConnectionResilience(wait=wait_none(), retry=lambda _state: False)
    with pytest.raises(TimeoutError, match="mine"):
        await resilience.execute_with_retry(give_up, deadline=5)


async def test_the_time_is_up_during_commit(proxied: AndamiosEngine, proxy: FaultProxy) -> None:
    """Nobody knows then whether it happened, and it is not said that it did not."""

    async def operation() -> None:
        async with proxied.session() as session:
            session.add(ResNote(text="perhaps"))
            await session.flush()
            await session.execute(text("SELECT 1"))

    async with proxied.session(read_only=True) as session:
        await session.execute(text("SELECT 1"))  # connected, for which some drivers commit
    proxy.cut(b"COMMIT", "held")
    began = time.monotonic()
    with pytest.raises(CommitOutcomeUnknownError, match=r"0\.5 s for the operation"):
        await ConnectionResilience(proxied).execute_with_retry(operation, deadline=0.5)
    assert time.monotonic() - began < 5
    proxy.reset()


async def test_a_breaker_tells_its_state() -> None:
    """A health page shows how often it failed and when it is tried again."""
    now = 100.0
    breaker = CircuitBreaker(2, 10, clock=lambda: now)
    resilience = ConnectionResilience(breaker=breaker, wait=wait_none())

    async def fail() -> None:
        raise ConnectionFailedError("away")

    assert resilience.breaker is breaker
    assert (0, 0.0) == (breaker.failures, breaker.retry_after)
    for _ in range(2):
        with pytest.raises(ConnectionFailedError):
            await breaker.call(fail)
    assert (2, 10.0, "open") == (breaker.failures, breaker.retry_after, breaker.state)
    now += 11
    assert (0.0, "half-open") == (breaker.retry_after, breaker.state)
