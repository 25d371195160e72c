"""
How it scales: throughput against tasks and processes, time and memory against rows.

On PostgreSQL: the raw driver, Andamios and SQLAlchemy's ORM. These are absolute figures, so they
belong to one machine; what is to be seen is how they grow.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing
from dataclasses import asdict, dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import psutil
import uvloop

from benchmarks.speed.databases import filled
from benchmarks.speed.floors import FLOORS, make_floor
from benchmarks.speed.systems import SYSTEMS, make_system

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Barrier

__all__ = ["COMPARED", "Scaling", "measure_scaling", "memory_of"]

COMPARED = (FLOORS["postgresql"][0], "andamios", "sqlalchemy_orm")
TASKS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PROCESSES = (1, 2)
ROWS = (1, 10, 100, 1000, 10_000, 100_000)
GETS = 1024
"""Rows that are got for one figure, by however many tasks."""

ROUNDS = 3
SECONDS = 3.0
"""How long processes get rows."""

Curve = dict[str, dict[int, float]]
"""Figures by system, and by what they are against."""


@dataclass(frozen=True)
class Scaling:
    """
    What was measured.

    Args:
        tasks: Rows got a second, by tasks.
        processes: Rows got a second, by processes.
        times: Milliseconds of a list, by rows.
        listed: Megabytes of a process that holds a list, above one without, by rows.
        iterated: Megabytes of a process that goes through rows one by one.
    """

    tasks: Curve
    processes: Curve
    times: Curve
    listed: Curve
    iterated: Curve

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return asdict(self)


def measure_scaling(url: str, rows: int, progress: Callable[[str], object]) -> Scaling:
    """
    Measure all curves.

    Args:
        url: A database for benchmarks alone, on PostgreSQL.
        rows: How many are in the table, and the end of the curves against rows.
        progress: Called with what is being measured.
    """
    curves: dict[str, Curve] = {name: {} for name in Scaling.__dataclass_fields__}
    sizes = [count for count in ROWS if count <= rows]
    uvloop.run(_fill(url, rows))
    for name in COMPARED:
        progress(f"{name}: tasks and lists")
        curves["tasks"][name], curves["times"][name] = uvloop.run(_in_process(name, url, sizes))
        progress(f"{name}: processes")
        curves["processes"][name] = {count: _together(name, url, count) for count in PROCESSES}
        progress(f"{name}: memory")
        for way in ("listed", "iterated"):
            curves[way][name] = _memory(name, url, sizes, way)
    return Scaling(**curves)


def _system(name: str) -> Any:
    return make_system(name) if name in SYSTEMS else make_floor(name)


async def _fill(url: str, rows: int) -> None:
    async with filled(url, rows):
        pass


async def _in_process(
    name: str, url: str, sizes: list[int]
) -> tuple[dict[int, float], dict[int, float]]:
    system = _system(name)
    await system.open(url)
    try:
        most = sizes[-1]
        await _throughput(system, TASKS[-1], most)  # opens all connections
        tasks = {count: await _throughput(system, count, most) for count in TASKS}
        return tasks, {count: await _listing(system, count) for count in sizes}
    finally:
        await system.close()


async def _throughput(system: Any, tasks: int, rows: int) -> float:
    draw = Random(tasks)
    found = []
    for _ in range(ROUNDS):
        keys = [[draw.randint(1, rows) for _ in range(GETS // tasks)] for _ in range(tasks)]
        begun = time.perf_counter()
        await system.get_concurrently(keys)
        found.append(GETS / (time.perf_counter() - begun))
    return round(statistics.median(found), 1)


async def _listing(system: Any, count: int) -> float:
    found = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        rows = await system.list_rows(count)
        found.append((time.perf_counter() - begun) * 1000)
        del rows  # not while the next one is read
    return round(statistics.median(found[1:]), 3)


def _together(name: str, url: str, processes: int) -> float:
    """Let processes get rows at the same time; add up what they got a second."""
    spawning = multiprocessing.get_context("spawn")
    start = spawning.Barrier(processes)
    with ProcessPoolExecutor(processes, spawning, _wait_at, (start,)) as pool:
        running = [pool.submit(_get_for_a_while, name, url) for _ in range(processes)]
        return round(sum(each.result() for each in running), 1)


_starts: list[Barrier] = []
"""Where this process waits for the others."""


def _wait_at(start: Barrier) -> None:
    _starts.append(start)


def _get_for_a_while(name: str, url: str) -> float:
    return uvloop.run(_gets(name, url))


async def _gets(name: str, url: str) -> float:
    system = _system(name)
    await system.open(url)
    try:
        keys = [list(range(1, 21)) for _ in range(16)]
        await system.get_concurrently(keys)
        await asyncio.to_thread(_starts[0].wait)
        begun, got = time.perf_counter(), 0
        while (passed := time.perf_counter() - begun) < SECONDS:
            got += await system.get_concurrently(keys)
        return got / passed
    finally:
        await system.close()


def _memory(name: str, url: str, sizes: list[int], way: str) -> dict[int, float]:
    """Ask a process of its own, since memory that was used once stays with a process."""
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawning) as pool:
        return pool.submit(memory_of, name, url, sizes, way).result()


def memory_of(name: str, url: str, sizes: list[int], way: str) -> dict[int, float]:
    """
    Tell how much memory this process needs for rows, above what it needs for one.

    Args:
        name: The system.
        url: The database.
        sizes: Numbers of rows, the smallest first.
        way: ``listed`` holds them all, ``iterated`` goes through them.

    Returns:
        Megabytes by rows.
    """
    return uvloop.run((_listed if way == "listed" else _iterated)(name, url, sizes))


async def _listed(name: str, url: str, sizes: list[int]) -> dict[int, float]:
    system, found = _system(name), {}
    await system.open(url)
    try:
        await system.list_rows(1)
        before = _megabytes()
        for size in sizes:
            held = await system.list_rows(size)
            found[size] = round(_megabytes() - before, 2)
            del held
    finally:
        await system.close()
    return found


async def _iterated(name: str, url: str, sizes: list[int]) -> dict[int, float]:
    system, found, count = _system(name), {}, 0
    await system.open(url)
    try:
        await system.list_rows(1)
        before = _megabytes()
        async with aclosing(system.iterate()) as rows:
            async for _ in rows:
                count += 1
                if count in sizes:
                    found[count] = round(_megabytes() - before, 2)
    finally:
        await system.close()
    return found


def _megabytes() -> float:
    return psutil.Process().memory_info().rss / 1e6
