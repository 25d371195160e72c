"""The pool while it is resized, waited for, leaked from and closed."""

from __future__ import annotations

import ast
import asyncio
import gc
import inspect
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.pool import NullPool, Pool
from sqlalchemy.pool.base import _ConnectionRecord

from andamios import (
    AndamiosEngine,
    ConfigurationError,
    ConnectionFailedError,
    HealthMonitor,
    PoolStats,
    PoolTimeoutError,
)
from andamios.core.facts import PoolMeasured
from andamios.core.pool import PRIVATE_NAMES, LivePool
from tests.models.domain import LibWord

if TYPE_CHECKING:
    from tests.core.conftest import EngineMaker


async def hold(engine: AndamiosEngine, until: asyncio.Event) -> None:
    async with engine.connections.acquire():
        await until.wait()


async def settle() -> None:
    await asyncio.sleep(0.05)


async def test_growing_wakes_who_waits(make_engine: EngineMaker) -> None:
    """Tasks that wait for a connection open theirs as soon as the pool may be larger."""
    engine = make_engine(pool_size=1, max_overflow=0)
    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(hold(engine, done))
        await settle()
        assert PoolStats(1, 0, 1, 0, waiting=3) == engine.connections.stats()
        await engine.connections.resize(3)
        await settle()
        assert PoolStats(3, 0, 3, 0, waiting=1) == engine.connections.stats()
        done.set()
    assert PoolStats(3, 3, 0, 0) == engine.connections.stats()


async def test_shrinking_takes_from_nobody(make_engine: EngineMaker) -> None:
    """Idle connections go at once, those in use when they come back, and no work is lost."""
    engine = make_engine(pool_size=4, max_overflow=0)
    async with AsyncExitStack() as stack:
        taken = [await stack.enter_async_context(engine.connections.acquire()) for _ in range(4)]
        await taken.pop().close()
        await engine.connections.resize(1, 0)
        assert PoolStats(1, 0, 3, overflow=2) == engine.connections.stats()
        for connection in taken:
            assert 1 == await connection.scalar(text("SELECT 1"))
            await connection.rollback()
    assert PoolStats(1, 1, 0, 0) == engine.connections.stats()


async def test_who_waits_longest_is_next(make_engine: EngineMaker) -> None:
    """A connection that comes back goes to the first who waits, and no newcomer overtakes."""
    engine = make_engine(pool_size=1, max_overflow=0)
    order: list[int] = []

    async def work(number: int) -> None:
        for _ in range(3):
            async with engine.connections.acquire():
                order.append(number)
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(work(number))

    assert [0, 1, 2] * 3 == order


@pytest.mark.parametrize("steps", range(6))
async def test_a_cancelled_wait_loses_no_connection(make_engine: EngineMaker, steps: int) -> None:
    """Cancelled at the moment a connection is handed over, a task passes it on."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=5)
    done = asyncio.Event()
    holder = asyncio.create_task(hold(engine, done))
    await settle()
    waiter = asyncio.create_task(hold(engine, done))
    await asyncio.sleep(0)
    done.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait([holder, waiter])

    assert 0 == engine.connections.stats().in_use
    assert await engine.connections.validate()


async def test_failed_connects_leave_room(backend: str) -> None:
    """A connection that cannot be made does not count, and who waits tries its own."""
    if backend == "sqlite":
        pytest.skip("SQLite has no server")
    url = f"{backend}://nobody:wrong@127.0.0.1:1/none"
    engine = AndamiosEngine(url, uvloop=False, pool_size=1, max_overflow=0, pool_timeout=5)
    errors = await asyncio.gather(*(engine.open() for _ in range(5)), return_exceptions=True)

    assert {ConnectionFailedError} == {type(error) for error in errors}
    assert PoolStats(1, 0, 0, 0) == engine.connections.stats()


async def test_connections_in_use_are_closed_when_they_come_back(make_engine: EngineMaker) -> None:
    """Closing the engine leaves work alone, and keeps nothing of what it returns."""
    engine = make_engine(pool_size=2)
    async with engine.connections.acquire() as connection:
        old = engine.async_engine.pool
        await engine.close()
        assert 1 == await connection.scalar(text("SELECT 1"))
        driver_connection = (await connection.get_raw_connection()).driver_connection
    assert isinstance(old, LivePool)
    assert PoolStats(0, 0, 0, 0) == old.stats()
    assert PoolStats(2, 0, 0, 0) == engine.connections.stats()
    async with engine.connections.acquire() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not driver_connection


async def test_who_waits_survives_the_close(make_engine: EngineMaker) -> None:
    """A task that waits while the engine is closed opens a connection and works."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=5)
    done = asyncio.Event()
    holder = asyncio.create_task(hold(engine, done))
    await settle()
    waiter = asyncio.create_task(engine.connections.validate())
    await asyncio.sleep(0)
    await engine.close()

    assert await waiter
    done.set()
    await holder


