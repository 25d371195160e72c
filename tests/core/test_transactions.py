"""Transactions: read-only ones, isolation levels, and SQLite's single writer."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import Insert, delete, insert, select, text, update

from andamios import (
    AndamiosEngine,
    AsyncSession,
    BaseModel,
    ConfigurationError,
    DuplicateError,
    ReadOnlyError,
    SerializationError,
    SessionTaskError,
)
from tests.core.conftest import EngineMaker
from tests.models.domain import LibWord

WRITES = {
    "insert": insert(LibWord).values(word="x"),
    "update": update(LibWord).values(word="x"),
    "delete": delete(LibWord),
    "text": text("DELETE FROM lib_word"),
}


@pytest.mark.parametrize("write", WRITES)
async def test_read_only_session_refuses_writes(engine: AndamiosEngine, write: str) -> None:
    """A write in a session that only reads is the same error everywhere."""
    async with engine.session() as session:
        session.add(LibWord(word="kept"))
    async with engine.session(read_only=True) as session:
        with pytest.raises(ReadOnlyError, match="without read_only"):
            await session.execute(WRITES[write])
        await session.rollback()
    async with engine.session() as session:
        assert ["kept"] == list(await session.scalars(select(LibWord.word)))


async def test_read_only_session_refuses_a_flush(engine: AndamiosEngine) -> None:
    """Objects are refused as statements are, at the end of the block at the latest."""

    async def work() -> None:
        async with engine.session(read_only=True) as session:
            session.add(LibWord(word="gone"))

    with pytest.raises(ReadOnlyError):
        await work()


async def test_read_only_session_reads(engine: AndamiosEngine) -> None:
    """Reading works, twice in one session too."""
    async with engine.session(read_only=True) as session:
        assert [] == list(await session.scalars(select(LibWord)))
        await session.commit()
        assert [] == list(await session.scalars(select(LibWord)))


async def test_read_only_is_not_passed_on(make_engine: EngineMaker) -> None:
    """The next session on the same connection can write, and the one after it cannot."""
    engine = make_engine(pool_size=1, max_overflow=0)
    for word in ("one", "two"):
        async with engine.session(read_only=True) as session:
            await session.execute(select(LibWord))
            with pytest.raises(ReadOnlyError):
                await session.execute(WRITES["insert"])
            await session.rollback()
        async with engine.session() as session:
            session.add(LibWord(word=word))
    async with engine.session(read_only=True) as session:
        assert ["one", "two"] == sorted(await session.scalars(select(LibWord.word)))


LEVEL = {
    "postgresql": text("SELECT upper(current_setting('transaction_isolation'))"),
    "mysql": text("SELECT replace(@@transaction_isolation, '-', ' ')"),
}

DEFAULT = {"postgresql": "READ COMMITTED", "mysql": "REPEATABLE READ"}


async def level_of(session: AsyncSession, backend: str) -> Any:
    """Ask the server for the isolation of a session."""
    return await session.scalar(LEVEL[backend])


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
async def test_isolation_is_set_on_the_server(
    make_engine: EngineMaker, backend: str, level: str, is_sqlite: bool
) -> None:
    """The level holds for its session, and the next one on that connection has the default."""
    if is_sqlite:
        pytest.skip("SQLite is always serializable")
    engine = make_engine(pool_size=1, max_overflow=0)
    async with engine.session(isolation=level) as session:
        found = await level_of(session, backend)
    async with engine.session() as session:
        assert (level, DEFAULT[backend]) == (found, await level_of(session, backend))


@pytest.mark.parametrize("level", ["serializable", "Repeatable_Read", "READ UNCOMMITTED"])
async def test_isolation_is_spelled_as_one_likes(engine: AndamiosEngine, level: str) -> None:
    """Capitals and underscores do not matter, and every standard level is taken everywhere."""
    async with engine.session(isolation=level, read_only=True) as session:
        assert 1 == await session.scalar(text("SELECT 1"))


def test_unknown_isolation() -> None:
    """A level that does not exist is refused before anything connects."""
    engine = AndamiosEngine("sqlite://", uvloop=False)
    with pytest.raises(ConfigurationError, match="Unknown isolation level 'CHAOS'"):
        engine.session(isolation="chaos")


async def test_repeatable_read_repeats(engine: AndamiosEngine) -> None:
    """A reader of that level does not see what was committed meanwhile, on any backend."""
    async with engine.session(isolation="REPEATABLE READ", read_only=True) as reader:
        assert [] == list(await reader.scalars(select(LibWord.word)))

        async def write() -> None:
            async with engine.session() as session:
                session.add(LibWord(word="new"))

        await asyncio.create_task(write())
        assert [] == list(await reader.scalars(select(LibWord.word)))


async def test_collision_is_a_serialization_error(engine: AndamiosEngine, backend: str) -> None:
    """Two transactions that change the same row on PostgreSQL: the second one must run again."""
    if backend != "postgresql":
        pytest.skip("SQLite and MySQL let the second writer wait instead")
    async with engine.session() as session:
        session.add(LibWord(word="one"))
    async with engine.session(isolation="SERIALIZABLE") as session:
        await session.execute(select(LibWord))
        async with engine.session() as other:
            await other.execute(update(LibWord).values(word="two"))
        with pytest.raises(SerializationError) as caught:
            await session.execute(update(LibWord).values(word="three"))
        await session.rollback()
    assert "40001" == caught.value.code


async def test_two_writers_in_two_tasks_both_succeed(engine: AndamiosEngine) -> None:
    """A read that turns into a write does not fail because somebody else writes."""

    async def write(word: str) -> None:
        async with engine.session() as session:
            await session.scalars(select(LibWord))
            await asyncio.sleep(0.02)
            session.add(LibWord(word=word))
            await session.flush()
            await asyncio.sleep(0.02)

    await asyncio.gather(write("one"), write("two"), write("three"))
    async with engine.session(read_only=True) as session:
        assert ["one", "three", "two"] == sorted(await session.scalars(select(LibWord.word)))


async def insert_in(engine: AndamiosEngine, statement: Insert) -> None:
    """Write in a session of its own."""
    async with engine.session() as session:
        await session.execute(statement)


@pytest.fixture(params=["file", "memory"])
async def sqlite_engine(request: pytest.FixtureRequest, tmp_path: Any) -> AndamiosEngine:
    """An engine on SQLite, on disk and in memory."""
    url = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path}/own.db"
    engine = AndamiosEngine(url, uvloop=False)
    await engine.create_all(BaseModel)
    return engine


async def test_second_writer_in_the_same_task(sqlite_engine: AndamiosEngine) -> None:
    """On SQLite it would wait for itself, and is refused at once."""
    began = time.monotonic()
    async with sqlite_engine as engine, engine.session() as session:
        session.add(LibWord(word="one"))
        await session.flush()
        with pytest.raises(SessionTaskError, match="wait for itself"):
            await insert_in(engine, WRITES["insert"])  # type: ignore[arg-type]
        session.add(LibWord(word="two"))
    assert time.monotonic() - began < 4


async def test_second_writer_after_the_first(sqlite_engine: AndamiosEngine) -> None:
    """Once the first one has committed or rolled back, the task may write elsewhere."""
    async with sqlite_engine as engine:
        async with engine.session() as session:
            session.add(LibWord(word="one"))
            await session.commit()
            await insert_in(engine, insert(LibWord).values(word="two"))
            session.add(LibWord(word="gone"))
            await session.flush()
            await session.rollback()
            await insert_in(engine, insert(LibWord).values(word="three"))
        async with engine.session() as session:
            assert 3 == len(list(await session.scalars(select(LibWord))))


async def test_second_writer_after_an_error(sqlite_engine: AndamiosEngine) -> None:
    """A block that failed does not keep its task from writing."""
    async with sqlite_engine as engine:
        await insert_in(engine, insert(LibWord).values(word="one"))
        for _ in range(2):
            with pytest.raises(DuplicateError):
                await insert_in(engine, insert(LibWord).values(word="one"))
        await insert_in(engine, insert(LibWord).values(word="two"))


async def test_reader_beside_the_writer(tmp_path: Any) -> None:
    """In a file a task may read in a second session, and sees what was committed."""
    async with AndamiosEngine(f"sqlite:///{tmp_path}/own.db", uvloop=False) as engine:
        await engine.create_all(BaseModel)
        async with engine.session() as session:
            session.add(LibWord(word="one"))
            await session.flush()
            async with engine.session(read_only=True) as reader:
                assert [] == list(await reader.scalars(select(LibWord)))


async def test_writing_session_begins_immediately(tmp_path: Any) -> None:
    """The lock of a writer is taken by its first statement, though that only reads."""
    async with (
        AndamiosEngine(f"sqlite:///{tmp_path}/own.db", uvloop=False) as engine,
        AndamiosEngine(
            f"sqlite:///{tmp_path}/own.db", uvloop=False, connect_args={"timeout": 0.05}
        ) as other,
    ):
        await engine.create_all(BaseModel)
        async with engine.session() as session:
            await session.scalars(select(LibWord))
            with pytest.raises(Exception, match="SQLITE_BUSY"):
                await insert_in(other, insert(LibWord).values(word="x"))


PRAGMAS = {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000}


@pytest.mark.parametrize("pragma", PRAGMAS)
async def test_settings_of_sqlite(tmp_path: Any, pragma: str) -> None:
    """Every connection has what the documents promise."""
    statement = text(f"PRAGMA {pragma}")
    async with (
        AndamiosEngine(f"sqlite:///{tmp_path}/own.db", uvloop=False) as engine,
        engine.session(read_only=True) as one,
        engine.session(read_only=True) as two,
    ):
        found = await one.scalar(statement), await two.scalar(statement)
    assert (PRAGMAS[pragma], PRAGMAS[pragma]) == found


async def test_autocommit_after_reading(make_engine: EngineMaker) -> None:
    """A connection that only read before writes again, also without a transaction."""
    engine = make_engine(pool_size=1)
    async with engine.session(read_only=True) as session:
        await session.execute(select(LibWord))
    async with engine.connections.acquire() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(LibWord.__table__.insert(), {"word": "kept"})
    async with engine.session() as session:
        assert ["kept"] == list(await session.scalars(select(LibWord.word)))
