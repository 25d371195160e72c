"""Lost COMMITs: found out whether they happened, and done exactly once."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text

from andamios import AndamiosEngine, AsyncSession, CommitOutcomeUnknownError
from andamios.core.facts import CommitSettled
from andamios.core.markers import MARKING_BACKENDS
from andamios.errors import (
    ConnectionFailedError,
    DeadlineExceededError,
    QueryError,
    TransactionError,
)
from andamios.resilience import TransactionManager
from andamios.resilience.settling.markers import markers_of
from andamios.resilience.settling.mysql import SERVER, MarkerWitness, new_marker
from tests.resilience.deaf import Deaf
from tests.resilience.models import ResNote

if TYPE_CHECKING:
    from harness.faults import FaultProxy, Moment
    from tests.resilience.conftest import NoteReader

CALLS: dict[Moment, int] = {"before": 2, "after": 1}


def in_use(engine: AndamiosEngine) -> int:
    return engine.connections.stats().in_use


class Work:
    """Adds one note, and has its first COMMIT cut."""

    def __init__(self, proxy: FaultProxy, moment: Moment) -> None:
        self.proxy = proxy
        self.moment = moment
        self.calls = 0
        self.cut: asyncio.Future[asyncio.Event] = asyncio.get_running_loop().create_future()

    async def __call__(self, session: AsyncSession) -> int:
        self.calls += 1
        session.add(ResNote(text="one"))
        await session.flush()
        if self.calls == 1:
            self.cut.set_result(self.proxy.cut(b"COMMIT", self.moment))
        return self.calls


@pytest.mark.parametrize("moment", CALLS)
async def test_lost_commit_is_settled(
    prepared: TransactionManager, proxy: FaultProxy, notes: NoteReader, moment: Moment
) -> None:
    """What was committed is a result, and what was not is done again: once counts either way."""
    work = Work(proxy, moment)
    assert CALLS[moment] == await prepared.run(work)
    assert (CALLS[moment], 1) == (work.calls, proxy.cuts)
    assert ["one"] == await notes()


@pytest.mark.parametrize("moment", CALLS)
async def test_operations_are_settled(
    prepared: TransactionManager, proxy: FaultProxy, notes: NoteReader, moment: Moment
) -> None:
    """Operations that are not repeated give their results, or an error that says: nothing."""
    work = Work(proxy, moment)
    if moment == "after":
        assert [1] == await prepared.execute_in_transaction([work])
        assert ["one"] == await notes()
        return
    with pytest.raises(ConnectionFailedError, match="did not happen"):
        await prepared.execute_in_transaction([work])
    assert [] == await notes()


async def test_many_lost_commits(
    prepared: TransactionManager, proxy: FaultProxy, notes: NoteReader
) -> None:
    """Twenty transactions, each cut once at its COMMIT, are done twenty times."""
    for number in range(20):
        moment: Moment = "before" if number % 2 else "after"
        assert CALLS[moment] == await prepared.run(Work(proxy, moment))
    assert 20 == proxy.cuts
    assert ["one"] * 20 == await notes()


async def test_server_that_is_away_for_a_while(
    prepared: TransactionManager, proxy: FaultProxy, notes: NoteReader
) -> None:
    """The settler waits for the server to come back."""
    work = Work(proxy, "after")
    running = asyncio.create_task(prepared.run(work))
    await (await work.cut).wait()
    await proxy.down()
    await asyncio.sleep(0.5)
    assert not running.done()
    await proxy.up()
    assert 1 == await running
    assert ["one"] == await notes()


async def test_transaction_that_stays_open_is_ended(
    engine: AndamiosEngine, notes: NoteReader, backend: str
) -> None:
    """A server that did not notice the break still holds the transaction; it is ended there."""
    if backend == "sqlite":
        pytest.skip("SQLite has no server")
    calls = 0

    async def work(session: AsyncSession) -> None:
        nonlocal calls
        calls += 1
        session.add(ResNote(text="one"))
        await session.flush()

    url = engine.url
    async with (
        Deaf(url.host, url.port, b"COMMIT") as deaf,
        AndamiosEngine(url.set(port=deaf.port), uvloop=False) as through,
    ):
        manager = TransactionManager(through)
        await manager.prepare()
        deaf.listens_for_word = True
        began = time.monotonic()
        await manager.run(work)
        assert time.monotonic() - began < 5
        assert (2, ["one"]) == (calls, await notes())
        assert await deaf.is_ended()


async def test_deadline_during_commit(
    prepared: TransactionManager, proxy: FaultProxy, notes: NoteReader
) -> None:
    """When the time is up during COMMIT, it is settled in few more seconds."""
    began = time.monotonic()
    assert 1 == await prepared.run(Work(proxy, "held"), deadline=0.5)
    assert 0.5 <= time.monotonic() - began < 5  # asyncpg takes two to give a connection up
    assert ["one"] == await notes()


async def test_settled_once(
    prepared: TransactionManager, proxy: FaultProxy, proxied: AndamiosEngine
) -> None:
    """A deadline that passes meanwhile does not have it looked for again."""
    outcomes: list[str] = []
    proxied.hooks.listen(CommitSettled, lambda fact: outcomes.append(fact.outcome))
    work = Work(proxy, "before")
    running = asyncio.create_task(prepared.run(work, deadline=0.7))
    await (await work.cut).wait()
    await proxy.down()
    await asyncio.sleep(1)
    await proxy.up()
    with pytest.raises(DeadlineExceededError):
        await running
    assert (1, ["rolled back"]) == (work.calls, outcomes)


async def test_lost_commit_of_the_settler(
    engine: AndamiosEngine, manager: TransactionManager
) -> None:
    """The row of a settler that never learned of its own COMMIT is not taken for the other's."""
    if engine.backend not in MARKING_BACKENDS:
        pytest.skip("the settler writes nothing")
    await manager.prepare()
    known = markers_of(engine)
    assert known is not None
    witness = MarkerWitness(known)
    witness._marker = new_marker()  # noqa: SLF001  of a transaction that never came
    for _ in range(2):
        async with engine.connections.acquire() as connection:
            found = await witness.look(connection)
        assert found.is_committed is False


