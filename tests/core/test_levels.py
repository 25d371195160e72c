"""Isolation levels that cannot be put back, since the connection is lost on its way to the pool."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from andamios import AndamiosEngine, ConnectionFailedError
from tests.core.server import eventually
from tests.models.domain import LibWord

if TYPE_CHECKING:
    from harness.fixtures.faults import FaultProxyMaker

pytestmark = pytest.mark.isolation("committing")

BACK = b"LEVEL REPEATABLE READ"
"""What MySQL is sent after a transaction at another level."""


async def words(engine: AndamiosEngine) -> list[str]:
    async with engine.session(read_only=True, isolation="REPEATABLE READ") as session:
        return list(await session.scalars(select(LibWord.word)))


async def is_quiet(engine: AndamiosEngine) -> bool:
    return engine.connections.stats().in_use == 0


async def test_lost_after_the_commit(engine: AndamiosEngine, fault_proxy: FaultProxyMaker) -> None:
    """What was committed is told so, and the place in the pool is free again."""
    if engine.backend not in {"mysql", "mariadb"}:
        pytest.skip("Others are told no level when a transaction is over")
    proxy = await fault_proxy(engine.url)
    async with AndamiosEngine(proxy.url, uvloop=False, pool_size=1, max_overflow=0) as own:
        for word in ("one", "two"):
            async with own.session(isolation="SERIALIZABLE") as session:
                session.add(LibWord(word=word))
                await session.flush()
                cut = proxy.cut(BACK)
            assert cut.is_set()
            assert await is_quiet(own)
        assert ["one", "two"] == sorted(await words(own))


async def test_lost_before_the_first_statement(
    engine: AndamiosEngine, fault_proxy: FaultProxyMaker
) -> None:
    """A connection that is lost while its level is set is a lost one, and not out any more."""
    if engine.backend not in {"mysql", "mariadb"}:
        pytest.skip("Others are told no level before the first statement")
    proxy = await fault_proxy(engine.url)
    async with AndamiosEngine(proxy.url, uvloop=False, pool_size=1, max_overflow=0) as own:
        await words(own)
        proxy.cut(b"LEVEL SERIALIZABLE")
        with pytest.raises(ConnectionFailedError):
            async with own.session(isolation="SERIALIZABLE") as session:
                await session.execute(select(LibWord))
        assert await is_quiet(own)
        assert [] == await words(own)


async def test_cancelled_after_the_commit(
    engine: AndamiosEngine, fault_proxy: FaultProxyMaker
) -> None:
    """A cancellation in that moment strikes, and the place in the pool is free again."""
    if engine.backend not in {"mysql", "mariadb"}:
        pytest.skip("Others are told no level when a transaction is over")
    proxy = await fault_proxy(engine.url)
    async with AndamiosEngine(proxy.url, uvloop=False, pool_size=1, max_overflow=0) as own:
        held: asyncio.Future[asyncio.Event] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            async with own.session(isolation="SERIALIZABLE") as session:
                session.add(LibWord(word="one"))
                await session.flush()
                held.set_result(proxy.cut(BACK, "held"))
            await asyncio.sleep(0)

        task = asyncio.create_task(work())
        async with asyncio.timeout(5):
            await (await held).wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await eventually(lambda: is_quiet(own))
        proxy.reset()
        assert ["one"] == await words(own)