@pytest.mark.parametrize(("size", "overflow"), [(0, 0), (-1, 0), (1, -2), ("many", 0)])
async def test_wrong_size(make_engine: EngineMaker, size: int, overflow: int) -> None:
    """A size that makes no sense is refused, and the pool stays as it was."""
    engine = make_engine(pool_size=2)
    with pytest.raises(ConfigurationError, match="whole number"):
        await engine.connections.resize(size, overflow)
    assert 2 == engine.connections.stats().size


async def test_other_pools_cannot_be_resized(make_engine: EngineMaker) -> None:
    """Who chose a pool of another kind is told what to change."""
    engine = make_engine(poolclass=NullPool)
    with pytest.raises(ConfigurationError, match="Leave out poolclass"):
        await engine.connections.resize(2)


async def test_a_leak_tells_its_line(make_engine: EngineMaker) -> None:
    """The report shows the program's own line, and the task, and none of the libraries'."""
    engine = make_engine(pool_size=2)
    assert [] == engine.connections.leaks(older_than=0)
    async with engine.session() as session:
        await session.execute(text("SELECT 1"))  # the line of the leak
        (leak,) = engine.connections.leaks(older_than=0)
        assert [] == engine.connections.leaks(older_than=60)

    assert "# the line of the leak" in leak.stack
    assert "sqlalchemy" not in leak.stack.lower()
    assert leak.task
    assert 0 <= leak.held < 60
    assert [] == engine.connections.leaks(older_than=0)


async def test_the_time_out_names_the_pool(make_engine: EngineMaker) -> None:
    """Who waited in vain is told so, and is no longer counted among those who wait."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=0.05)
    async with engine.connections.acquire():
        with pytest.raises(PoolTimeoutError):
            await engine.open()
        assert 0 == engine.connections.stats().waiting


async def test_monitor_grows_and_shrinks(make_engine: EngineMaker) -> None:
    """After exhaustion the pool grows up to its limit; unused, it shrinks to where it began."""
    monitor = HealthMonitor(interval=0, max_pool_size=5)
    engine = make_engine(pool_size=2, max_overflow=0, monitor=monitor)
    await engine.open()
    sizes = []
    for _ in range(3):
        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(7):
                tasks.create_task(hold(engine, done))
            await settle()
            await monitor.check()
            sizes.append(engine.connections.stats().size)
            done.set()
    for _ in range(4):
        await monitor.check()
        sizes.append(engine.connections.stats().size)

    assert [3, 4, 5] == sizes[:3]
    assert 2 == sizes[-1]


async def test_monitor_reports_a_leak_once(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that is out for long is logged with its stack, once."""
    monitor = HealthMonitor(interval=0, leak_after=0)
    engine = make_engine(pool_size=2, monitor=monitor)
    await engine.open()
    async with engine.connections.acquire():
        for _ in range(3):
            await monitor.check()
    told = [record.getMessage() for record in caplog.records if record.name == "andamios.pool"]

    assert 1 == len(told)
    assert "engine.connections.acquire()" in told[0]


async def test_monitor_runs_with_the_engine(make_engine: EngineMaker) -> None:
    """It begins when the engine opens, measures, and ends when the engine closes."""
    before = asyncio.all_tasks()
    measured: list[PoolMeasured] = []
    engine = make_engine(pool_size=2, monitor=HealthMonitor(interval=0.02))
    twice = asyncio.Event()
    engine.hooks.listen(PoolMeasured, measured.append)
    engine.hooks.listen(PoolMeasured, lambda _fact: twice.set() if len(measured) > 1 else None)
    async with engine:
        await twice.wait()
    count = len(measured)
    await asyncio.sleep(0.1)

    assert count == len(measured)
    assert PoolStats(2, 1, 0, 0) == measured[-1].stats
    assert before == asyncio.all_tasks()


