"""A run: backends one after the other, and on each all operations of all systems."""

from __future__ import annotations

import datetime as dt
import gc
import importlib.metadata
import os
import platform
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.speed.databases import filled, server
from benchmarks.speed.floors import FLOORS, make_floor
from benchmarks.speed.measure import Bench, Limits
from benchmarks.speed.operations import OPERATIONS
from benchmarks.speed.results import Report
from benchmarks.speed.schema import ROWS
from benchmarks.speed.systems import SYSTEMS, make_system
from benchmarks.speed.workload import Workload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["Plan", "measure_backend", "new_report"]

PACKAGES = ("andamios", "sqlalchemy", "asyncpg", "asyncmy", "aiomysql", "aiosqlite", "uvloop")
PACKAGES += ("orjson", "sqlmodel", "advanced-alchemy", "tortoise-orm", "piccolo", "django")
PACKAGES += ("psycopg",)

Progress = "Callable[[str, str, int], object]"


@dataclass(frozen=True)
class Plan:
    """
    What to measure.

    Args:
        systems: Names; those that a backend does not have are left out.
        operations: Names.
        limits: How long each operation.
        rows: Rows in the table.
        provider: Who starts servers.
        url: A database for benchmarks alone that is there already, instead.
    """

    systems: tuple[str, ...] = tuple(SYSTEMS)
    operations: tuple[str, ...] = tuple(OPERATIONS)
    limits: Limits = field(default_factory=Limits)
    rows: int = ROWS
    provider: str = "auto"
    url: str | None = None


def new_report() -> Report:
    """Begin a report with what is known before."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    machine = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
    }
    return Report(dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), machine, versions)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123  no real file
            names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


async def measure_backend(
    report: Report, backend: str, plan: Plan, progress: Callable[[str, str, int], object]
) -> None:
    """
    Measure everything on one backend, and write it into the report.

    Args:
        report: Gets the figures, the server's facts, and why a system is missing.
        backend: Which.
        plan: What.
        progress: Called with backend, operation and number of each round.
    """
    async with _bench(report, backend, plan) as bench:
        for name in plan.operations:
            done = await bench.measure(
                OPERATIONS[name], lambda number, name=name: progress(backend, name, number)
            )
            report.measured.append(done)


@asynccontextmanager
async def _bench(report: Report, backend: str, plan: Plan) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        url, source = plan.url, "an address that was given"
        if url is None:
            url, source = stack.enter_context(server(backend, plan.provider))
        floor = await stack.enter_async_context(filled(url, plan.rows))
        report.servers[backend] = {**await floor.facts(), "source": source}
        systems: dict[str, Any] = {FLOORS[backend][0]: floor}
        others = [(name, make_floor) for name in FLOORS[backend][1:]]
        chosen = [name for name in plan.systems if backend in SYSTEMS[name]]
        for name, make in (*others, *((name, make_system) for name in chosen)):
            try:
                system = make(name)
                await system.open(url)
            except ImportError as error:
                report.servers[backend][f"without {name}"] = f"{error}"
                continue
            stack.push_async_callback(system.close)
            systems[name] = system
        # What ten libraries brought along would be looked through again and again.
        gc.collect()
        gc.freeze()
        yield Bench(backend, systems, floor, Workload(floor, plan.rows), plan.limits)
