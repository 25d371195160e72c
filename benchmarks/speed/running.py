"""A run: backends one after the other, and on each all operations of all systems."""

from __future__ import annotations

import datetime as dt
import gc
import importlib.metadata
import itertools
import os
import platform
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from benchmarks.speed.databases import filled, server
from benchmarks.speed.floors import FLOORS, make_floor
from benchmarks.speed.measure import Bench, Limits
from benchmarks.speed.operations import OPERATIONS
from benchmarks.speed.results import Report
from benchmarks.speed.schema import ROWS
from benchmarks.speed.singles import add_singles
from benchmarks.speed.systems import SYSTEMS, make_system
from benchmarks.speed.workload import Workload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["Plan", "measure", "new_report", "opened"]

PACKAGES = ("andamios", "sqlalchemy", "asyncpg", "asyncmy", "aiomysql", "aiosqlite", "uvloop")
PACKAGES += ("orjson", "sqlmodel", "advanced-alchemy", "tortoise-orm", "piccolo", "django")
PACKAGES += ("psycopg",)


@dataclass(frozen=True)
class Plan:
    """
    What to measure.

    Args:
        backends: Names.
        systems: Names; those that a backend does not have are left out.
        operations: Names.
        only: Pairs of backend and operation that are not left out; None: all.
        limits: How long each operation.
        rows: Rows in the table.
        provider: Who starts servers.
        url: A database for benchmarks alone that is there already, instead.
    """

    backends: tuple[str, ...] = tuple(FLOORS)
    systems: tuple[str, ...] = tuple(SYSTEMS)
    operations: tuple[str, ...] = tuple(OPERATIONS)
    only: frozenset[tuple[str, str]] | None = None
    limits: Limits = field(default_factory=Limits)
    rows: int = ROWS
    provider: str = "auto"
    url: str | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """Give backends and operations, in order."""
        return [
            (backend, name)
            for backend in self.backends
            for name in self.operations
            if self.only is None or (backend, name) in self.only
        ]


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


async def measure(plan: Plan, progress: Callable[[str, str, int], object]) -> Report:
    """
    Measure everything.

    Args:
        plan: What.
        progress: Called with backend, operation and number of each round.
    """
    report = new_report()
    for backend, pairs in itertools.groupby(plan.pairs(), key=itemgetter(0)):
        async with AsyncExitStack() as stack:
            url, source = plan.url, "an address that was given"
            if url is None:
                url, source = stack.enter_context(server(backend, plan.provider))
            report.servers[backend] = {"source": source}
            bench = await stack.enter_async_context(opened(report, backend, url, plan))
            for _, name in pairs:
                show = partial(progress, backend, name)
                report.measured.append(await bench.measure(OPERATIONS[name], show))
            await add_singles(report, backend, url)
    return report


@asynccontextmanager
async def opened(report: Report, backend: str, url: str, plan: Plan) -> AsyncIterator[Bench]:
    """
    Fill a database and connect all systems to it.

    Args:
        report: Gets the server's facts, and which systems are missing.
        backend: Which.
        url: The database.
        plan: Which systems, and how many rows.
    """
    async with AsyncExitStack() as stack:
        floor = await stack.enter_async_context(filled(url, plan.rows))
        report.servers.setdefault(backend, {}).update(await floor.facts())
        systems: dict[str, Any] = {FLOORS[backend][0]: floor}
        for name in (*FLOORS[backend][1:], *plan.systems):
            if backend not in SYSTEMS.get(name, {backend}):
                continue
            try:
                system = make_system(name) if name in SYSTEMS else make_floor(name)
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
