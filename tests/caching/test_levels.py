"""What is kept where, for how long, and counted how."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from andamios import AndamiosEngine, ConfigurationError, GenericRepository, QueryBuilder
from andamios.caching import CacheManager
from andamios.caching.board import LocalBoard
from andamios.caching.levels import JITTER
from andamios.caching.manager import _namespace
from andamios.caching.shared import KEPT
from tests.caching.domain import CaBook, CaShelf

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def loaded(cache: CacheManager, key: str, ttl: float = 60) -> bool:
    """Whether asking for a key had to load it."""
    loads = []

    async def load() -> int:
        loads.append(key)
        return 1

    assert 1 == await cache.get_or_load(key, load, ttl=ttl)
    return bool(loads)


async def test_the_samples(cache: CacheManager) -> None:
    """What is stored is found until its time is up."""
    assert await cache.get_cached_result("user:1") is None
    await cache.set_cached_result("user:1", {"name": "Ada"}, 0.3)
    assert {"name": "Ada"} == await cache.get_cached_result("user:1")
    await asyncio.sleep(0.35)
    assert await cache.get_cached_result("user:1") is None


async def test_none_is_an_answer(cache: CacheManager) -> None:
    """None is kept like any other value."""
    loads = []

    async def load() -> None:
        loads.append(1)

    for _ in range(2):
        await cache.get_or_load("none", load)
    assert [1] == loads


async def test_the_least_recently_used_leaves() -> None:
    """Memory is bounded."""
    async with CacheManager(max_entries=2) as cache:
        for key in ("a", "b", "a", "c"):
            await loaded(cache, key)
        assert [False, False, True] == [await loaded(cache, key) for key in ("a", "c", "b")]


async def test_times_differ(redis_database: str, redis_client: Redis) -> None:
    """Answers stored together end apart, up to a tenth earlier than asked."""
    async with CacheManager(redis_database) as cache:
        for number in range(20):
            await cache.set_cached_result(str(number), number, 1000)
    left = [await redis_client.pttl(key) for key in await redis_client.keys("andamios:e:*")]
    assert 20 == len(left)
    assert all(1000 * (1 - JITTER) * 1000 - 5000 <= each <= 1_000_000 for each in left)
    assert len(set(left)) > 15


async def test_versions_live_as_long_as_answers(redis_database: str, redis_client: Redis) -> None:
    """What Redis remembers of tags ends soon after their answers, and not before them."""
    async with CacheManager(redis_database, max_staleness=2 * KEPT) as cache:
        await loaded(cache, "no tags", ttl=3 * KEPT)
        await cache.set_cached_result("tag", 1, 2 * KEPT, tags=["mine"])
        await cache.get_or_load("short", empty, ttl=1, tags=["other"])
        left = {
            name: await redis_client.pttl(f"andamios:v:other|{name}") / 1000
            for name in ("*", "mine", "other")
        }
    assert left["*"] > 2.6 * KEPT
    assert left["mine"] > 1.7 * KEPT
    assert left["other"] <= KEPT


async def empty() -> None:
    """Load nothing."""


async def test_marks_of_writers_that_never_came_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that has ended is forgotten, also where nobody asks for its tag again."""
    monkeypatch.setattr("andamios.caching.board.LEASE", 0.05)
    board = LocalBoard()
    for number in range(100):
        await board.mark(str(number), {"any", f"t:ca_shelf:{number}"})
    await asyncio.sleep(0.1)
    await board.mark("last", {"any"})
    assert ["any"] == list(board._marks)  # noqa: SLF001  no word for it
    assert ["last"] == list(board._marks["any"])  # noqa: SLF001


async def test_redis_has_what_memory_lost(
    engine: AndamiosEngine, redis_database: str, redis_client: Redis
) -> None:
    """Another cache finds what the first one stored, and so does a new memory."""
    await GenericRepository[CaShelf](engine).create(CaShelf(name="secret name"))
    query = QueryBuilder(CaShelf, engine).filter(CaShelf.name == "secret name").cached(60)
    for hits in (0, 1):
        async with CacheManager(redis_database) as cache:
            cache.watch(engine)
            assert "secret name" == (await query.one()).name
            assert hits == cache.stats().hits
    # Keys tell nothing of values.
    assert b"secret" not in b"".join(await redis_client.keys("*"))


async def test_databases_do_not_collide(
    engine: AndamiosEngine, redis_database: str, redis_client: Redis
) -> None:
    """Two databases with tables of the same name share a Redis and no answers."""
    await redis_client.ping()
    async with (
        AndamiosEngine("sqlite://", uvloop=False) as other,
        CacheManager(redis_database) as cache,
    ):
        cache.watch(engine)
        cache.watch(other)
        await other.create_all(CaShelf)
        await GenericRepository[CaShelf](engine).create(CaShelf(name="a"))
        for _ in range(2):
            assert 1 == await QueryBuilder(CaShelf, engine).cached(60).count()
            assert 0 == await QueryBuilder(CaShelf, other).cached(60).count()
        assert 2 == cache.stats().hits


