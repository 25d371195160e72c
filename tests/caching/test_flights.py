"""One load for all who ask, and nobody hurt by another's cancellation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from andamios import GenericRepository, QueryBuilder
from andamios.core.facts import QueryFinished
from tests.caching.domain import CaShelf
from tests.core.server import Server

if TYPE_CHECKING:
    from andamios import AndamiosEngine
    from andamios.caching import CacheManager


async def test_a_stampede_loads_once(engine: AndamiosEngine, cache: CacheManager) -> None:
    """Fifty readers at once are one query."""
    await GenericRepository[CaShelf](engine).create(CaShelf(name="a"))
    queries: list[str] = []
    engine.hooks.listen(
        QueryFinished,
        lambda fact: queries.append(fact.statement) if "ca_shelf" in fact.statement else None,
    )
    query = QueryBuilder(CaShelf, engine).cached(60)
    answers = await asyncio.gather(*(query.execute() for _ in range(50)))

    assert 50 == len({id(shelf) for (shelf,) in answers})
    assert 1 == len(queries)
    assert 50 == cache.stats().hits + cache.stats().misses


@pytest.mark.parametrize("leaves_others", [True, False])
async def test_the_first_one_is_cancelled(
    engine: AndamiosEngine, cache: CacheManager, *, leaves_others: bool
) -> None:
    """Who waits gets the answer, the load is not repeated, and no transaction stays open."""
    loads = []
    has_begun = asyncio.Event()

    async def load() -> int:
        loads.append(1)
        async with engine.session() as session:
            await session.execute(text("SELECT 1"))
            has_begun.set()
            await asyncio.sleep(0.1)
            return int(await session.scalar(text("SELECT 42")) or 0)

    leader = asyncio.create_task(cache.get_or_load("key", load))
    await has_begun.wait()
    others = [asyncio.create_task(cache.get_or_load("key", load)) for _ in range(3)]
    await asyncio.sleep(0.02)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    if not leaves_others:
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.3)
    else:
        assert [42, 42, 42] == await asyncio.gather(*others)

    assert 42 == await cache.get_or_load("key", load)
    assert [1] == loads
    assert 0 == engine.connections.stats().in_use
    assert 0 == await Server(engine).open_transactions()


async def test_a_load_that_fails_fails_for_all(cache: CacheManager) -> None:
    """Its error reaches everybody, and the next one tries again."""

    async def load() -> int:
        await asyncio.sleep(0.01)
        raise ZeroDivisionError

    async def ask() -> int:
        return await cache.get_or_load("key", load)

    results = await asyncio.gather(*(ask() for _ in range(3)), return_exceptions=True)
    assert [ZeroDivisionError] * 3 == [type(result) for result in results]
    with pytest.raises(ZeroDivisionError):
        await ask()
