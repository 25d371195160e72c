"""A server that dies, freezes or restarts again and again, and how soon work flows afterwards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from harness.faults.histories import GrowingSet
from harness.faults.named import FAULTS
from harness.faults.trials import Trial, try_fault
from tests.faults.conftest import count_settled, is_whole, keep, plan_of
from tests.faults.plain import PlainSetStore, plain_engine
from tests.faults.stores import SetStore, prepare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from andamios import AndamiosEngine
    from harness.faults import DatabaseFaults

pytestmark = [pytest.mark.faults]

SERVERS = ["postgresql", "mysql", "mariadb"]
PLAIN = "SQLAlchemy and a loop"
KILLS = 6
BETWEEN = 3.0
"""Seconds of work between two kills, so that the whole takes some 25."""


def killing(server: DatabaseFaults) -> Callable[[], Awaitable[None]]:
    """Kill the server again and again."""

    async def strike() -> None:
        for _ in range(KILLS):
            async with FAULTS["kill"](server):
                await asyncio.sleep(0.2)
            await asyncio.sleep(BETWEEN)

    return strike


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
@pytest.mark.parametrize("outage", ["kill", "restart", "pause"])
async def test_work_flows_again(
    breaking: AndamiosEngine,
    server: DatabaseFaults,
    backend: str,
    outage: str,
    fault_seed: int,
    record_property: Callable[[str, Any], None],
) -> None:
    """After an outage work goes on with the same engine, beside plain SQLAlchemy's."""
    plain = plain_engine(server.url, pool_size=5)
    stores = {"andamios": SetStore(breaking), PLAIN: PlainSetStore(plain)}

    async def strike() -> None:
        async with FAULTS[outage](server):
            await asyncio.sleep(1.0)

    found, settled = {}, count_settled(breaking)
    for client, store in stores.items():
        await prepare(breaking)
        name = f"{outage}, an outage"
        trial = Trial(name, backend, "set", client=client, server=server.version)
        plan = plan_of(fault_seed) if client == "andamios" else plan_of(fault_seed, is_plain=True)
        trial, _ = await try_fault(trial, GrowingSet(), store, strike=strike, plan=plan)
        if client == "andamios":
            trial = trial.but(is_whole=await is_whole(breaking), settled=dict(settled))
        found[client] = trial
        keep(record_property, trial)
    await plain.dispose()

    ours = found["andamios"]
    assert (0, 0) == (ours.lost, ours.doubled)
    assert ours.recovery is not None
    assert ours.is_whole


@pytest.mark.every_fault
@pytest.mark.parametrize("client", ["andamios", PLAIN])
@pytest.mark.parametrize("backend", SERVERS, indirect=True)
async def test_six_kills(
    breaking: AndamiosEngine,
    server: DatabaseFaults,
    backend: str,
    client: str,
    fault_seed: int,
    record_property: Callable[[str, Any], None],
) -> None:
    """In a long run with six kills nothing is lost; a plain loop's figures stand beside it."""
    await prepare(breaking)
    settled = count_settled(breaking)
    plain = plain_engine(server.url, pool_size=5)
    is_ours = client == "andamios"
    trial, _ = await try_fault(
        Trial("six kills", backend, "set", client=client, server=server.version),
        GrowingSet(),
        SetStore(breaking) if is_ours else PlainSetStore(plain),
        strike=killing(server),
        plan=plan_of(fault_seed, is_plain=not is_ours, pause=0.0),
    )
    await plain.dispose()
    if is_ours:
        trial = trial.but(is_whole=await is_whole(breaking), settled=dict(settled))
    keep(record_property, trial)

    if is_ours:
        assert (0, 0) == (trial.lost, trial.doubled)
    assert trial.counts["ok"] > 0
