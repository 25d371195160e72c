"""
How speed is measured: as a ratio to the raw driver, in the same round of the same run.

Machines are shared and noisy, so absolute times say little. Each round first runs the
raw driver (the floor) and then Andamios; the figure is the median of the rounds' ratios.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from floors import Floor, open_floor
from sqlalchemy import text
from tables import BenchRow, make_rows

from andamios import AndamiosEngine, GenericRepository
from harness.databases import TestDatabaseManager, run_now

RESULTS = pytest.StashKey[list[dict[str, Any]]]()

Work = Callable[[], Awaitable[object]]


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    """One uvloop for floor and system alike."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as opened:
        yield opened


@pytest.fixture(scope="session")
def durable_database(
    database_manager: TestDatabaseManager, backend: str, runner: asyncio.Runner
) -> Iterator[str]:
    """A database on a server that really writes to disk, as servers in use do."""
    url = run_now(database_manager.create_test_database("bench"))
    if backend == "postgresql":
        runner.run(_make_durable(url))
    yield url
    run_now(database_manager.cleanup_test_database("bench"))


@pytest.fixture(scope="session")
def bench_engine(durable_database: str, runner: asyncio.Runner) -> Iterator[AndamiosEngine]:
    """An engine with 10,000 rows behind it."""
    engine = AndamiosEngine(durable_database, uvloop=False)
    runner.run(_fill(engine))
    yield engine
    runner.run(engine.close())


@pytest.fixture(scope="session")
def floor(durable_database: str, runner: asyncio.Runner) -> Iterator[Floor]:
    """The raw driver on a connection that is held, autocommitting."""
    opened = runner.run(open_floor(durable_database))
    yield opened
    runner.run(opened.close())


@pytest.fixture
def compare(
    benchmark: Any, runner: asyncio.Runner, backend: str, request: pytest.FixtureRequest
) -> Callable[..., None]:
    """Measure a piece of work against its floor, rounds interleaved."""

    def measure(operation: str, floor_work: Work, work: Work, *, times: int = 1) -> None:
        floors: list[float] = []

        def floor_round() -> None:
            begun = time.perf_counter()
            runner.run(_repeat(floor_work, times))
            floors.append(time.perf_counter() - begun)

        def work_round() -> None:
            runner.run(_repeat(work, times))

        floor_round(), work_round()  # warm both
        floors.clear()
        benchmark.pedantic(work_round, setup=floor_round, rounds=30, iterations=1)
        taken = benchmark.stats.stats.data
        ratios = sorted(mine / raw for mine, raw in zip(taken, floors, strict=True))
        result = {
            "operation": operation,
            "backend": backend,
            "floor_us": round(statistics.median(floors) / times * 1e6, 1),
            "andamios_us": round(statistics.median(taken) / times * 1e6, 1),
            "ratio": round(statistics.median(ratios), 2),
        }
        benchmark.extra_info.update(result)
        request.config.stash.setdefault(RESULTS, []).append(result)

    return measure


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the ratios and write them down."""
    results = terminalreporter.config.stash.get(RESULTS, [])
    if not results:
        return
    terminalreporter.section("ratio to the raw driver (median of 30 interleaved rounds)")
    for row in results:
        terminalreporter.write_line(
            f"{row['backend']:<12}{row['operation']:<16}floor {row['floor_us']:>9} µs   "
            f"andamios {row['andamios_us']:>9} µs   ratio {row['ratio']:>6}"
        )
    path = Path("reports/benchmarks.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2), encoding="utf-8")


async def _repeat(work: Work, times: int) -> None:
    for _ in range(times):
        await work()


async def _make_durable(url: str) -> None:
    engine = AndamiosEngine(url, uvloop=False, pool_size=1)
    autocommit = engine.async_engine.execution_options(isolation_level="AUTOCOMMIT")
    async with autocommit.connect() as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            await connection.execute(text(f"ALTER SYSTEM SET {setting} = on"))
        await connection.execute(text("SELECT pg_reload_conf()"))
    await engine.close()


async def _fill(engine: AndamiosEngine) -> None:
    await engine.create_all(BenchRow)
    rows = GenericRepository[BenchRow](engine)
    if await rows.count() == 0:
        await rows.create_many(make_rows(10_000))
