"""Nothing stale: whatever writes, the next read after its COMMIT sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from andamios import (
    AndamiosEngine,
    AsyncSession,
    ConfigurationError,
    GenericRepository,
    QueryBuilder,
    QueryError,
)
from tests.caching.domain import CaBook, CaNote, CaShelf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from andamios.caching import CacheManager

Shelves = GenericRepository[CaShelf]


def names(engine: AndamiosEngine | AsyncSession) -> QueryBuilder[Any]:
    return QueryBuilder(CaShelf, engine).order_by("name").cached(60)


async def read(engine: AndamiosEngine | AsyncSession) -> list[tuple[str, int]]:
    return [(shelf.name, shelf.number) for shelf in await names(engine).execute()]


async def create(engine: AndamiosEngine) -> None:
    await Shelves(engine).create(CaShelf(name="new"))


async def create_many(engine: AndamiosEngine) -> None:
    await Shelves(engine).create_many([{"name": "new"}, {"name": "newer"}])


async def update(engine: AndamiosEngine) -> None:
    shelf = await Shelves(engine).find_one({"name": "a"})
    assert shelf is not None
    shelf.number = 7
    await Shelves(engine).update(shelf)


async def update_many(engine: AndamiosEngine) -> None:
    shelf = await Shelves(engine).find_one({"name": "a"})
    assert shelf is not None
    await Shelves(engine).update_many([{"id": shelf.id, "number": 8}])


async def update_where(engine: AndamiosEngine) -> None:
    await Shelves(engine).update_where({"name": "a"}, {"number": 9})


async def delete(engine: AndamiosEngine) -> None:
    shelf = await Shelves(engine).find_one({"name": "a"})
    assert shelf is not None
    await Shelves(engine).delete(shelf.id)


async def delete_where(engine: AndamiosEngine) -> None:
    await Shelves(engine).delete_where({"name": "a"})


async def session_add(engine: AndamiosEngine) -> None:
    async with engine.session() as session:
        session.add(CaShelf(name="new"))


async def core_update(engine: AndamiosEngine) -> None:
    async with engine.session() as session:
        await session.execute(sa.update(CaShelf.__table__).values(number=10))


async def upsert(engine: AndamiosEngine) -> None:
    insert = {"mysql": mysql.insert, "postgresql": postgresql.insert, "sqlite": sqlite.insert}
    statement: Any = insert[engine.backend](CaShelf).values(name="a", number=11)
    if engine.backend == "mysql":
        statement = statement.on_duplicate_key_update(number=11)
    else:
        statement = statement.on_conflict_do_update(index_elements=["name"], set_={"number": 11})
    async with engine.session() as session:
        await session.execute(statement)


async def written_text(engine: AndamiosEngine) -> None:
    async with engine.session() as session:
        await session.execute(sa.text("UPDATE ca_shelf SET number = 12"))


async def autocommit(engine: AndamiosEngine) -> None:
    async with engine.connections.acquire() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(sa.update(CaShelf).values(number=13))


WRITES = [
    *(create, create_many, update, update_many, update_where, delete, delete_where),
    *(session_add, core_update, upsert, written_text, autocommit),
]


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
async def test_a_write_is_seen(
    engine: AndamiosEngine, cache: CacheManager, write: Callable[[AndamiosEngine], Awaitable[None]]
) -> None:
    """Whichever way something is written, a list, a count and an object by key are new after it."""
    shelf = await Shelves(engine).create(CaShelf(name="a"))
    cached = cache.repository(Shelves(engine))
    for _ in range(2):
        assert [("a", 0)] == await read(engine)
        assert 1 == await cached.count()
        assert 0 == (await cached.get_one(shelf.id)).number
    assert 3 == cache.stats().hits

    await write(engine)
    plain = await Shelves(engine).query().order_by("name").execute()
    found = await Shelves(engine).get_by_id(shelf.id)

    for _ in range(2):
        assert [(each.name, each.number) for each in plain] == await read(engine)
        assert len(plain) == await cached.count()
        seen = await cached.get_by_id(shelf.id)
        assert (found and found.number) == (seen and seen.number)


async def test_a_new_row_ends_that_there_was_none(
    engine: AndamiosEngine, cache: CacheManager
) -> None:
    """That a row is not there is cached, until it is."""
    cached = cache.repository(Shelves(engine))
    shelf = await Shelves(engine).create(CaShelf(name="a"))
    await Shelves(engine).delete(shelf.id)
    assert [None, None] == [await cached.get_by_id(shelf.id) for _ in range(2)]
    assert 1 == cache.stats().hits

    await Shelves(engine).create(CaShelf(id=shelf.id, name="b"))
    assert "b" == (await cached.get_one(shelf.id)).name


async def test_other_rows_stay(engine: AndamiosEngine, cache: CacheManager) -> None:
    """A write to one object leaves others by their keys where they are."""
    first, second = [await Shelves(engine).create(CaShelf(name=name)) for name in "ab"]
    cached = cache.repository(Shelves(engine))
    await cached.get_by_id(first.id)
    second.number = 1
    await Shelves(engine).update(second)
    hits = cache.stats().hits
    await cached.get_by_id(first.id)
    assert hits + 1 == cache.stats().hits


async def test_rollback_makes_nothing_void(engine: AndamiosEngine, cache: CacheManager) -> None:
    """What was rolled back leaves answers as they were."""
    await Shelves(engine).create(CaShelf(name="a"))
    await read(engine)

    async def fail() -> None:
        async with engine.session() as session:
            session.add(CaShelf(name="b"))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert [("a", 0)] == await read(engine)
    assert 1 == cache.stats().hits


async def test_a_savepoint_takes_only_its_own_along(
    engine: AndamiosEngine, cache: CacheManager
) -> None:
    """Rolling back a savepoint leaves what the transaction around it will make void."""
    await Shelves(engine).create(CaShelf(name="a"))
    note = await GenericRepository[CaNote](engine).create(CaNote(text="x"))
    notes = cache.repository(GenericRepository[CaNote](engine))
    await read(engine)
    await notes.get_by_id(note.id)
    async with engine.session() as session:
        session.add(CaShelf(name="b"))
        await session.flush()
        savepoint = await session.begin_nested()
        await session.execute(sa.update(CaNote).values(text="y"))
        await savepoint.rollback()

    assert [("a", 0), ("b", 0)] == await read(engine)
    hits = cache.stats().hits
    assert "x" == (await notes.get_one(note.id)).text
    assert hits + 1 == cache.stats().hits


@pytest.mark.usefixtures("cache")
async def test_a_released_savepoint_waits_for_the_commit(engine: AndamiosEngine) -> None:
    """Until COMMIT others have the old value, cached or not; after it nobody has."""
    await Shelves(engine).create(CaShelf(name="a"))
    assert [("a", 0)] == await read(engine)
    async with engine.session() as session:
        async with session.begin_nested():
            await session.execute(sa.update(CaShelf).values(number=1))
        if engine.backend != "sqlite" or "vfs" not in engine.async_engine.url.query:
            assert [("a", 0)] == await asyncio.create_task(read(engine))
    assert [("a", 1)] == await read(engine)


@pytest.mark.usefixtures("cache")
async def test_one_reads_what_one_wrote(engine: AndamiosEngine) -> None:
    """Inside a transaction its own writes are seen, and nobody else gets them."""
    await Shelves(engine).create(CaShelf(name="a"))
    await read(engine)
    async with engine.session() as session:
        session.add(CaShelf(name="b"))
        assert [("a", 0), ("b", 0)] == await read(session)
        assert [("a", 0)] == await asyncio.create_task(read(engine))
        await session.rollback()
    assert [("a", 0)] == await read(engine)


async def test_a_session_fills_and_hits(engine: AndamiosEngine, cache: CacheManager) -> None:
    """Queries on a session use the cache like those on an engine."""
    await Shelves(engine).create(CaShelf(name="a"))
    for _ in range(2):
        async with engine.session():
            await QueryBuilder(CaShelf).cached(60).execute()
    assert (1, 1) == (cache.stats().hits, cache.stats().misses)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_an_old_snapshot_fills_nothing(engine: AndamiosEngine, isolation: str) -> None:
    """A transaction that still sees the past neither stores it nor is given the present."""
    if engine.backend == "mysql" and isolation == "SERIALIZABLE":
        pytest.skip("its readers lock rows, so that there is no past to see")
    await Shelves(engine).create(CaShelf(name="a"))
    async with engine.session(read_only=True, isolation=isolation) as session:
        assert [("a", 0)] == await read(session)
        await asyncio.create_task(update_where(engine))
        assert [("a", 0)] == await read(session) or engine.backend == "sqlite"
    assert [("a", 9)] == await read(engine)


@pytest.mark.usefixtures("cache")
async def test_the_default_transaction_fills_nothing_old(engine: AndamiosEngine) -> None:
    """Whatever the server's own level is, what a session read before a commit is not kept."""
    await Shelves(engine).create(CaShelf(name="a"))
    async with engine.session(read_only=True) as session:
        await session.execute(sa.select(CaShelf))
        await asyncio.create_task(update_where(engine))
        await read(session)
    assert [("a", 9)] == await read(engine)


