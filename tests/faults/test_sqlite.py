"""What SQLite can suffer: processes that die, a full disk, a lock that others hold, no writes."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from andamios import AndamiosEngine
from harness.faults.trials import Trial, try_fault
from tests.faults.conftest import POOL, is_whole, keep, plan_of
from tests.faults.stores import SetStore, prepare
from tests.faults.test_servers import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from harness.faults import SQLiteFaults
    from harness.fixtures.service_faults import SQLiteFaultsMaker

pytestmark = [pytest.mark.faults]

ELEMENTS = 40
VERSION = f"SQLite {sqlite3.sqlite_version}"

CHILD = """
import asyncio, sys
from andamios import AndamiosEngine
from tests.faults.stores import SetStore

async def main():
    async with AndamiosEngine(sys.argv[1], uvloop=False) as engine:
        store = SetStore(engine)
        for element in range(1, 1_000_000):
            await store.add(element)
            print(element, flush=True)

asyncio.run(main())
"""


async def writer_dies(faults: SQLiteFaults) -> None:
    await faults.kill_writer("INSERT INTO flt_element (element, padding) VALUES (-1, '')")


async def locked(faults: SQLiteFaults) -> None:
    await faults.lock()
    await asyncio.sleep(1)
    await faults.unlock()


async def disk_full(faults: SQLiteFaults) -> None:
    await faults.fill_disk()
    await asyncio.sleep(1)
    await faults.free_disk()


async def read_only(faults: SQLiteFaults) -> None:
    await faults.read_only()
    await asyncio.sleep(1)
    await faults.read_write()


FAULTS: dict[str, Callable[[SQLiteFaults], Awaitable[None]]] = {
    "another writer killed": writer_dies,
    "locked": locked,
    "fill_disk": disk_full,
    "read_only": read_only,
}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_lost(  # noqa: PLR0913, PLR0917  fixtures are asked for by name
    backend: str,
    tmp_path: Path,
    sqlite_faults: SQLiteFaultsMaker,
    fault: str,
    workload: str,
    fault_seed: int,
    record_property: Callable[[str, Any], None],
) -> None:
    """A fault in the middle of a workload costs time, and no acknowledged write."""
    make, store, isolation = WORKLOADS[workload]
    url = f"sqlite:///{tmp_path}/faults.db"
    async with AndamiosEngine(url, uvloop=False, pool_size=POOL, max_overflow=0) as engine:
        await prepare(engine)
        faults = await sqlite_faults(engine)

        async def strike() -> None:
            await FAULTS[fault](faults)

        trial, history = await try_fault(
            Trial(fault, backend, workload, server=VERSION),
            make(),
            store(engine, isolation),
            strike=strike,
            plan=plan_of(fault_seed, isolation=isolation),
        )
        trial = trial.but(is_whole=await is_whole(engine))
    keep(record_property, trial)

    assert (0, 0, 0) == (trial.lost, trial.doubled, trial.forbidden), "\n".join(history.lines())
    assert trial.is_whole
    assert trial.recovery is not None


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_process_killed(
    backend: str, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    """What a process was told that it had stored is there after it was killed."""
    url = f"sqlite:///{tmp_path}/faults.db"
    async with AndamiosEngine(url, uvloop=False) as engine:
        await prepare(engine)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, url, stdout=asyncio.subprocess.PIPE
    )
    told: list[int] = []
    assert child.stdout is not None
    async for line in child.stdout:
        told.append(int(line))
        if len(told) == ELEMENTS:
            child.kill()
    await child.wait()
    died = time.monotonic()
    async with AndamiosEngine(url, uvloop=False) as engine:
        found = await SetStore(engine).read()
        recovery = round(time.monotonic() - died, 3)
    lost, doubled = len(set(told) - set(found)), len(found) - len(set(found))
    counts = {"ok": len(told), "fail": 0, "unknown": len(set(found) - set(told))}
    trial = Trial("process killed", backend, "set", server=VERSION, counts=counts)
    keep(record_property, trial.but(lost=lost, doubled=doubled, recovery=recovery))

    assert len(told) >= ELEMENTS
    assert (0, 0) == (lost, doubled)
    assert counts["unknown"] <= 1  # the one that was under way
