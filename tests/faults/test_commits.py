"""
COMMITs that lose their connection: before the server sees them, after, and with the answer held.

Each is settled, and none is done twice. What plain SQLAlchemy makes of the same, behind the loop
that people write, is recorded beside it.
"""

from __future__ import annotations

import asyncio
from itertools import count, cycle, takewhile
from typing import TYPE_CHECKING, Any

import pytest

from harness.faults.histories import GrowingSet
from harness.faults.trials import Trial, try_fault
from tests.faults.conftest import count_settled, is_whole, keep, plan_of
from tests.faults.plain import PlainSetStore, plain_engine
from tests.faults.stores import SetStore, prepare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from andamios import AndamiosEngine
    from harness.faults import DatabaseFaults
    from harness.faults.word import Moment

pytestmark = [pytest.mark.faults]

SERVERS = ["postgresql", "mysql", "mariadb"]
CUTS = 200
MOMENTS: tuple[Moment, ...] = ("before", "after", "held")
TASKS = 3


def cutting(
    server: DatabaseFaults,
    connect: Callable[[], AbstractAsyncContextManager[Any]],
    is_enough: Callable[[], bool],
) -> Callable[[], Awaitable[None]]:
    """Cut one COMMIT after the other, at each of the moments in turn, until there were enough."""

    async def strike() -> None:
        for moment in takewhile(lambda _: not is_enough(), cycle(MOMENTS)):
            # Replaces the connection that broke, since drivers commit while they connect, too.
            async with connect(), connect():
                pass
            happened = server.proxy.cut(b"COMMIT", moment)
            async with asyncio.timeout(30):
                await happened.wait()
            if moment == "held":
                await asyncio.sleep(0.01)  # in which the server commits
                server.proxy.reset()  # else nobody would ever know of the break

    return strike


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
async def test_each_cut_commit_is_settled(
    breaking: AndamiosEngine,
    server: DatabaseFaults,
    backend: str,
    record_property: Callable[[str, Any], None],
) -> None:
    """Of two hundred COMMITs that were cut none is unknown, none is lost, and none is doubled."""
    await prepare(breaking)
    settled = count_settled(breaking)
    trial, _ = await try_fault(
        Trial("COMMIT cut", backend, "set", server=server.version),
        GrowingSet(),
        SetStore(breaking),
        strike=cutting(server, breaking.connections.acquire, lambda: settled.total() >= CUTS),
        plan=plan_of(0, processes=TASKS),
    )
    trial = trial.but(is_whole=await is_whole(breaking), settled=dict(settled))
    keep(record_property, trial)

    assert (0, 0, 0) == (trial.counts["unknown"], trial.lost, trial.doubled)
    assert {"committed", "rolled back"} == settled.keys()
    assert trial.counts["fail"] == 0
    assert trial.is_whole


@pytest.mark.parametrize("backend", SERVERS, indirect=True)
async def test_plain_sqlalchemy_beside_it(
    breaking: AndamiosEngine,
    server: DatabaseFaults,
    backend: str,
    record_property: Callable[[str, Any], None],
) -> None:
    """The cuts are real: a loop around SQLAlchemy writes twice what it did not hear of."""
    await prepare(breaking)
    engine, cuts = plain_engine(server.url, pool_size=5), count()
    try:
        trial, _ = await try_fault(
            Trial(
                "COMMIT cut",
                backend,
                "set",
                client="SQLAlchemy and a loop",
                server=server.version,
            ),
            GrowingSet(),
            PlainSetStore(engine),
            strike=cutting(server, engine.connect, lambda: next(cuts) >= CUTS // 3),
            plan=plan_of(0, processes=TASKS),
        )
    finally:
        await engine.dispose()
    keep(record_property, trial)

    assert trial.doubled > 0
