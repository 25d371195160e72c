"""Whether systems do what the floor does, so that none is fast because it does less."""

import asyncio

import pytest

from benchmarks.speed.operations import OPERATIONS
from benchmarks.speed.running import Plan, new_report, opened
from benchmarks.speed.systems import SYSTEMS
from harness.databases import run_now


async def failures_on(backend: str, url: str) -> dict[str, dict[str, str]]:
    """Let every system that is installed do every operation once, on a small table."""
    plan = Plan(systems=tuple(SYSTEMS), rows=400)
    async with opened(new_report(), backend, url, plan) as bench:
        return {name: await bench.failures(each) for name, each in OPERATIONS.items()}


@pytest.mark.filterwarnings("default")  # peers have warnings of their own
async def test_every_system_does_what_the_floor_does(own_database: str, backend: str) -> None:
    """Rows that are read equal the floor's; rows that are written are there when it looks."""
    if backend == "postgresql":
        pytest.importorskip("orjson", reason="the floor reads JSON by it")
    # In a thread and on a loop of its own: peers may block theirs.
    found = await asyncio.to_thread(run_now, failures_on(backend, own_database))
    assert {name: {} for name in OPERATIONS} == found
