"""What core announces, and to whom."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text
from sqlalchemy.util.concurrency import await_only

from andamios import AndamiosEngine, DuplicateError, PoolStats, QueryError
from andamios.core.facts import (
    CommitStarted,
    ConnectionReturned,
    ConnectionTaken,
    Fact,
    QueryFinished,
    TransactionEnded,
)
from tests.models.domain import LibWord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from andamios.core.hooks import Hooks
    from tests.core.conftest import EngineMaker

SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(30)",
    "mysql": "SELECT SLEEP(30)",
}


def heard(engine: AndamiosEngine, *kinds: type[Fact]) -> list[Fact]:
    facts: list[Fact] = []
    for kind in kinds:
        engine.hooks.listen(kind, facts.append)
    return facts


def ends(facts: Sequence[Fact]) -> list[str]:
    return [fact.outcome for fact in facts if isinstance(fact, TransactionEnded)]


async def test_a_query_is_announced(engine: AndamiosEngine) -> None:
    """A query's fact has its text without values, how long it took, and rows of a write."""
    facts = heard(engine, QueryFinished)
    async with engine.session() as session:
        session.add(LibWord(word="secret"))
        await session.flush()
        await session.execute(select(LibWord).where(LibWord.word == "secret"))
    queries = [fact for fact in facts if isinstance(fact, QueryFinished)]

    assert any(fact.statement.startswith("INSERT") for fact in queries)
    assert all(0 < fact.duration < 10 and fact.error is None for fact in queries)
    assert "secret" not in repr(queries)
    assert queries[-1].rows is None


async def test_a_refused_query_is_announced(engine: AndamiosEngine) -> None:
    """A statement that fails says with which class of error."""
    facts = heard(engine, QueryFinished)
    with pytest.raises(QueryError):
        async with engine.session() as session:
            await session.execute(text("SELECT nothing FROM nowhere"))
    failed = [fact for fact in facts if isinstance(fact, QueryFinished) and fact.error]

    assert ["QueryError"] == [fact.error for fact in failed]


async def test_rows_of_a_write(engine: AndamiosEngine) -> None:
    """A write says how many rows it touched."""
    async with engine.session() as session:
        session.add_all([LibWord(word="a"), LibWord(word="b")])
    facts = heard(engine, QueryFinished)
    async with engine.session() as session:
        await session.execute(text("UPDATE lib_word SET word = 'c' WHERE 1 = 0"))
        await session.execute(LibWord.__table__.delete())
    rows = [f.rows for f in facts if isinstance(f, QueryFinished) and f.rows is not None]

    assert {0, 2} <= set(rows)


async def test_connections_are_announced(engine: AndamiosEngine) -> None:
    """Taking a connection says how long it took, returning it how long it was held."""
    facts = heard(engine, ConnectionTaken, ConnectionReturned)
    async with engine.connections.acquire():
        await asyncio.sleep(0.02)
    taken, returned = facts

    assert isinstance(taken, ConnectionTaken)
    assert isinstance(returned, ConnectionReturned)
    assert 0 <= taken.waited < 10
    assert returned.held >= 0.02


async def test_a_commit_is_announced_before_and_after(engine: AndamiosEngine) -> None:
    """Both facts of a COMMIT carry the number of its transaction; the first one waits for it."""
    facts = heard(engine, CommitStarted, TransactionEnded)
    async with engine.session() as session:
        session.add(LibWord(word="a"))
        await session.flush()
        connection = await session.connection()
        number = engine.hooks.transaction_of(connection.sync_connection)
        assert [] == facts
    started, ended = facts

    assert CommitStarted(number) == started
    assert isinstance(ended, TransactionEnded)
    assert (number, "committed") == (ended.transaction, ended.outcome)


async def test_a_rollback_is_announced(engine: AndamiosEngine) -> None:
    """A transaction that fails is announced as rolled back, once."""
    facts = heard(engine, CommitStarted, TransactionEnded)
    async with engine.session() as session:
        session.add(LibWord(word="a"))

    async def fail() -> None:
        async with engine.session() as session:
            session.add(LibWord(word="b"))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert ["committed", "rolled back"] == ends(facts)


async def test_a_refused_flush_is_a_rollback(engine: AndamiosEngine) -> None:
    """What the database refuses ends as rolled back."""
    facts = heard(engine, TransactionEnded)
    with pytest.raises(DuplicateError):
        async with engine.session() as session:
            session.add_all([LibWord(word="same"), LibWord(word="same")])

    assert ["rolled back"] == ends(facts)


async def test_listeners_may_wait(engine: AndamiosEngine) -> None:
    """A listener may await, and COMMIT is sent after it has."""
    order: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(0.01)
        order.append("waited")

    engine.hooks.listen(CommitStarted, lambda _fact: await_only(slow()))
    engine.hooks.listen(TransactionEnded, lambda fact: order.append(fact.outcome))
    async with engine.session() as session:
        await session.execute(text("SELECT 1"))

    assert ["waited", "committed"] == order


