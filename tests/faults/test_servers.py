"""
Each fault under each workload on each server: nothing lost, nothing twice, work flows again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from harness.faults.histories import Bank, Counter, GrowingSet, ListAppend
from harness.faults.named import FAULTS
from harness.faults.trials import Trial, try_fault
from tests.faults.conftest import count_settled, is_whole, keep, plan_of
from tests.faults.stores import BankStore, CounterStore, SetStore, Store, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from andamios import AndamiosEngine
    from harness.faults import DatabaseFaults

pytestmark = [pytest.mark.faults]

WORKLOADS: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "set": (GrowingSet, SetStore, "READ COMMITTED"),
    "counter": (Counter, CounterStore, "READ COMMITTED"),
    "bank": (Bank, BankStore, "READ COMMITTED"),
    "list-append": (ListAppend, Store, "SERIALIZABLE"),
}

LENGTHS = {
    **dict.fromkeys(("latency", "bandwidth", "slicer", "slow_close", "too_many_connections"), 1.5),
    **dict.fromkeys(("timeout", "pause", "down", "read_only", "fill_disk"), 1.0),
}
"""Seconds for which a fault lasts; others are moments."""

DATABASE_FAULTS = [name for name in FAULTS if name not in {"evict", "flush", "failover"}]

SERVERS = ["postgresql", "mysql", "mariadb"]


def pairs() -> Iterator[Any]:
    """Give faults with workloads; a short run has each fault once, the workloads in turn."""
    for number, fault in enumerate(DATABASE_FAULTS):
        for place, workload in enumerate(WORKLOADS):
            # Sets grow, which a full disk is felt by.
            is_its_turn = place == (0 if fault == "fill_disk" else number % len(WORKLOADS))
            marks = () if is_its_turn else (pytest.mark.every_fault,)
            yield pytest.param(fault, workload, marks=marks)


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
@pytest.mark.parametrize(("fault", "workload"), [*pairs()])
async def test_nothing_is_lost(  # noqa: PLR0913, PLR0917  fixtures are asked for by name
    breaking: AndamiosEngine,
    server: DatabaseFaults,
    backend: str,
    fault: str,
    workload: str,
    fault_seed: int,
    record_property: Callable[[str, Any], None],
) -> None:
    """A fault in the middle of a workload costs time, and no acknowledged write."""
    make, store, isolation = WORKLOADS[workload]
    await prepare(breaking)
    settled = count_settled(breaking)

    async def strike() -> None:
        async with FAULTS[fault](server):
            await asyncio.sleep(LENGTHS.get(fault, 0.2))

    trial, history = await try_fault(
        Trial(fault, backend, workload, server=server.version),
        make(),
        store(breaking, isolation),
        strike=strike,
        plan=plan_of(fault_seed, isolation=isolation),
    )
    trial = trial.but(is_whole=await is_whole(breaking), settled=dict(settled))
    keep(record_property, trial)

    assert (0, 0, 0) == (trial.lost, trial.doubled, trial.forbidden), "\n".join(history.lines())
    assert trial.is_whole
    assert trial.recovery is not None
    assert trial.counts["ok"] > 0
