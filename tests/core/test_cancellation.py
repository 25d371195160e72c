"""Cancellation: wherever it strikes, no connection stays out and no transaction open."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.util import await_only

from andamios import AndamiosEngine, AsyncSession
from andamios.core.facts import ConnectionReturned
from harness.faults import cancelled_everywhere
from tests.core.conftest import EngineMaker
from tests.core.server import Server, eventually
from tests.models.domain import LibWord

# A connection that is struck between its making and its set-up, which SQLAlchemy then
# forgets, is closed by the garbage collector, with a warning.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect what a test left behind while the test still answers for it."""
    yield
    gc.collect()


Work = Callable[[AndamiosEngine, Server], Coroutine[Any, Any, None]]


async def in_execute(engine: AndamiosEngine, server: Server) -> None:
    """Wait in a statement, after a write."""
    async with engine.session() as session:
        session.add(LibWord(word="gone"))
        await session.flush()
        await session.execute(server.slow())


async def in_own_code(engine: AndamiosEngine, _server: Server) -> None:
    """Wait in code of the block, after a write."""
    async with engine.session() as session:
        session.add(LibWord(word="gone"))
        await session.flush()
        await asyncio.sleep(5)


async def in_savepoint(engine: AndamiosEngine, server: Server) -> None:
    """Wait in a statement inside a savepoint."""
    async with engine.session() as session, session.begin_nested():
        session.add(LibWord(word="gone"))
        await session.flush()
        await session.execute(server.slow())


async def in_stream(engine: AndamiosEngine, _server: Server) -> None:
    """Wait between the rows of a stream."""
    async with engine.session() as session:
        session.add_all(LibWord(word=f"gone{number}") for number in range(50))
        await session.flush()
        async for _ in await session.stream(select(LibWord)):
            await asyncio.sleep(5)


async def in_acquire(engine: AndamiosEngine, server: Server) -> None:
    """Wait in a statement on a bare connection."""
    async with engine.connections.acquire() as connection:
        await connection.execute(text("UPDATE lib_word SET word = word"))
        await connection.execute(server.slow())


PLACES = [in_execute, in_own_code, in_savepoint, in_stream, in_acquire]


async def is_quiet(engine: AndamiosEngine, server: Server) -> bool:
    """Whether nothing is checked out, and nothing open on the server."""
    return 0 == engine.connections.stats().in_use and 0 == await server.open_transactions()


async def words(engine: AndamiosEngine) -> list[str]:
    """Give what is committed."""
    async with engine.session(read_only=True) as session:
        return list(await session.scalars(select(LibWord.word)))


@pytest.mark.parametrize("work", PLACES)
async def test_cancelled_task(engine: AndamiosEngine, server: Server, work: Work) -> None:
    """A task that is cancelled at an await leaves nothing behind, and is rolled back."""
    task = asyncio.create_task(work(engine, server))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await eventually(lambda: is_quiet(engine, server))
    assert [] == await words(engine)


@pytest.mark.parametrize("work", [in_execute, in_own_code])
async def test_time_out_in_the_same_task(
    engine: AndamiosEngine, server: Server, work: Work
) -> None:
    """After a time-out the task goes on, and can write again at once."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await work(engine, server)
    async with engine.session() as session:
        session.add(LibWord(word="kept"))
    assert ["kept"] == await words(engine)
    assert await eventually(lambda: is_quiet(engine, server))


@pytest.mark.parametrize("delay", [0, 1, 2, 3, 5, 8])
async def test_cancelled_after_some_steps(
    engine: AndamiosEngine, server: Server, delay: int
) -> None:
    """Struck at any step of its way, a block commits all or nothing, and ends clean."""

    async def work() -> None:
        async with engine.session() as session:
            session.add_all([LibWord(word="one"), LibWord(word="two")])

    task = asyncio.create_task(work())
    for _ in range(delay):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await eventually(lambda: is_quiet(engine, server))
    assert await words(engine) in ([], ["one", "two"])


async def test_cancelled_at_every_moment(engine: AndamiosEngine, server: Server) -> None:
    """Many blocks, struck at moments spread over connect, execute, commit and close."""

    async def work(number: int) -> None:
        async with engine.session() as session:
            session.add_all([LibWord(word=f"a{number}"), LibWord(word=f"b{number}")])
            await session.flush()
            await session.execute(select(LibWord))

    for number in range(25):
        task = asyncio.create_task(work(number))
        await asyncio.sleep(number * 0.0004)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await eventually(lambda: is_quiet(engine, server))
    found = await words(engine)
    firsts = {word[1:] for word in found if word.startswith("a")}
    assert firsts == {word[1:] for word in found if word.startswith("b")}


@pytest.mark.parametrize("work", [in_execute, in_own_code])
async def test_cancelled_twice(engine: AndamiosEngine, server: Server, work: Work) -> None:
    """A second cancellation while the connection is on its way back stops nothing."""
    task = asyncio.create_task(work(engine, server))
    await asyncio.sleep(0.05)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await eventually(lambda: is_quiet(engine, server))


async def test_cancelled_while_waiting_for_the_pool(
    make_engine: EngineMaker, server: Server
) -> None:
    """A task that waited for a connection in vain takes none with it."""
    engine = make_engine(pool_size=1, max_overflow=0)
    async with engine.session() as session:
        await session.execute(select(LibWord))
        waiting = asyncio.create_task(words(engine))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert await eventually(lambda: is_quiet(engine, server))
    assert [] == await words(engine)


async def test_cancelled_while_connecting(make_engine: EngineMaker, server: Server) -> None:
    """A connection that is still being made is not lost from the pool's count."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=2)
    for delay in (0, 0.0005, 0.001, 0.002, 0.005):
        task = asyncio.create_task(words(engine))
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await eventually(lambda: is_quiet(engine, server))
    assert [] == await words(engine)


