"""What happens at COMMIT when something went wrong before it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text

from andamios import (
    AndamiosEngine,
    DeadlockError,
    DuplicateError,
    ForeignKeyError,
    PoolStats,
    QueryError,
    SerializationError,
    TransactionError,
)
from andamios.core.commits import is_unknown
from andamios.core.facts import TransactionEnded
from tests.models.domain import LibWord

if TYPE_CHECKING:
    from andamios import AsyncSession
    from tests.core.conftest import EngineMaker


async def words(engine: AndamiosEngine) -> list[str]:
    async with engine.session() as session:
        return list(await session.scalars(select(LibWord.word).order_by(LibWord.word)))


async def break_a_rule(session: AsyncSession) -> None:
    twice = [{"word": "x"}, {"word": "x"}]
    with suppress(DuplicateError):
        await session.execute(LibWord.__table__.insert(), twice)


async def test_nothing_is_lost_in_silence(engine: AndamiosEngine, backend: str) -> None:
    """After a failure that was swallowed, the rest is committed, or COMMIT says it is not."""

    async def work() -> None:
        async with engine.session() as session:
            session.add(LibWord(word="kept"))
            await session.flush()
            await break_a_rule(session)

    ends: list[str] = []
    engine.hooks.listen(TransactionEnded, lambda fact: ends.append(fact.outcome))
    if backend == "postgresql":
        with pytest.raises(TransactionError, match="begin_nested"):
            await work()
        assert ["rolled back"] == ends
        assert [] == await words(engine)
    else:
        await work()
        assert "kept" in await words(engine)
    assert 0 == engine.connections.stats().in_use


async def test_a_savepoint_takes_the_failure_back(engine: AndamiosEngine) -> None:
    """What failed inside a savepoint does not keep the rest from being committed."""
    async with engine.session() as session:
        session.add(LibWord(word="kept"))
        await session.flush()
        with suppress(DuplicateError):
            async with session.begin_nested():
                session.add_all([LibWord(word="x"), LibWord(word="x")])

    assert ["kept"] == await words(engine)


async def test_a_savepoint_of_ones_own(engine: AndamiosEngine) -> None:
    """One that is written as text counts too."""
    async with engine.session() as session:
        session.add(LibWord(word="kept"))
        await session.flush()
        await session.execute(text("SAVEPOINT mine"))
        await break_a_rule(session)
        await session.execute(text("ROLLBACK TO SAVEPOINT mine"))

    assert ["kept"] == await words(engine)


async def test_a_failed_read_loses_nothing(engine: AndamiosEngine) -> None:
    """A read-only block may swallow what failed: there is nothing to commit."""
    async with engine.session(read_only=True) as session:
        with suppress(QueryError):
            await session.execute(text("SELECT nothing FROM nowhere"))
    assert [] == await words(engine)


async def test_the_next_transaction_is_not_blamed(engine: AndamiosEngine) -> None:
    """A connection that comes back after a failure commits what the next one writes."""
    with suppress(QueryError):
        async with engine.session() as session:
            await session.execute(text("SELECT nothing FROM nowhere"))
    async with engine.session() as session:
        session.add(LibWord(word="kept"))
    assert ["kept"] == await words(engine)


async def test_a_deadlock_takes_everything(engine: AndamiosEngine, backend: str) -> None:
    """What came before a swallowed deadlock is lost, so that the rest is not committed alone."""
    if backend == "sqlite":
        pytest.skip("SQLite has one writer")
    async with engine.session() as session:
        session.add_all([LibWord(word="a"), LibWord(word="b")])
    table, both = LibWord.__table__, asyncio.Barrier(2)

    async def cross(first: str, second: str) -> None:
        async with engine.session() as session:
            await session.execute(table.insert(), [{"word": f"before {first}"}])
            await session.execute(table.update().where(table.c.word == first).values(word=first))
            await both.wait()
            with suppress(DeadlockError):
                at = table.update().where(table.c.word == second)
                await session.execute(at.values(word=second))
                return
            with suppress(TransactionError):  # PostgreSQL refuses already this
                await session.execute(table.insert(), [{"word": f"after {first}"}])

    ends = await asyncio.gather(cross("a", "b"), cross("b", "a"), return_exceptions=True)
    refused = [end for end in ends if end is not None]
    expected = DeadlockError if backend in {"mysql", "mariadb"} else TransactionError

    assert [expected] == [type(end) for end in refused]
    winner = "b" if ends[0] else "a"
    assert ["a", "b", f"before {winner}"] == await words(engine)
    async with engine.session() as session:
        session.add(LibWord(word="later"))
    assert "later" in await words(engine)


async def test_a_savepoint_does_not_hide_what_took_it(engine: AndamiosEngine, backend: str) -> None:
    """A deadlock in a savepoint is a deadlock, though MySQL has forgotten the savepoint with it."""
    if backend == "sqlite":
        pytest.skip("SQLite has one writer")
    async with engine.session() as session:
        session.add_all([LibWord(word="a"), LibWord(word="b")])
    table, both = LibWord.__table__, asyncio.Barrier(2)

    async def cross(first: str, second: str) -> None:
        async with engine.session() as session:
            await session.execute(table.update().where(table.c.word == first).values(word=first))
            await both.wait()
            async with session.begin_nested():
                at = table.update().where(table.c.word == second)
                await session.execute(at.values(word=second))

    ends = await asyncio.gather(cross("a", "b"), cross("b", "a"), return_exceptions=True)
    assert [DeadlockError] == [type(end) for end in ends if end is not None]


async def test_a_row_that_changed_takes_everything(engine: AndamiosEngine, backend: str) -> None:
    """MariaDB rolls back when a row is newer than the snapshot, and commits no rest then."""
    if backend == "sqlite":
        pytest.skip("SQLite has one writer")
    async with engine.session() as session:
        session.add(LibWord(word="a"))
    table, change = LibWord.__table__, select(LibWord).where(LibWord.word == "a")

    async def overtaken() -> bool:
        async with engine.session() as session:
            word = (await session.scalars(change)).one()
            await session.execute(table.insert(), [{"word": "before"}])
            async with engine.session() as other:
                await other.execute(table.update().where(table.c.id == word.id).values(word="z"))
            try:
                await session.execute(
                    table.update().where(table.c.id == word.id).values(word="mine")
                )
            except SerializationError:
                await session.execute(table.insert(), [{"word": "after"}])
                return True
        return False

    try:
        is_lost = await overtaken()
    except SerializationError:
        assert ["z"] == await words(engine)
    else:
        assert not is_lost
        assert ["before", "mine"] == await words(engine)


async def test_a_refused_commit_leaves_nothing_open(
    engine: AndamiosEngine, make_engine: EngineMaker, backend: str
) -> None:
    """SQLite would keep the transaction, and its lock, after a rule that is checked at COMMIT."""
    if backend != "sqlite":
        pytest.skip("servers end a transaction that they refuse")
    refers = "REFERENCES lib_word (id) DEFERRABLE INITIALLY DEFERRED"
    one = make_engine(pool_size=1, max_overflow=0)
    ends: list[str] = []
    one.hooks.listen(TransactionEnded, lambda fact: ends.append(fact.outcome))
    async with one.session() as session:
        await session.execute(text(f"CREATE TABLE late (word INTEGER {refers})"))

    async def break_at_the_end() -> None:
        async with one.session() as session:
            session.add(LibWord(word="lost"))
            await session.flush()
            await session.execute(text("INSERT INTO late VALUES (99)"))

    with pytest.raises(ForeignKeyError):
        await break_at_the_end()
    assert (["committed", "rolled back"], PoolStats(1, 1, 0, 0)) == (ends, one.connections.stats())
    async with engine.session() as session:  # no lock is left
        session.add(LibWord(word="kept"))
    assert ["kept"] == await words(one)
    async with one.session() as session:
        await session.execute(text("DROP TABLE late"))


async def test_failing_ddl_is_an_error_of_ours(engine: AndamiosEngine) -> None:
    """A table that is there cannot be made again, and the error says so as any other does."""
    from sqlalchemy.schema import CreateTable  # noqa: PLC0415

    with pytest.raises(QueryError):
        async with engine.connections.acquire() as connection:
            await connection.execute(CreateTable(LibWord.__table__))


async def test_what_leaves_a_commit_unknown(engine: AndamiosEngine) -> None:
    """Only an answer of the database, or our own refusal, says that nothing was committed."""
    dialect = engine.async_engine.dialect
    answer = dialect.loaded_dbapi.IntegrityError("a deferred rule is broken")
    async with engine.connections.acquire() as connection:
        plain = (await connection.get_raw_connection()).dbapi_connection
        assert not is_unknown(dialect, plain, answer)
        assert not is_unknown(dialect, plain, TransactionError("refused"))
        for error in (asyncio.CancelledError(), OSError("gone"), RuntimeError("in the driver")):
            assert is_unknown(dialect, plain, error)
