"""COMMITs whose answer was lost: void while nobody knows, and right as soon as it is settled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from andamios import AndamiosEngine
from andamios.caching import CacheManager, board, shared
from andamios.core.facts import CommitSettled
from andamios.resilience import TransactionManager
from tests.caching.domain import CaShelf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from andamios import AsyncSession
    from harness.faults import FaultProxy, Moment
    from harness.fixtures.faults import FaultProxyMaker


class Loader:
    """Gives a value that the test sets, and counts how often it was asked."""

    value = "old"
    calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        return self.value


@pytest_asyncio.fixture
async def proxy(engine: AndamiosEngine, fault_proxy: FaultProxyMaker) -> FaultProxy:
    """A proxy in front of the test's server."""
    return await fault_proxy(engine.url)


@pytest_asyncio.fixture
async def through(proxy: FaultProxy, redis_or_none: Any) -> AsyncIterator[Through]:
    """An engine through the proxy, a cache that watches it, and a manager."""
    async with (
        AndamiosEngine(proxy.url, uvloop=False) as engine,
        CacheManager(redis_or_none, timeout=2) as cache,
    ):
        manager = TransactionManager(engine)
        await manager.prepare()
        cache.watch(engine)
        yield Through(proxy, cache, manager, engine)


class Through:
    """One transaction that writes a shelf and loses its COMMIT, and one cached answer about it."""

    def __init__(
        self,
        proxy: FaultProxy,
        cache: CacheManager,
        manager: TransactionManager,
        engine: AndamiosEngine,
    ) -> None:
        self.proxy = proxy
        self.cache = cache
        self.manager = manager
        self.engine = engine
        self.load = Loader()
        self.is_armed = asyncio.Event()
        self.cut = asyncio.Event()

    async def read(self) -> str:
        """Ask for the answer."""
        return await self.cache.get_or_load("k", self.load, tags=["t:ca_shelf"])

    async def lose(self, moment: Moment) -> None:
        """Write, with attempts of which the first loses its COMMIT."""
        calls = 0

        async def work(session: AsyncSession) -> None:
            nonlocal calls
            calls += 1
            session.add(CaShelf(name="a"))
            await session.flush()
            if calls == 1:
                self.cut = self.proxy.cut(b"COMMIT", moment)
                self.is_armed.set()

        await self.manager.run(work)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_cached_again_when_settled(through: Through, moment: Moment) -> None:
    """What was settled as committed or rolled back leaves no mark for half a minute."""
    assert "old" == await through.read()
    await through.lose(moment)
    through.load.value = "new"
    assert ["new", "new"] == [await through.read(), await through.read()]
    assert 2 == through.load.calls


async def test_answers_from_before_it_was_settled(
    through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A COMMIT that outlives the lease of its mark still makes void what was read meanwhile."""
    for module in (board, shared):
        monkeypatch.setattr(module, "LEASE", 0.05)
    seen: list[str] = []
    through.engine.hooks.listen(CommitSettled, lambda fact: seen.append(fact.outcome))
    losing = asyncio.create_task(through.lose("after"))
    await through.is_armed.wait()
    await through.cut.wait()
    await through.proxy.down()
    await asyncio.sleep(0.2)
    # The server may not show the rows yet: it waits for its standby, for instance.
    assert ["old", "old"] == [await through.read(), await through.read()]
    assert (1, []) == (through.load.calls, seen)
    await through.proxy.up()
    await losing
    through.load.value = "new"
    assert "new" == await through.read()
    assert ["committed"] == seen
