"""Redis down or slow: reads go on without it, and staleness has a bound."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from andamios import AndamiosEngine, GenericRepository, QueryBuilder
from andamios.caching import CacheManager
from andamios.caching.shared import BACK_OFF, OWED, PATIENCE, SharedBoard
from andamios.core.facts import CommitStarted
from harness.faults import FaultProxy
from tests.caching.domain import CaShelf

if TYPE_CHECKING:
    from redis.asyncio import Redis

TIMEOUT = 0.4


async def number(engine: AndamiosEngine) -> int:
    shelf: Any = await QueryBuilder(CaShelf, engine).cached(60).one()
    return int(shelf.number)


async def write(engine: AndamiosEngine, value: int) -> None:
    await GenericRepository[CaShelf](engine).update_where({"name": "a"}, {"number": value})


async def test_nobody_listens(
    engine: AndamiosEngine, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    """A closed port costs little, is counted, and is logged once."""
    async with CacheManager(f"redis://:secret@127.0.0.1:{unused_tcp_port}") as cache:
        cache.watch(engine)
        await GenericRepository[CaShelf](engine).create(CaShelf(name="a"))
        for value in range(3):
            await write(engine, value)
            assert value == await number(engine)
        assert await cache.get_cached_result("key") is None
        await cache.set_cached_result("key", 1)
        assert cache.stats().errors >= 1
        assert 0 == cache.stats().hits
    assert 1 == sum("Redis does not answer" in record.message for record in caplog.records)
    assert "secret" not in caplog.text


async def test_a_black_hole_costs_a_bounded_time_once(
    engine: AndamiosEngine, redis_database: str, redis_client: Redis
) -> None:
    """The first read waits for the time-out, the next ones do not; then all is well again."""
    await redis_client.ping()
    await GenericRepository[CaShelf](engine).create(CaShelf(name="a"))
    async with (
        FaultProxy.to(redis_database) as proxy,
        CacheManager(proxy.url, timeout=TIMEOUT) as cache,
    ):
        cache.watch(engine)
        assert [0, 0] == [await number(engine) for _ in range(2)]
        assert 1 == cache.stats().hits

        proxy.timeout()
        began = time.monotonic()
        assert [0] * 10 == [await number(engine) for _ in range(10)]
        assert TIMEOUT <= time.monotonic() - began < TIMEOUT + 2.0
        assert 1 == cache.stats().errors

        proxy.reset()
        await asyncio.sleep(BACK_OFF)
        assert [0] * 3 == [await number(engine) for _ in range(3)]
        assert cache.stats().hits >= 2


async def test_a_write_that_cannot_be_told(
    engine: AndamiosEngine, test_database: str, redis_database: str, redis_client: Redis
) -> None:
    """It commits; here it is seen at once, elsewhere after max_staleness at the latest."""
    await redis_client.ping()
    await GenericRepository[CaShelf](engine).create(CaShelf(name="a"))
    bound = 1.5
    async with (
        FaultProxy.to(redis_database) as proxy,
        CacheManager(proxy.url, timeout=TIMEOUT, max_staleness=bound) as here,
        AndamiosEngine(test_database, uvloop=False, pool_size=2) as elsewhere,
        CacheManager(redis_database, timeout=2, max_staleness=bound) as there,
    ):
        here.watch(engine)
        there.watch(elsewhere)
        assert [0, 0] == [await number(engine), await number(elsewhere)]
        assert 1 == there.stats().hits

        proxy.timeout()
        began = time.monotonic()
        await write(engine, 1)
        assert time.monotonic() - began < TIMEOUT * PATIENCE + 2.0
        returned = time.monotonic()
        assert 1 == await number(engine)
        while await number(elsewhere) == 0:
            await asyncio.sleep(0.05)
            assert time.monotonic() - returned < bound + 0.3


async def test_what_was_owed_is_made_up_for(
    engine: AndamiosEngine, test_database: str, redis_database: str, redis_client: Redis
) -> None:
    """When Redis is back, this process tells it of its write before it reads anything."""
    await redis_client.ping()
    await GenericRepository[CaShelf](engine).create(CaShelf(name="a"))
    async with (
        FaultProxy.to(redis_database) as proxy,
        CacheManager(proxy.url, timeout=TIMEOUT, max_staleness=60) as here,
        AndamiosEngine(test_database, uvloop=False, pool_size=2) as elsewhere,
        CacheManager(redis_database, timeout=2, max_staleness=60) as there,
    ):
        here.watch(engine)
        there.watch(elsewhere)
        assert [0, 0] == [await number(elsewhere) for _ in range(2)]
        proxy.timeout()
        await write(engine, 1)
        # Nobody told them, which is what max_staleness is for.
        assert 0 == await number(elsewhere)
        proxy.reset()
        await asyncio.sleep(BACK_OFF)
        assert [1, 1] == [await number(engine), await number(elsewhere)]


async def test_a_reader_silences_no_writer(
    engine: AndamiosEngine, test_database: str, redis_database: str, redis_client: Redis
) -> None:
    """Right after a reader gave up, a writer still tells everybody, Redis being there."""
    await redis_client.ping()
    await GenericRepository[CaShelf](engine).create(CaShelf(name="a"))
    async with (
        FaultProxy.to(redis_database) as proxy,
        CacheManager(proxy.url, timeout=TIMEOUT, max_staleness=60) as here,
        AndamiosEngine(test_database, uvloop=False, pool_size=2) as elsewhere,
        CacheManager(redis_database, timeout=2, max_staleness=60) as there,
    ):
        here.watch(engine)
        there.watch(elsewhere)
        assert [0, 0] == [await number(elsewhere) for _ in range(2)]
        proxy.timeout()
        assert 0 == await number(engine)
        proxy.reset()
        assert 1 == here.stats().errors
        await write(engine, 1)
        assert [1, 1] == [await number(elsewhere), await number(engine)]


async def test_a_long_outage(redis_database: str, redis_client: Redis) -> None:
    """Of many commits that could not be told, all is void afterwards, in their database alone."""
    await redis_client.ping()
    tags = [f"here|t:ca_shelf:{key}" for key in range(3 * OWED)]
    async with FaultProxy.to(redis_database) as proxy:
        board = SharedBoard(proxy.url, timeout=TIMEOUT, failed=lambda: None)
        everything = {"here|*", "there|*"}
        before = await board.versions(everything)
        proxy.timeout()
        for writer, tag in enumerate(tags):
            await board.mark(str(writer), {tag})
            await board.unmark(str(writer), {tag}, changed=True)
        proxy.reset()
        await asyncio.sleep(BACK_OFF)
        after = await board.versions(everything)
        assert before["there|*"] == after["there|*"]
        assert before["here|*"] != after["here|*"] != ""
        await board.close()


async def test_a_writer_that_dies_between(
    engine: AndamiosEngine, test_database: str, redis_database: str, redis_client: Redis
) -> None:
    """A writer whose link ends with its COMMIT has told everybody before it."""
    await redis_client.ping()
    await GenericRepository[CaShelf](engine).create(CaShelf(name="a"))
    async with (
        FaultProxy.to(redis_database) as proxy,
        CacheManager(proxy.url, timeout=TIMEOUT, max_staleness=60) as here,
        AndamiosEngine(test_database, uvloop=False, pool_size=2) as elsewhere,
        CacheManager(redis_database, timeout=2, max_staleness=60) as there,
    ):
        here.watch(engine)
        there.watch(elsewhere)
        assert [0, 0] == [await number(elsewhere) for _ in range(2)]
        # Heard after the cache, which has marked by then.
        engine.hooks.listen(CommitStarted, lambda _fact: proxy.timeout())
        await write(engine, 1)
        assert [1, 1] == [await number(elsewhere), await number(engine)]


async def test_a_cancelled_commit_counts(
    engine: AndamiosEngine, redis_database: str, redis_client: Redis
) -> None:
    """Nobody knows whether a cancelled COMMIT took effect; what it touched is not given out."""
    await redis_client.ping()
    await GenericRepository[CaShelf](engine).create(CaShelf(name="a"))
    async with CacheManager(redis_database, timeout=2, max_staleness=60) as cache:
        cache.watch(engine)
        assert [0, 0] == [await number(engine) for _ in range(2)]
        writing = asyncio.create_task(write(engine, 1))
        engine.hooks.listen(CommitStarted, lambda _fact: writing.cancel())
        with pytest.raises(asyncio.CancelledError):
            await writing
        hits = cache.stats().hits
        for _ in range(3):
            actual = await GenericRepository[CaShelf](engine).find_one({"name": "a"})
            assert actual is not None
            assert actual.number == await number(engine)
        assert hits == cache.stats().hits