async def test_a_cancelled_listener_means_no_commit(engine: AndamiosEngine) -> None:
    """Cancelled before COMMIT was sent, a transaction is rolled back, and said to be."""
    facts = heard(engine, TransactionEnded)
    reached = asyncio.Event()

    async def wait() -> None:
        reached.set()
        await asyncio.sleep(30)

    slow = engine.hooks.listen(CommitStarted, lambda _fact: await_only(wait()))

    async def write() -> None:
        async with engine.session() as session:
            session.add(LibWord(word="a"))

    task = asyncio.create_task(write())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    engine.hooks.remove(CommitStarted, slow)  # what empties the tables commits too

    assert ["rolled back"] == ends(facts)


async def test_a_cancelled_statement(
    engine: AndamiosEngine, make_engine: EngineMaker, backend: str
) -> None:
    """It is announced once, with the cancellation as its error, and so is its transaction's end."""
    engine = make_engine(pool_size=1)
    facts = heard(engine, CommitStarted, QueryFinished, TransactionEnded)

    async def wait() -> None:
        async with engine.session() as session:
            await session.execute(text(SLOW[backend]))

    await engine.open()  # so that it is the statement which is cancelled, and no log-in
    task = asyncio.create_task(wait())
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slow = [f for f in facts if isinstance(f, QueryFinished) and f.statement == SLOW[backend]]

    assert [("CancelledError", None)] == [(fact.error, fact.rows) for fact in slow]
    assert 0.1 < slow[0].duration < 10
    assert ["rolled back"] == ends(facts)
    assert not any(isinstance(fact, CommitStarted) for fact in facts)
    assert 0 == engine.connections.stats().in_use


async def test_each_transaction_ends_once(engine: AndamiosEngine) -> None:
    """Savepoints and many rows at once make neither more facts nor other ones."""
    facts = heard(engine, CommitStarted, TransactionEnded)
    async with engine.session() as session:
        async with session.begin_nested():
            await session.execute(LibWord.__table__.insert(), [{"word": "a"}, {"word": "b"}])
        with pytest.raises(DuplicateError):
            async with session.begin_nested():
                await session.execute(LibWord.__table__.insert(), [{"word": "a"}])

    assert ["CommitStarted", "TransactionEnded"] == [type(fact).__name__ for fact in facts]
    assert ["committed"] == ends(facts)


async def test_transactions_without_a_transaction(engine: AndamiosEngine) -> None:
    """With AUTOCOMMIT there is an end too, once."""
    facts = heard(engine, TransactionEnded)
    async with engine.connections.acquire() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("SELECT 1"))
        await connection.commit()
    assert ["committed"] == ends(facts)


async def test_rows_that_are_not_counted(engine: AndamiosEngine) -> None:
    """Where a driver does not count, there is no number."""
    facts = heard(engine, QueryFinished)
    async with engine.session() as session:
        await session.execute(text("CREATE TEMPORARY TABLE uncounted (a INTEGER)"))
        rows = [{"a": number} for number in range(3)]
        await session.execute(text("INSERT INTO uncounted VALUES (:a)"), rows)
        await session.execute(text("DROP TABLE uncounted"))
    counted = {fact.rows for fact in facts if isinstance(fact, QueryFinished)}

    assert counted <= {None, 0, 3}


async def test_what_core_sends_by_itself_is_not_announced(engine: AndamiosEngine) -> None:
    """BEGIN and settings that core sends by itself are no queries, so that all count alike."""
    facts = heard(engine, QueryFinished)
    for read_only in (True, False):
        async with engine.session(read_only=read_only) as session:
            await session.execute(text("SELECT 1"))
    statements = [fact.statement for fact in facts if isinstance(fact, QueryFinished)]

    assert ["SELECT 1", "SELECT 1"] == statements


async def test_a_cancelled_listener_keeps_no_connection(make_engine: EngineMaker) -> None:
    """Cancelled while a listener waits, a connection that was taken goes back."""
    engine = make_engine(pool_size=1, max_overflow=0)
    await engine.open()
    engine.hooks.listen(ConnectionTaken, lambda _fact: await_only(asyncio.sleep(30)))
    task = asyncio.create_task(engine.open())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert PoolStats(1, 1, 0, 0) == engine.connections.stats()


async def test_a_failing_listener_harms_nobody(
    engine: AndamiosEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """What a listener raises is logged, and the work goes on."""
    engine.hooks.listen(QueryFinished, lambda _fact: 1 / 0)
    async with engine.session() as session:
        assert 1 == await session.scalar(text("SELECT 1"))
    assert "A listener to QueryFinished failed" in caplog.text


async def test_a_removed_listener_hears_nothing(engine: AndamiosEngine) -> None:
    """After remove() nothing more is told, also to a lambda, which listen() gives back."""
    facts = heard(engine, QueryFinished)
    hooks: Hooks = engine.hooks
    hooks.remove(QueryFinished, facts.append)
    hooks.remove(QueryFinished, hooks.listen(QueryFinished, lambda fact: facts.extend([fact])))
    async with engine.session() as session:
        await session.execute(text("SELECT 1"))
    assert [] == facts
