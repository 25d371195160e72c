"""Servers that are broken on purpose: each fault on each of them, as a client meets it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from sqlalchemy import text

from andamios import AndamiosEngine, AndamiosError, ConnectionFailedError
from harness.faults import DatabaseFaults
from harness.fixtures.service_faults import ServiceFaultsMaker

SOON = 15.0
"""Seconds in which whatever happens has happened."""


@pytest_asyncio.fixture
async def faults(backend: str, service_faults: ServiceFaultsMaker) -> DatabaseFaults:
    """The server of the backend."""
    return await service_faults(backend)


@pytest_asyncio.fixture
async def through(faults: DatabaseFaults) -> AsyncIterator[AndamiosEngine]:
    """An engine on it, with a table."""
    async with engine_of(faults) as made:
        await do(made, "CREATE TABLE boxes (id INTEGER PRIMARY KEY, text VARCHAR(2000))")
        yield made


@asynccontextmanager
async def engine_of(faults: DatabaseFaults, size: int = 2) -> AsyncIterator[AndamiosEngine]:
    made = AndamiosEngine(faults.url, uvloop=False, pool_size=size, max_overflow=0)
    yield made
    async with asyncio.timeout(SOON):
        await made.close()


async def do(engine: AndamiosEngine, statement: str) -> None:
    async with asyncio.timeout(SOON), engine.session() as session:
        await session.execute(text(statement))


async def put(engine: AndamiosEngine, number: int, words: str = "box") -> None:
    await do(engine, f"INSERT INTO boxes VALUES ({number}, '{words}')")


async def boxes(engine: AndamiosEngine) -> list[int]:
    async with asyncio.timeout(SOON), engine.session(read_only=True) as session:
        return sorted(await session.scalars(text("SELECT id FROM boxes")))


async def test_kill_and_start(faults: DatabaseFaults, through: AndamiosEngine) -> None:
    """What was committed is there after SIGKILL, at the same URL; meanwhile nobody gets in."""
    await put(through, 1)
    async with through.session() as session:
        await session.execute(text("INSERT INTO boxes VALUES (2, 'lost')"))
        await faults.kill()
        assert not faults.is_running
        with pytest.raises(AndamiosError):
            await session.execute(text("SELECT 1"))
        with pytest.raises(ConnectionFailedError):
            await boxes(through)
        await session.rollback()
    await faults.start()
    assert [1] == await boxes(through)


async def test_restart(faults: DatabaseFaults, through: AndamiosEngine) -> None:
    """A server that ended in order is there again, and its connections are new."""
    await put(through, 1)
    await faults.restart()
    assert [1] == await boxes(through)


@pytest.mark.parametrize(("begin", "end"), [("pause", "resume"), ("kill", "start")])
async def test_cancelled_while_it_begins(
    faults: DatabaseFaults, through: AndamiosEngine, begin: str, end: str
) -> None:
    """A fault that is cancelled while it begins is undone by what is called next, for good."""
    beginning = asyncio.create_task(getattr(faults, begin)())
    await asyncio.sleep(0.01)
    beginning.cancel()
    await asyncio.wait([beginning])
    await getattr(faults, end)()
    await asyncio.sleep(0.3)
    assert [] == await boxes(through)


async def test_pause_and_resume(faults: DatabaseFaults, through: AndamiosEngine) -> None:
    """A paused server says nothing, and answers what was asked when it goes on."""
    await put(through, 1)
    await faults.pause()
    asking = asyncio.create_task(boxes(through))
    done, _ = await asyncio.wait([asking], timeout=0.3)
    assert set() == done
    await faults.resume()
    assert [1] == await asking


async def test_too_many_connections(faults: DatabaseFaults, through: AndamiosEngine) -> None:
    """Who has a connection keeps it, and nobody else gets one until some are free."""
    await put(through, 1)
    held = await faults.too_many_connections()
    assert 20 < held
    assert [1] == await boxes(through)
    async with engine_of(faults) as late:
        with pytest.raises(ConnectionFailedError):
            await boxes(late)
        await faults.free_connections()
        assert [1] == await boxes(late)


async def test_all_connections_are_taken(faults: DatabaseFaults, through: AndamiosEngine) -> None:
    """Those that are open can be taken too."""
    await put(through, 1)
    await faults.too_many_connections(take_all=True)
    with pytest.raises(ConnectionFailedError):
        await boxes(through)
    await faults.free_connections()
    assert [1] == await boxes(through)


async def test_terminate_connections(faults: DatabaseFaults, through: AndamiosEngine) -> None:
    """Connections end in the middle of a transaction, and new ones are made."""
    async with through.session() as session:
        await session.execute(text("INSERT INTO boxes VALUES (1, 'lost')"))
        assert 1 <= await faults.terminate_connections()
        with pytest.raises(ConnectionFailedError):
            await session.execute(text("SELECT 1"))
        await session.rollback()
    assert [] == await boxes(through)


async def test_read_only(faults: DatabaseFaults, through: AndamiosEngine) -> None:
    """Writes are refused on connections that were there before, and accepted again."""
    await put(through, 1)
    await faults.read_only()
    with pytest.raises(AndamiosError):
        await put(through, 2)
    assert [1] == await boxes(through)
    await faults.read_write()
    await put(through, 2)
    assert [1, 2] == await boxes(through)


async def fill(engine: AndamiosEngine) -> int:
    for number in range(1000, 1400):
        try:
            await put(engine, number, "x" * 2000)
        except AndamiosError:
            return number
    raise AssertionError("everything was written")


async def test_full_disk(faults: DatabaseFaults, through: AndamiosEngine) -> None:
    """Writes fail when their table cannot grow; the server lives, and goes on with space."""
    await put(through, 1)
    await faults.fill_disk()
    failed = await fill(through)
    assert [1, *range(1000, failed)] == await boxes(through)
    await faults.free_disk()
    for number in range(2000, 2100):
        await put(through, number, "x" * 2000)
    assert 1 + failed - 1000 + 100 == len(await boxes(through))


async def test_everything_is_mended(faults: DatabaseFaults, through: AndamiosEngine) -> None:
    """What is broken at the end of a test is mended then, in whatever order it came."""
    await put(through, 1)
    await faults.too_many_connections()
    await faults.read_only()
    faults.proxy.latency(60)
    await faults.pause()
    await faults.mend()
    await put(through, 2)
    async with engine_of(faults) as another:
        assert [1, 2] == await boxes(another)


@pytest.mark.parametrize(
    "fault", ["kill", "pause", "fill_disk", "read_only", "too_many_connections"]
)
async def test_a_test_leaves_something_broken(faults: DatabaseFaults, fault: str) -> None:
    """So that the next one finds whether it was mended."""
    await getattr(faults, fault)()


async def test_the_next_test_finds_it_well(through: AndamiosEngine) -> None:
    """It does, and an empty database."""
    await put(through, 1)
    assert [1] == await boxes(through)