async def test_cancelled_statement_stops_on_the_server(
    engine: AndamiosEngine, server: Server
) -> None:
    """A statement of five seconds does not go on for five seconds."""

    async def work() -> None:
        async with engine.session() as session:
            session.add(LibWord(word="gone"))
            await session.flush()
            await session.execute(server.slow(5))

    task = asyncio.create_task(work())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await eventually(lambda: is_quiet(engine, server), seconds=2)


async def test_task_group(engine: AndamiosEngine, server: Server) -> None:
    """A task group that fails cancels its other tasks cleanly."""

    async def fail() -> None:
        await asyncio.sleep(0.05)
        raise KeyError

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(in_own_code(engine, server))
            group.create_task(fail())

    with pytest.raises(ExceptionGroup):
        await work()
    assert await eventually(lambda: is_quiet(engine, server))
    assert [] == await words(engine)


async def test_cancelled_while_opening(engine: AndamiosEngine) -> None:
    """An engine whose block is not entered, since that was cancelled, keeps no connection."""

    async def work() -> None:
        async with AndamiosEngine(engine.url, uvloop=False, pool_size=2) as own:
            seen.append(own)

    seen: list[AndamiosEngine] = []
    async for strike in cancelled_everywhere(work):
        assert () == strike.faults
    assert 2 < len(seen)


async def test_cancelled_while_invalidating(engine: AndamiosEngine, server: Server) -> None:
    """A session that gives its connection up does so to the end, and others write at once."""
    sessions: list[AsyncSession] = []

    async def work() -> None:
        sessions.append(AsyncSession(engine))
        sessions[-1].add(LibWord(word="gone"))
        await sessions[-1].flush()
        await sessions[-1].invalidate()

    async for strike in cancelled_everywhere(work):
        assert () == strike.faults
        assert await eventually(lambda: is_quiet(engine, server)), strike
        async with asyncio.timeout(2):
            async with engine.session() as other:
                other.add(LibWord(word=f"{strike.moment} {strike.number}"))
            await sessions[-1].close()


async def test_a_listener_that_is_cancelled_keeps_no_connection(
    make_engine: EngineMaker, server: Server
) -> None:
    """A connection goes back to the pool though the task that gave it back is cancelled."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=2)
    engine.hooks.listen(ConnectionReturned, lambda _: await_only(asyncio.sleep(0)))

    async def work() -> None:
        async with engine.session() as session:
            await session.execute(select(LibWord))
        async with asyncio.timeout(5):
            await asyncio.sleep(0)

    async for strike in cancelled_everywhere(work):
        assert () == strike.faults
        assert await eventually(lambda: is_quiet(engine, server)), strike


async def test_cancelled_while_a_level_is_set(make_engine: EngineMaker, server: Server) -> None:
    """A connection is not lost whose isolation level is being set, or put back."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=2)

    async def work() -> None:
        async with engine.session(isolation="SERIALIZABLE") as session:
            await session.execute(select(LibWord))

    async for strike in cancelled_everywhere(work):
        assert () == strike.faults
        assert await eventually(lambda: is_quiet(engine, server)), strike
        assert [] == await words(engine), strike
