"""Statements of cancelled tasks: they end on the server too, and nothing else does."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import String, cast, func, literal_column, select, text

from andamios import AndamiosEngine, GenericRepository
from andamios.core import endings
from andamios.core.cancels import PRIVATE_NAMES
from andamios.core.kills import Kills, Origin, origin_of
from andamios.plans.executor import Executor
from tests.core.server import COUNT, Server, eventually, other_connections
from tests.models.domain import LibWord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.fixtures.faults import FaultProxyMaker
    from tests.core.conftest import EngineMaker

FILTERS: dict[str, Any] = {
    "postgresql": cast(func.pg_sleep(5), String) == "",
    "mysql": func.sleep(5) == 0,
    "sqlite": literal_column(f"({COUNT.replace(':seconds', '5')})") > 0,
}


@pytest.fixture
def on_mysql(server: Server) -> None:
    """Skip where drivers or SQLite do it by themselves."""
    if server.backend != "mysql":
        pytest.skip("no KILL is sent there")


@pytest.fixture
def running(server: Server, engine: AndamiosEngine) -> Callable[[], Awaitable[int]]:
    """Count the statements under way in this database, as the server sees them."""

    async def count() -> int:
        async with engine.connections.acquire() as connection:
            if server.backend == "sqlite":
                return 0
            if server.backend == "mysql":
                listed = await other_connections(connection)
                return sum(row["Command"] == "Query" for row in listed)
            found = await connection.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND state = 'active'"
                )
            )
            return int(found)

    return count


async def cancelled(work: Any) -> None:
    """Begin something, and cancel it while it waits for the server."""
    task = asyncio.create_task(work)
    await asyncio.sleep(0.3)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def in_session(engine: AndamiosEngine, server: Server, seconds: float = 5) -> None:
    """Wait in a statement of a session."""
    async with engine.session() as session:
        await session.execute(server.slow(seconds))


async def ends_soon(running: Callable[[], Awaitable[int]]) -> bool:
    """Whether nothing runs any more, long before it would have ended by itself."""

    async def is_over() -> bool:
        return 0 == await running()

    return await eventually(is_over, seconds=1)


async def test_slow_list_by_the_short_way(
    make_engine: EngineMaker, server: Server, running: Callable[[], Awaitable[int]]
) -> None:
    """A read without a session ends too, and its connection is replaced."""
    engine = make_engine(pool_size=1, max_overflow=0)
    async with engine.session() as session:
        session.add(LibWord(word="one"))
    repository = GenericRepository[LibWord](engine)
    await cancelled(repository.list([FILTERS[server.backend]]))
    began = time.monotonic()
    assert 1 == await repository.count()
    assert time.monotonic() - began < 1
    assert await ends_soon(running)


async def test_write_that_waits_for_a_lock(
    engine: AndamiosEngine, server: Server, running: Callable[[], Awaitable[int]]
) -> None:
    """A write by itself that was cancelled does not happen when the lock comes free."""
    if server.backend == "sqlite":
        pytest.skip("writers wait in line, before they are sent")
    async with engine.session() as session:
        session.add(LibWord(word="old"))
    table = LibWord.__tablename__
    async with engine.session() as holder:
        await holder.execute(select(LibWord).with_for_update())
        await cancelled(Executor(engine).run(f"UPDATE {table} SET word = 'new'", (), writes=True))
        assert await ends_soon(running)
    async with engine.session(read_only=True) as session:
        assert ["old"] == list(await session.scalars(select(LibWord.word)))


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
async def test_struck_again_and_again(
    engine: AndamiosEngine, server: Server, running: Callable[[], Awaitable[int]], steps: int
) -> None:
    """Cancelled until it has left, as anyio does it, a task still ends its statement."""
    task = asyncio.create_task(in_session(engine, server))
    await asyncio.sleep(0.3)
    while not task.done():
        task.cancel()
        for _ in range(steps + 1):
            await asyncio.sleep(0)
    assert task.cancelled()
    assert await ends_soon(running)


def test_names_of_asyncpg_are_there() -> None:
    """What is private there and used here exists."""
    asyncpg = pytest.importorskip("asyncpg")
    assert set(PRIVATE_NAMES) <= set(asyncpg.Connection.__slots__)


@pytest.mark.usefixtures("on_mysql")
async def test_many_at_once_with_a_full_pool(
    engine: AndamiosEngine,
    server: Server,
    fault_proxy: FaultProxyMaker,
    running: Callable[[], Awaitable[int]],
) -> None:
    """One more connection ends them all, and it is not one of the pool."""
    proxy = await fault_proxy(engine.url)
    through = AndamiosEngine(proxy.url, uvloop=False, pool_size=8, max_overflow=0)
    tasks = [asyncio.create_task(in_session(through, server)) for _ in range(8)]
    await asyncio.sleep(0.5)
    assert (8, 8) == (await running(), proxy.connections)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await ends_soon(running)
    assert 9 == proxy.connections
    await through.close()


@pytest.mark.usefixtures("on_mysql")
async def test_closing_an_engine_waits(
    make_engine: EngineMaker, server: Server, running: Callable[[], Awaitable[int]]
) -> None:
    """When an engine is closed, nothing of it is left on the server."""
    engine = make_engine()
    await cancelled(in_session(engine, server))
    await engine.close()
    assert 0 == await running()


@pytest.mark.parametrize("extra", [0, 3])
async def test_the_event_loop_ends(
    test_database: str,
    server: Server,
    running: Callable[[], Awaitable[int]],
    caplog: pytest.LogCaptureFixture,
    extra: int,
) -> None:
    """What asyncio cancels when it shuts down ends as well, and nothing is left half done."""

    async def main() -> None:
        engine = AndamiosEngine(test_database, uvloop=False)
        loops.append(asyncio.create_task(in_session(engine, server)))
        await asyncio.sleep(0.5)
        await engine.close()
        if extra:  # struck again while it is on its way
            loops[0].cancel()
            for _ in range(extra):
                await asyncio.sleep(0)

    loops: list[asyncio.Task[None]] = []
    began = time.monotonic()
    await asyncio.to_thread(lambda: asyncio.run(main()))
    assert time.monotonic() - began < 3
    assert await ends_soon(running)
    loops.clear()
    gc.collect()
    assert [] == [
        each.getMessage()
        for each in caplog.records
        if each.levelno >= logging.WARNING and each.name in {"asyncio", "andamios.pool"}
    ]


@pytest.mark.usefixtures("on_mysql")
async def test_a_silent_server(
    engine: AndamiosEngine,
    server: Server,
    fault_proxy: FaultProxyMaker,
    caplog: pytest.LogCaptureFixture,
    running: Callable[[], Awaitable[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits for it for long, and the log says what may go on."""
    monkeypatch.setattr(endings, "LIMIT", 0.3)
    proxy = await fault_proxy(engine.url)
    through = AndamiosEngine(proxy.url, uvloop=False)
    task = asyncio.create_task(in_session(through, server, 1))
    await asyncio.sleep(0.3)
    proxy.timeout()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    began = time.monotonic()
    await through.close()
    assert time.monotonic() - began < 1
    (line,) = [each for each in caplog.messages if "may go on" in each]
    assert f"127.0.0.1:{proxy.port}" in line
    assert "TimeoutError" in line
    assert await ends_soon(running)


