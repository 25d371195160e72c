"""Fresh everywhere: in this process, beside another cache, and in another process."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andamios import AndamiosEngine, GenericRepository, QueryBuilder
from andamios.caching import CacheManager
from tests.caching.domain import CaShelf

if TYPE_CHECKING:
    import pytest
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
SECONDS = 3.0
WRITERS = 8
READERS = 8
LONG = 600.0


async def test_another_process_sees_it(
    engine: AndamiosEngine, test_database: str, redis_database: str, redis_client: Redis
) -> None:
    """A process of its own never has an older value than the last COMMIT, and does hit."""
    await redis_client.ping()
    shelves = GenericRepository[CaShelf](engine)
    await shelves.create(CaShelf(name="a"))
    arguments = ("-W", "ignore", "-m", "tests.caching.worker", test_database, redis_database)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdin=-1, stdout=-1
    )
    assert process.stdin is not None
    assert process.stdout is not None

    async def ask() -> list[str]:
        process.stdin.write(b"?\n")
        return (await process.stdout.readline()).decode().split()

    async with CacheManager(redis_database, timeout=5, max_staleness=LONG) as cache:
        cache.watch(engine)
        for value in range(1, 11):
            await shelves.update_where({"name": "a"}, {"number": value})
            assert [str(value)] * 3 == [(await ask())[0] for _ in range(3)]
            found: Any = await QueryBuilder(CaShelf, engine).cached(LONG).first()
            assert value == found.number
    assert int((await ask())[1]) >= 20
    process.stdin.close()
    assert 0 == await process.wait()


class Checker:
    """Knows which values were committed when, and finds reads that came too late for theirs."""

    def __init__(self, keys: list[int]) -> None:
        self.committed = dict.fromkeys(keys, 0)
        self.reads = 0
        self.stale: list[tuple[int, int, int]] = []
        self._until = time.monotonic() + SECONDS

    def goes_on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self._until

    def check(self, key: int, least: int, seen: int) -> None:
        """Compare what was read with what was committed when the read began."""
        self.reads += 1
        if seen < least:
            self.stale.append((key, least, seen))


async def test_hammered_by_writers_and_readers(
    engine: AndamiosEngine,
    test_database: str,
    redis_database: str,
    redis_client: Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No read that begins after a COMMIT has returned sees an older value."""
    await redis_client.ping()
    shelves = GenericRepository[CaShelf](engine)
    rows = [CaShelf(name=str(number)) for number in range(WRITERS)]
    keys = await shelves.create_many(rows, returning="keys")
    checker = Checker(keys)
    async with (
        AndamiosEngine(test_database, uvloop=False, pool_size=10) as other,
        CacheManager(redis_database, timeout=5, max_staleness=LONG) as here,
        CacheManager(redis_database, timeout=5, max_staleness=LONG) as there,
    ):
        here.watch(engine)
        there.watch(other)
        engines = (engine, other)
        await asyncio.gather(
            *(_write(engines[i % 2], engines, keys[i], checker) for i in range(WRITERS)),
            *(_read(engines[i % 2], keys, checker) for i in range(READERS)),
            *(_read_slowly(cache, engine, keys, checker) for cache in (here, there)),
        )
        hits = here.stats().hits + there.stats().hits
        assert 0 == here.stats().errors + there.stats().errors
    commits = sum(checker.committed.values())
    caplog.set_level(logging.INFO)
    log.info("%s values read, %s commits, %s hits", checker.reads, commits, hits)
    assert [] == checker.stale
    assert checker.reads > 50
    assert hits > 0


async def _write(
    engine: AndamiosEngine, engines: tuple[AndamiosEngine, ...], key: int, checker: Checker
) -> None:
    value = 0
    while checker.goes_on():
        value += 1
        if value % 3:
            await GenericRepository[CaShelf](engine).update_where({"id": key}, {"number": value})
        else:
            async with engine.session() as session:
                shelf = await session.get(CaShelf, key)
                assert shelf is not None
                shelf.number = value
        checker.committed[key] = value
        for each in engines:
            found: Any = await QueryBuilder(CaShelf, each).filter_by(id=key).cached(LONG).one()
            checker.check(key, value, found.number)
        # Long enough for answers to be kept and given out in between.
        await asyncio.sleep(0.1)


async def _read(engine: AndamiosEngine, keys: list[int], checker: Checker) -> None:
    while checker.goes_on():
        for key in keys:
            least = checker.committed[key]
            query = QueryBuilder(CaShelf, engine).filter_by(id=key).cached(LONG)
            for found in [await query.one() for _ in range(4)]:
                checker.check(key, least, found.number)
        before = dict(checker.committed)
        for found in await QueryBuilder(CaShelf, engine).cached(LONG).execute():
            checker.check(found.id, before[found.id], found.number)


async def _read_slowly(
    cache: CacheManager, engine: AndamiosEngine, keys: list[int], checker: Checker
) -> None:
    """Load, dawdle, and store: what was committed meanwhile must not be missed by the next."""
    while checker.goes_on():
        key = random.choice(keys)

        async def load(key: int = key) -> int:
            found = await GenericRepository[CaShelf](engine).get_one(key)
            await asyncio.sleep(random.random() / 10)
            return found.number

        tags = [f"t:ca_shelf:{key}", "t:ca_shelf:*"]
        for _ in range(3):
            least = checker.committed[key]
            seen = await cache.get_or_load(str(key), load, tags=tags)
            checker.check(key, least, seen)
