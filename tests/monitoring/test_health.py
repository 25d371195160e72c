"""Health: the truth, in time, whatever hangs."""

import asyncio
import datetime as dt
import json
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from andamios import AndamiosEngine, ConfigurationError
from andamios.monitoring import HealthChecker, HealthReport, HealthStatus
from harness.faults import FaultProxy
from tests.core.server import eventually
from tests.models.domain import LibWord
from tests.monitoring.conftest import EngineMaker

TIMEOUT = 0.3
SOON = TIMEOUT + 2.0
"""What a busy machine may add."""

# A connection that is given up in the middle is closed by the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


async def quiet(engine: AndamiosEngine, seconds: float = 5) -> bool:
    """Wait until no connection is checked out."""
    deadline = time.monotonic() + seconds
    while engine.connections.stats().in_use:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


async def test_a_database_that_answers(engine: AndamiosEngine) -> None:
    """It is healthy, with the time it took."""
    status = await HealthChecker(engine).check_database_connectivity()

    assert (True, "database", "") == (status.is_healthy, status.name, status.detail)
    assert 0 < status.latency < 2
    assert dt.timedelta(0) == status.checked_at.utcoffset()
    assert 0 == engine.connections.stats().in_use


async def test_an_idle_pool(engine: AndamiosEngine) -> None:
    """Nothing is in use, and nothing leaks."""
    async with engine.connections.acquire():
        health = await HealthChecker(engine).check_pool_health()

    assert health.is_healthy
    assert (1, ()) == (health.stats.in_use, health.leaks)
    assert 1 / 35 == pytest.approx(health.utilisation)  # five kept, thirty above


async def test_black_hole(engine: AndamiosEngine, make_engine: EngineMaker) -> None:
    """A server that accepts and never says anything is unhealthy in time."""
    if engine.backend == "sqlite":
        pytest.skip("SQLite has no server")
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = engine.url.set(host="127.0.0.1", port=hole.getsockname()[1])
        other = make_engine(url=url)
        began = time.monotonic()
        report = await HealthChecker(other, timeout=TIMEOUT).check_all()
        took = time.monotonic() - began
        database = report.statuses[0]

        assert TIMEOUT <= took < SOON
        assert (False, False) == (report.is_healthy, database.is_healthy)
        assert database.detail.startswith("no answer within 0.3 s")
        assert await quiet(other)


async def test_server_that_falls_silent(proxy: FaultProxy, make_engine: EngineMaker) -> None:
    """A connection on which no more answers come is unhealthy in time, and is given up."""
    engine = make_engine(url=proxy.url, pool_size=2, max_overflow=0)
    checker = HealthChecker(engine, timeout=TIMEOUT)
    await engine.open()  # on a machine with much to do, connecting takes as long as a check may
    assert (await checker.check_database_connectivity()).is_healthy
    proxy.timeout()
    began = time.monotonic()
    status = await checker.check_database_connectivity()
    took = time.monotonic() - began

    assert not status.is_healthy
    assert took < SOON
    assert await quiet(engine)
    proxy.reset()

    async def is_healthy() -> bool:
        # The check that got no answer is given up a moment after its connection.
        return (await checker.check_database_connectivity()).is_healthy

    assert await eventually(is_healthy)


async def test_server_that_is_gone(proxy: FaultProxy, make_engine: EngineMaker) -> None:
    """A refused connection is unhealthy at once, and the answer has no secrets."""
    engine = make_engine(url=proxy.url)
    await proxy.down()
    status = await HealthChecker(engine).check_database_connectivity()

    assert not status.is_healthy
    assert status.detail.startswith("ConnectionFailedError")
    assert str(engine.url.password) not in repr(status)
    assert status.latency < 2


async def test_exhausted_pool(make_engine: EngineMaker) -> None:
    """A pool from which nobody gets anything is unhealthy in time, and nobody stays in line."""
    engine = make_engine(pool_size=1, max_overflow=0)
    checker = HealthChecker(engine, timeout=TIMEOUT)
    async with engine.connections.acquire():
        began = time.monotonic()
        health, status = await asyncio.gather(
            checker.check_pool_health(), checker.check_database_connectivity()
        )
        took = time.monotonic() - began
        await asyncio.sleep(0.05)
        assert 0 == engine.connections.stats().waiting

    assert (False, False, 1.0) == (health.is_healthy, status.is_healthy, health.utilisation)
    said = "no connection came free; 1 connections in use, the pool keeps 1"
    assert (said, said, True) == (health.detail, status.detail, status.is_critical)
    assert TIMEOUT <= took < SOON
    assert await quiet(engine)
    assert (await checker.check_all()).is_healthy


