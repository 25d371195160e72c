"""An engine whose server goes away and comes back: errors meanwhile, and none afterwards."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text

from andamios import AndamiosEngine, ConnectionFailedError, GenericRepository, HealthMonitor
from tests.models.domain import LibWord

if TYPE_CHECKING:
    from harness.faults import FaultProxy
    from harness.fixtures.faults import FaultProxyMaker


@pytest.fixture
async def switch(engine: AndamiosEngine, fault_proxy: FaultProxyMaker) -> FaultProxy:
    """The way to this test's server, which can be closed and opened."""
    return await fault_proxy(engine.url)


async def work(engine: AndamiosEngine, number: int) -> None:
    async with engine.session() as session:
        session.add(LibWord(word=f"word {number}"))
        await session.flush()
        await session.execute(text("SELECT 1"))


async def test_the_pool_recovers(engine: AndamiosEngine, switch: FaultProxy) -> None:
    """While the server is down every caller gets an error; once it is back, nobody does."""
    monitor = HealthMonitor(interval=0)
    async with AndamiosEngine(switch.url, uvloop=False, pool_size=4, monitor=monitor) as through:
        await asyncio.gather(*(work(through, number) for number in range(4)))
        await switch.down()
        down = await asyncio.gather(
            *(work(through, number) for number in range(10, 18)), return_exceptions=True
        )
        assert {ConnectionFailedError} == {type(error) for error in down}
        await monitor.check()
        await switch.up()
        await asyncio.gather(*(work(through, number) for number in range(20, 28)))
        await monitor.check()
        stats = through.connections.stats()
        assert (0, 0) == (stats.in_use, stats.waiting)
        assert stats.idle <= 4
    async with engine.session() as session:
        kept = set(await session.scalars(select(LibWord.word)))
    assert {f"word {number}" for number in (*range(4), *range(20, 28))} == kept


async def test_a_lone_read_does_not_notice_a_short_outage(switch: FaultProxy) -> None:
    """Connections that broke while nobody used them are replaced, and a read finds its rows."""
    async with AndamiosEngine(switch.url, uvloop=False, pool_size=2) as through:
        await asyncio.gather(*(work(through, number) for number in range(2)))
        await switch.down()
        await switch.up()
        assert 2 == await GenericRepository[LibWord](through).count()


async def test_the_monitor_says_once_that_a_server_is_gone(
    switch: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """It tells when nobody answers, not again while that is so, and when somebody does."""
    caplog.set_level(logging.INFO, "andamios.pool")
    monitor = HealthMonitor(interval=0)
    async with AndamiosEngine(switch.url, uvloop=False, pool_size=2, monitor=monitor):
        await switch.down()
        await monitor.check()
        await monitor.check()
        await switch.up()
        await monitor.check()
    told = [each.getMessage() for each in caplog.records if each.name == "andamios.pool"]
    words = [message.split(":")[0] for message in told]

    assert ["The database does not answer", "The database answers again"] == words