async def test_a_slow_reader_stores_nothing_old(
    engine: AndamiosEngine, cache: CacheManager
) -> None:
    """A load that ends after the write it did not see is not kept."""
    await Shelves(engine).create(CaShelf(name="a"))
    has_read, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> int:
        found = await Shelves(engine).find_one({"name": "a"})
        assert found is not None
        has_read.set()
        await may_end.wait()
        return found.number

    async def quick() -> int:
        found = await Shelves(engine).find_one({"name": "a"})
        assert found is not None
        return found.number

    async def ask(loader: Callable[[], Awaitable[int]]) -> int:
        return await cache.get_or_load("number", loader, ttl=60, tags=["t:ca_shelf"])

    reader = asyncio.create_task(ask(slow))
    await has_read.wait()
    await update_where(engine)
    # Who asks now must not be given what the slow one has read.
    assert 9 == await ask(quick)
    may_end.set()
    assert 0 == await reader
    assert 9 == await ask(quick)


async def test_rows_that_the_database_deletes(engine: AndamiosEngine, cache: CacheManager) -> None:
    """Deleting a shelf makes void what depends on its books, which the database deletes."""
    shelf = await Shelves(engine).create(CaShelf(name="a", books=[CaBook(title="t")]))
    books = cache.repository(GenericRepository[CaBook](engine))
    assert 1 == await books.count()
    await Shelves(engine).delete_where({"id": shelf.id})
    assert 0 == await books.count()