@pytest.mark.usefixtures("on_mysql")
async def test_password_provider_is_asked_again(
    engine: AndamiosEngine, server: Server, running: Callable[[], Awaitable[int]]
) -> None:
    """A password that expires is not taken from the connection that is given up."""
    asked = 0

    async def provide() -> str:
        nonlocal asked
        asked += 1
        return str(engine.url.password)

    url = engine.url.set(password=f"no {time.time()}")
    guarded = AndamiosEngine(url, uvloop=False, password_provider=provide)
    await cancelled(in_session(guarded, server))
    assert await ends_soon(running)
    assert 2 == asked
    await guarded.close()


@pytest.mark.usefixtures("on_mysql")
@pytest.mark.parametrize(
    ("place", "is_ended"),
    [(None, True), (0, False), (1, False), (2, False)],
    ids=["the same", "another host", "another port", "another start"],
)
async def test_never_a_stranger(
    engine: AndamiosEngine, server: Server, place: int | None, is_ended: bool
) -> None:
    """A number counts only on the server, and in the life of it, that gave it."""

    async def is_gone(victim: Origin) -> bool:
        async with engine.connections.acquire() as connection:
            return victim.thread not in {row["Id"] for row in await other_connections(connection)}

    async with engine.connections.acquire() as connection:
        raw = await connection.get_raw_connection()
        victim = origin_of(raw.driver_connection)
        assert victim is not None
        assert 1 >= abs(victim.server[2] % 2**32 - (time.time() - await server.uptime()))
        there: list[Any] = list(victim.server)
        if place is not None:
            there[place] = "another"
        killer = Kills(engine.async_engine.dialect)
        killer.add(replace(victim, server=(there[0], there[1], there[2])))
        await killer.settle()
        assert is_ended is await eventually(lambda: is_gone(victim), seconds=0.3)
        if is_ended:
            await connection.invalidate()