@pytest.mark.parametrize(
    ("server", "age", "is_ended"), [(SERVER, 0, True), ("1", 0, False), (SERVER, 10**8, False)]
)
async def test_stranger_with_the_same_number(
    engine: AndamiosEngine, manager: TransactionManager, server: str, age: int, *, is_ended: bool
) -> None:
    """A connection is ended only if it wrote the row on this server, since its last start."""
    if engine.backend not in MARKING_BACKENDS:
        pytest.skip("threads are ended on MySQL and MariaDB")
    await manager.prepare()
    known = markers_of(engine)
    assert known is not None
    witness = MarkerWitness(known)
    witness._marker = marker = new_marker()  # noqa: SLF001  of a transaction that is not ours
    acquire = engine.connections.acquire
    async with acquire() as holder, acquire() as stranger, acquire() as settler:
        thread = (await stranger.execute(text("SELECT CONNECTION_ID()"))).scalar()
        await holder.execute(
            text(
                f"INSERT INTO andamios_commits SELECT X'{marker}', {thread}, {server},"
                f" CURRENT_TIMESTAMP(6) - INTERVAL {age} SECOND"
            )
        )
        found = await witness.look(settler)
        await holder.rollback()
        if is_ended:
            with pytest.raises(ConnectionFailedError):
                await stranger.execute(text("SELECT 1"))
        else:
            assert 1 == (await stranger.execute(text("SELECT 1"))).scalar()
    assert not found.is_final


async def test_what_cannot_be_told_is_said(
    prepared: TransactionManager, proxy: FaultProxy, proxied: AndamiosEngine, notes: NoteReader
) -> None:
    """While the server stays away nobody knows, and the error has all that is known."""
    work = Work(proxy, "after")
    running = asyncio.create_task(prepared.run(work, deadline=3))
    await (await work.cut).wait()
    await proxy.down()
    with pytest.raises(CommitOutcomeUnknownError, match="may have happened or not") as caught:
        await running
    await proxy.up()
    assert caught.value.transaction is not None
    assert caught.value.transaction in str(caught.value)
    assert "nobody answered" in str(caught.value.seen)
    assert 0 == in_use(proxied)
    assert ["one"] == await notes()


async def test_cancelled_while_settling(
    prepared: TransactionManager, proxy: FaultProxy, proxied: AndamiosEngine
) -> None:
    """A cancellation ends the looks, and leaves nothing behind."""
    work = Work(proxy, "after")
    running = asyncio.create_task(prepared.run(work))
    await (await work.cut).wait()
    proxy.timeout()
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert 0 == in_use(proxied)


async def test_nothing_written_is_nothing_lost(
    prepared: TransactionManager, proxy: FaultProxy
) -> None:
    """A transaction that only read is read again, whatever became of its COMMIT."""
    calls = 0

    async def work(session: AsyncSession) -> list[str]:
        nonlocal calls
        calls += 1
        found = list(await session.scalars(select(ResNote.text)))
        if calls == 1:
            proxy.cut(b"COMMIT", "before")
        return found

    assert [] == await prepared.run(work)
    assert 2 == calls


async def test_written_by_the_last_flush(
    prepared: TransactionManager, proxy: FaultProxy, notes: NoteReader
) -> None:
    """What the session writes only at COMMIT is seen by the witness, too."""
    calls = 0

    async def work(session: AsyncSession) -> None:
        nonlocal calls
        calls += 1
        session.add(ResNote(text="one"))
        if calls == 1:
            proxy.cut(b"COMMIT", "after")

    await prepared.run(work)
    assert (1, ["one"]) == (calls, await notes())


async def test_without_the_table_nobody_knows(
    proxied: AndamiosEngine, proxy: FaultProxy, engine: AndamiosEngine
) -> None:
    """MySQL has nothing else to be asked by, and the error says what to do."""
    if engine.backend not in MARKING_BACKENDS:
        pytest.skip("needs no table")
    async with engine.connections.acquire() as connection:
        await connection.execute(text("DROP TABLE IF EXISTS andamios_commits"))
    manager = TransactionManager(proxied)
    with pytest.raises(CommitOutcomeUnknownError, match=r"manager\.prepare\(\)"):
        await manager.run(Work(proxy, "after"))
    await manager.prepare()
    assert 1 == await manager.run(Work(proxy, "after"))


async def test_prepare_at_once(engine: AndamiosEngine) -> None:
    """Workers that start at once all prepare, and none of them fails."""
    await asyncio.gather(*(TransactionManager(engine).prepare() for _ in range(5)))


async def test_failed_statement_is_still_refused(
    manager: TransactionManager, notes: NoteReader, backend: str
) -> None:
    """A swallowed failure ends a transaction on PostgreSQL with the same words as ever."""
    if backend != "postgresql":
        pytest.skip("others go on after a failed statement")

    async def work(session: AsyncSession) -> None:
        session.add(ResNote(text="one"))
        await session.flush()
        with suppress(QueryError):
            await session.execute(text("SELECT nothing FROM nowhere"))

    with pytest.raises(TransactionError, match="begin_nested"):
        await manager.run(work)
    assert [] == await notes()