async def test_joined_and_loaded_tables_count(engine: AndamiosEngine, cache: CacheManager) -> None:
    """An answer depends on tables that are joined, asked about, and loaded along."""
    await Shelves(engine).create(CaShelf(name="a", books=[CaBook(title="t")]))
    loaded = QueryBuilder(CaShelf, engine).load(CaShelf.books).cached(60)
    joined = (
        QueryBuilder(CaShelf, engine).join(CaShelf.books).filter(CaBook.title == "t").cached(60)
    )
    asked = QueryBuilder(CaShelf, engine).filter(CaShelf.books.any(CaBook.title == "t")).cached(60)
    for _ in range(3):
        (shelf,) = await loaded.execute()
        assert ["t"] == [book.title for book in shelf.books]
        assert (1, True) == (await joined.count(), await asked.exists())
    # What is loaded along is learned of by the first load, and kept from the second on.
    assert 1 + 2 + 2 == cache.stats().hits

    await GenericRepository[CaBook](engine).update_where({"title": "t"}, {"title": "u"})
    (shelf,) = await loaded.execute()
    assert ["u"] == [book.title for book in shelf.books]
    assert (0, False) == (await joined.count(), await asked.exists())


async def test_softly_deleted_rows_stay_hidden(engine: AndamiosEngine, cache: CacheManager) -> None:
    """A soft deletion is seen at once, and asking for deleted rows is another question."""
    notes = GenericRepository[CaNote](engine)
    note = await notes.create(CaNote(text="x"))
    cached = cache.repository(notes)
    assert await cached.get_by_id(note.id) is not None
    await notes.delete(note.id)
    query = QueryBuilder(CaNote, engine).cached(60)
    for _ in range(2):
        assert await cached.get_by_id(note.id) is None
        assert 0 == await query.count()
        assert 1 == await query.include_deleted().count()


async def test_text_inside_a_query(engine: AndamiosEngine, cache: CacheManager) -> None:
    """A query with text in it, which may read any table, is void after any write."""
    await Shelves(engine).create(CaShelf(name="a", books=[CaBook(title="t")]))
    condition = sa.text("id IN (SELECT shelf_id FROM ca_book WHERE title = 't')")
    query = QueryBuilder(CaShelf, engine).filter(condition).cached(60)
    assert [1, 1] == [await query.count() for _ in range(2)]
    assert 1 == cache.stats().hits
    await GenericRepository[CaBook](engine).update_where({"title": "t"}, {"title": "u"})
    assert 0 == await query.count()


async def test_by_hand(engine: AndamiosEngine, cache: CacheManager) -> None:
    """invalidate() and clear() make void what they name, and all."""
    await cache.set_cached_result("own", 1, 60, tags=["mine"])
    await cache.set_cached_result("table", 2, 60, tags=["t:ca_shelf"])
    await cache.set_cached_result("free", 3, 60)
    await cache.invalidate("mine")
    assert [None, 2, 3] == [await cache.get_cached_result(key) for key in ("own", "table", "free")]
    await create(engine)
    assert [None, 3] == [await cache.get_cached_result(key) for key in ("table", "free")]
    await cache.clear()
    assert await cache.get_cached_result("free") is None


async def test_every_reader_has_a_copy(engine: AndamiosEngine, cache: CacheManager) -> None:
    """Changing what one got changes nothing for others, and it can be stored."""
    shelf = await Shelves(engine).create(CaShelf(name="a"))
    cached = cache.repository(Shelves(engine))
    mine = await cached.get_one(shelf.id)
    mine.number = 3
    assert 0 == (await cached.get_one(shelf.id)).number
    await cached.update(mine)
    assert 3 == (await cached.get_one(shelf.id)).number


async def test_what_cannot_be_cached_is_refused(
    engine: AndamiosEngine, cache: CacheManager
) -> None:
    """Locks, pages, streams and options say so; without a cache the error names the cure."""
    query = QueryBuilder(CaShelf, engine).cached(60)
    with pytest.raises(QueryError, match="pages"):
        await query.page()
    with pytest.raises(QueryError, match="stream"):
        await anext(query.stream())
    with pytest.raises(QueryError, match="for_update"):
        await query.for_update().execute()
    with pytest.raises(QueryError, match="conditions"):
        await query.load(CaShelf.books.and_(CaBook.title == "t")).execute()
    with pytest.raises(QueryError, match="above 0"):
        query.cached(0)
    cache.unwatch(engine)
    with pytest.raises(ConfigurationError, match=r"CacheManager\(\)\.watch\(engine\)"):
        await query.execute()