async def test_exhausted_pool_that_gives_up_first(make_engine: EngineMaker) -> None:
    """The pool's own time-out, when it is the shorter one, says the same."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=0.05)
    async with engine.connections.acquire():
        status = await HealthChecker(engine).check_database_connectivity()

    assert status.detail.startswith("no connection came free")


async def test_silent_server_is_no_exhausted_pool(
    proxy: FaultProxy, make_engine: EngineMaker
) -> None:
    """A check that holds the last connection itself says that the server does not answer."""
    engine = make_engine(url=proxy.url, pool_size=1, max_overflow=0)
    checker = HealthChecker(engine, timeout=TIMEOUT)
    await engine.open()  # on a machine with much to do, connecting takes as long as a check may
    assert (await checker.check_database_connectivity()).is_healthy
    proxy.timeout()
    status = await checker.check_database_connectivity()

    assert status.detail.startswith("no answer within")
    assert await quiet(engine)


async def test_pool_that_is_full_for_a_moment(make_engine: EngineMaker) -> None:
    """A full pool that moves is healthy."""
    engine = make_engine(pool_size=1, max_overflow=0)
    checker = HealthChecker(engine, timeout=2)
    async with asyncio.TaskGroup() as group, engine.connections.acquire():
        check = group.create_task(checker.check_pool_health())
        await asyncio.sleep(0.05)
        assert not check.done()
    assert (True, 1.0) == (check.result().is_healthy, check.result().utilisation)


async def test_a_writer_is_not_in_the_way(engine: AndamiosEngine) -> None:
    """A transaction that writes for long does not make the database unhealthy."""
    checker = HealthChecker(engine, timeout=TIMEOUT)
    async with engine.session() as session:
        session.add(LibWord(word="a"))
        await session.flush()
        assert (await checker.check_database_connectivity()).is_healthy


async def test_cancelled_check(make_engine: EngineMaker) -> None:
    """A caller that gives up leaves nothing behind."""
    engine = make_engine(pool_size=1, max_overflow=0)
    checker = HealthChecker(engine, timeout=TIMEOUT)
    async with engine.connections.acquire():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(checker.check_database_connectivity(), 0.05)
    assert await quiet(engine)
    assert (await checker.check_database_connectivity()).is_healthy


async def answer_true() -> bool:
    return True


async def answer_nothing() -> None:
    return None


async def answer_false() -> bool:
    return False


async def answer_status() -> HealthStatus:
    return HealthStatus("whatever", is_healthy=False, detail="two slots behind")


async def fail() -> bool:
    raise ConnectionError("redis://:secret@cache refused")


async def cancel_itself() -> bool:
    raise asyncio.CancelledError


Check = Callable[[], Awaitable[bool | HealthStatus | None]]


@pytest.mark.parametrize(
    ("check", "is_healthy", "detail"),
    [
        (answer_true, True, ""),
        (answer_nothing, True, ""),
        (answer_false, False, "the check said no"),
        (answer_status, False, "two slots behind"),
        (fail, False, "ConnectionError"),
        (cancel_itself, False, "no answer within"),
    ],
)
async def test_registered_check(
    engine: AndamiosEngine, check: Check, is_healthy: bool, detail: str
) -> None:
    """A check answers, or raises; its errors are named without their text."""
    checker = HealthChecker(engine)
    checker.register("cache", check)
    report = await checker.check_all()
    found = report.statuses[-1]

    assert ["database", "pool", "cache"] == [status.name for status in report.statuses]
    assert (is_healthy, is_healthy) == (report.is_healthy, found.is_healthy)
    assert found.detail.startswith(detail)
    assert "secret" not in json.dumps(report.to_dict())


async def test_other_checks_say_nothing_of_the_pool(engine: AndamiosEngine) -> None:
    """The pool's numbers are told where they may be the reason, and nowhere else."""
    checker = HealthChecker(engine, timeout=0.05)
    checker.register("mail", lambda: asyncio.sleep(60))
    report = await checker.check_all()

    assert "no answer within 0.05 s" == report.statuses[-1].detail


async def test_uncritical_check(engine: AndamiosEngine) -> None:
    """What is not critical is told and does not count."""
    checker = HealthChecker(engine)
    checker.register("mail", answer_false, is_critical=False)
    report = await checker.check_all()
    told = report.to_dict()

    assert (True, True) == (report.is_healthy, told["is_healthy"])
    assert (False, False) == (
        told["checks"]["mail"]["is_healthy"],
        told["checks"]["mail"]["is_critical"],
    )


async def test_checks_run_at_the_same_time(engine: AndamiosEngine) -> None:
    """Many checks that hang take the time of one."""
    checker = HealthChecker(engine, timeout=TIMEOUT)
    for number in range(5):
        checker.register(f"slow {number}", lambda: asyncio.sleep(60))
    began = time.monotonic()
    report = await checker.check_all()

    assert time.monotonic() - began < SOON
    assert [True, True, *[False] * 5] == [status.is_healthy for status in report.statuses]


async def test_a_check_that_cannot_be_cancelled_does_not_pile_up(engine: AndamiosEngine) -> None:
    """While a check hangs nobody starts it again, and everybody is answered in time."""
    started, released = [], asyncio.Event()

    async def stubborn() -> bool:
        started.append(1)
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        return True

    checker = HealthChecker(engine, timeout=0.05)
    checker.register("stubborn", stubborn)
    began = time.monotonic()
    reports = await asyncio.gather(*(checker.check_all() for _ in range(5)))
    reports += [await checker.check_all()]
    took = time.monotonic() - began
    released.set()
    await asyncio.sleep(0.01)

    assert [False] * 6 == [report.is_healthy for report in reports]
    assert 1 == len(started)
    assert took < SOON
    assert (await checker.check_all()).is_healthy


def test_wrong_use() -> None:
    """A name that is taken and a time that is none are refused."""
    engine = AndamiosEngine("sqlite://", uvloop=False)
    with pytest.raises(ConfigurationError, match="database"):
        HealthChecker(engine).register("database", answer_true)
    with pytest.raises(ConfigurationError, match="seconds"):
        HealthChecker(engine, timeout=0)


def test_empty_report() -> None:
    """No check, no complaint."""
    assert {"is_healthy": True, "checks": {}} == HealthReport(()).to_dict()