async def test_monitor_outlives_any_error(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that fails in a way that nobody thought of is logged, and the next one comes."""
    engine = make_engine(monitor=HealthMonitor(interval=0.01))
    calls, twice = 0, asyncio.Event()

    async def fail() -> bool:
        nonlocal calls
        calls += 1
        if calls == 2:
            twice.set()
        raise ZeroDivisionError

    monkeypatch.setattr(engine.connections, "validate", fail)
    async with engine, asyncio.timeout(10):
        await twice.wait()

    assert "round failed" in caplog.text
    assert 0 == engine.connections.stats().idle


async def test_a_cancelled_close_closes(make_engine: EngineMaker) -> None:
    """Cancelled while it waits for the monitor, close() still closes, and is cancelled."""
    engine = make_engine(monitor=HealthMonitor(interval=30))
    await engine.open()
    assert 1 == engine.connections.stats().idle
    task = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert 0 == engine.connections.stats().idle


def test_monitor_begins_again_in_another_loop() -> None:
    """A loop that ended without closing the engine leaves no task that counts as running."""
    measured = 0

    def count(_fact: PoolMeasured) -> None:
        nonlocal measured
        measured += 1

    async def again() -> None:
        await engine.open()
        await asyncio.sleep(0.1)
        await engine.close()

    engine = AndamiosEngine("sqlite://", uvloop=False, monitor=HealthMonitor(interval=0.01))
    engine.hooks.listen(PoolMeasured, count)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    first.run_until_complete(engine.open())
    first.close()
    second.run_until_complete(again())
    second.close()
    assert measured > 1


async def test_validating_waits_for_no_writer(make_engine: EngineMaker) -> None:
    """Whoever writes may ask whether the database answers."""
    engine = make_engine(pool_size=2)
    async with engine.session() as session:
        session.add(LibWord(word="a"))
        await session.flush()
        assert await engine.connections.validate()


@pytest.mark.filterwarnings("ignore:The garbage collector")
async def test_a_forgotten_connection_is_collected(make_engine: EngineMaker) -> None:
    """One that nobody closed gives its place back, and no lock stays with it."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=5)
    connection = await engine.async_engine.connect()
    await connection.execute(text("SELECT 1"))
    del connection
    gc.collect()

    assert (0, []) == (engine.connections.stats().in_use, engine.connections.leaks(0))
    async with engine.session() as session:
        session.add(LibWord(word="a"))


WORK = """
import asyncio, os, sys
from andamios import AndamiosEngine, PoolStats

engine = AndamiosEngine(sys.argv[1], uvloop=False, pool_size=2, max_overflow=0)

async def work():
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(engine.connections.validate() for _ in range(4)))
    return all(answers) and engine.connections.stats() == PoolStats(2, 2, 0, 0)

"""

FORKING = """
with asyncio.Runner() as runner:
    assert runner.run(work())
    child = os.fork()
    if not child:
        asyncio.set_event_loop(None)
        is_well = asyncio.new_event_loop().run_until_complete(work())
        os._exit(0 if is_well else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert runner.run(work())
    runner.run(engine.close())
"""

# In a process of its own: what a closed loop leaves behind is noise when it is collected.
LOOPS = """
for _ in range(3):
    assert asyncio.run(work())
asyncio.run(engine.close())
"""


@pytest.mark.parametrize("rest", [FORKING, LOOPS], ids=["fork", "loops"])
def test_nothing_of_another_loop_or_process(test_database: str, rest: str) -> None:
    """What a parent process, or a loop that ended, left in the pool is not handed out."""
    command = [sys.executable, "-W", "ignore", "-c", WORK + rest, test_database]
    done = subprocess.run(command, capture_output=True, check=False, timeout=90, text=True)
    assert 0 == done.returncode, done.stderr


async def test_no_time_to_wait(make_engine: EngineMaker) -> None:
    """With ``pool_timeout=0`` a full pool refuses at once, and a free one does not."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=0)
    async with engine.connections.acquire():
        with pytest.raises(PoolTimeoutError):
            await engine.open()
    await engine.open()


async def test_monitor_watches_one_engine(make_engine: EngineMaker) -> None:
    """Two engines cannot share a monitor."""
    monitor = HealthMonitor(interval=0)
    first, second = make_engine(monitor=monitor), make_engine(monitor=monitor)
    await first.open()
    with pytest.raises(ConfigurationError, match="one engine"):
        await second.open()


def test_private_names_are_still_there() -> None:
    """What the pool overrides of SQLAlchemy exists, and nothing else private is used."""
    plain = Pool(lambda: None)
    private = {name for name in dir(plain) if name.startswith("_") and not name.endswith("__")}
    tree = ast.parse(inspect.getsource(inspect.getmodule(LivePool) or LivePool))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    defined = {name for name in vars(LivePool) if name.startswith("_")}

    private |= {"_do_get", "_do_return_conn"}
    private |= {name for name in dir(_ConnectionRecord) if name.startswith("_is")}

    assert set(PRIVATE_NAMES) == (used | defined) & private