async def test_an_answer_lives_no_longer_than_max_staleness(
    engine: AndamiosEngine, redis_database: str, redis_client: Redis
) -> None:
    """With Redis, an answer from tables ends in time, however long it was asked to live."""
    await redis_client.ping()
    async with CacheManager(redis_database, max_staleness=0.4) as cache:
        cache.watch(engine)
        query = QueryBuilder(CaShelf, engine).cached(3600)
        began = time.monotonic()
        await query.count()
        await query.count()
        assert 1 == cache.stats().hits
        await asyncio.sleep(0.45 - (time.monotonic() - began))
        await query.count()
        assert 1 == cache.stats().hits


async def test_hits_are_counted_by_model(engine: AndamiosEngine, cache: CacheManager) -> None:
    """Each model has its ratio."""
    for _ in range(4):
        await QueryBuilder(CaShelf, engine).cached(60).exists()
    await cache.get_cached_result("nothing")
    stats = cache.stats()
    assert 0.75 == stats.models["CaShelf"].hit_ratio
    assert (3, 2, 0, 0.6) == (stats.hits, stats.misses, stats.errors, stats.hit_ratio)


async def test_rows_and_dicts(engine: AndamiosEngine, cache: CacheManager) -> None:
    """Every end of a query has its own answer."""
    await GenericRepository[CaShelf](engine).create_many([{"name": "a"}, {"name": "b"}])
    query = QueryBuilder(CaShelf, engine).order_by("name").cached(60)
    for _ in range(2):
        first: Any = await query.first()
        assert "a" == first.name
        assert ["a", "b"] == [row.name for row in await query.only(CaShelf.name).execute()]
        assert ["a", "b"] == [each["name"] for each in await query.as_dicts()]
        assert "a" == await query.only("name").scalar()
        assert (2, True) == (await query.count(), await query.exists())
        assert "b" == (await query.filter(CaShelf.name == "b").one()).name
    assert 7 == cache.stats().hits


class Doubled(sa.types.TypeDecorator[int]):
    """Sends twice the value, and gives it as text."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Any) -> Any:
        return value and 2 * value

    def process_result_value(self, value: Any, _dialect: Any) -> Any:
        return str(value)


async def test_types_are_part_of_the_question(engine: AndamiosEngine, cache: CacheManager) -> None:
    """What the same SQL asks with other types, of values or of results, is another question."""
    await GenericRepository[CaShelf](engine).create(CaShelf(name="a", number=1))
    query = QueryBuilder(CaShelf, engine).cached(60)
    for _ in range(2):
        assert 1 == await query.filter(CaShelf.number == sa.literal(1)).count()
        assert 0 == await query.filter(CaShelf.number == sa.literal(1, Doubled())).count()
        for kind, value in ((sa.Integer(), 1), (Doubled(), "1")):
            assert value == await query.only(sa.type_coerce(CaShelf.number, kind)).scalar()
    assert 4 == cache.stats().hits


async def test_other_tables_leave_a_count(engine: AndamiosEngine, cache: CacheManager) -> None:
    """A count depends on its own tables alone, and inside a transaction that wrote others too."""
    shelf = await GenericRepository[CaShelf](engine).create(CaShelf(name="a"))
    count = QueryBuilder(CaShelf, engine).cached(60).count
    assert 1 == await count()
    async with engine.session() as session:
        session.add(CaBook(title="t", shelf_id=shelf.id))
        await session.flush()
        assert 1 == await QueryBuilder(CaShelf, session).cached(60).count()
    assert 1 == await count()
    assert 2 == cache.stats().hits


@pytest.mark.parametrize("payload", ["no JSON", '[{"date":"tomorrow"},[]]', '[{"new":1},[]]'])
async def test_what_cannot_be_read_is_a_miss(
    redis_database: str, redis_client: Redis, payload: str
) -> None:
    """An answer in Redis that another version or nobody of ours has written is loaded again."""
    async with CacheManager(redis_database) as cache:
        await cache.set_cached_result("key", 1)
    for key in await redis_client.keys("andamios:e:*"):
        await redis_client.hset(key, "payload", payload)
    async with CacheManager(redis_database) as cache:
        assert [True, False] == [await loaded(cache, "key") for _ in range(2)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("postgresql://host/app", "postgresql://user@host:5432/app"),
        ("mysql://host/app", "mariadb://host:3306/app"),
        ("sqlite:///app.db", "sqlite:///folder/../app.db"),
    ],
)
def test_one_database_by_two_urls(one: str, other: str) -> None:
    """What a URL may leave out makes no other database."""
    first, second = (AndamiosEngine(url, uvloop=False) for url in (one, other))
    assert _namespace(first) == _namespace(second)


@pytest.mark.parametrize("option", ["max_entries", "ttl", "max_staleness", "timeout"])
def test_wrong_options(option: str) -> None:
    """What makes no sense is refused at once."""
    with pytest.raises(ConfigurationError, match=option):
        CacheManager(**{option: 0})  # type: ignore[arg-type]


def test_wrong_url() -> None:
    """A URL that cannot be read is refused without repeating it."""
    with pytest.raises(ConfigurationError, match="redis://") as caught:
        CacheManager("http://user:secret@host")
    assert "secret" not in str(caught.value)
