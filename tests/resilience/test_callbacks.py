"""Callbacks: once, after the end that was waited for, and never for another one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event
from sqlalchemy.util import await_only

from andamios.core.facts import TransactionEnded
from andamios.errors import (
    CommitOutcomeUnknownError,
    DeadlineExceededError,
    SerializationError,
    TransactionError,
)
from andamios.resilience import TransactionManager, callback_failures
from tests.resilience.models import ResNote

if TYPE_CHECKING:
    from andamios import AndamiosEngine, AsyncSession
    from harness.faults import FaultProxy, Moment
    from tests.resilience.conftest import NoteReader


class Log:
    """What was called, in its order; makes callbacks of both kinds."""

    def __init__(self, manager: TransactionManager) -> None:
        self.manager = manager
        self.called: list[str] = []

    def add(self, name: str, session: AsyncSession | None = None) -> None:
        """Register a synchronous callback for the commit, and an asynchronous for the rollback."""

        async def later() -> None:
            await asyncio.sleep(0)
            self.called.append(f"{name} rolled back")

        self.manager.after_commit(lambda: self.called.append(f"{name} committed"), session=session)
        self.manager.after_rollback(later, session=session)


@pytest.fixture
def log(manager: TransactionManager) -> Log:
    """A log on the test's engine."""
    return Log(manager)


async def test_called_in_order_after_commit(
    manager: TransactionManager, log: Log, notes: NoteReader
) -> None:
    """Both kinds wait for the COMMIT, see what it wrote, and may begin transactions themselves."""

    async def look() -> None:
        log.called.append(f"sees {await notes()}")

    async def again() -> None:
        async def more(session: AsyncSession) -> None:
            session.add(ResNote(text="two"))

        await manager.run(more)

    async def work(session: AsyncSession) -> None:
        session.add(ResNote(text="one"))
        log.add("first")
        manager.after_commit(look)
        manager.after_commit(again)
        log.add("last")
        assert [] == log.called

    await manager.run(work)
    assert ["first committed", "sees ['one']", "last committed"] == log.called
    assert ["one", "two"] == await notes()


async def test_attempts_that_were_rolled_back(manager: TransactionManager, log: Log) -> None:
    """Each attempt calls its own: those that failed after their rollback, the last after COMMIT."""
    calls = 0

    async def work(_session: AsyncSession) -> None:
        nonlocal calls
        calls += 1
        log.add(f"attempt {calls}")
        if calls < 3:
            raise SerializationError("collided")

    await manager.run(work)
    assert ["attempt 1 rolled back", "attempt 2 rolled back", "attempt 3 committed"] == log.called


async def test_savepoints(manager: TransactionManager, log: Log) -> None:
    """What was registered in a savepoint goes with it, or waits for the whole."""

    async def work(_session: AsyncSession) -> None:
        log.add("before")
        async with manager.savepoint("kept"):
            log.add("kept")
        with suppress(KeyError):
            async with manager.savepoint("outer"):
                async with manager.savepoint("inner"):
                    log.add("inner")
                raise KeyError
        assert ["inner rolled back"] == log.called
        log.add("after")

    await manager.run(work)
    expected = ["inner rolled back", "before committed", "kept committed", "after committed"]
    assert expected == log.called


async def test_in_a_session(engine: AndamiosEngine, log: Log) -> None:
    """A plain session calls them too, at the end of its block or at its own COMMIT."""
    async with engine.session() as session:
        log.add("one")
        await session.commit()
        assert ["one committed"] == log.called
        log.add("two")
    with suppress(KeyError):
        async with engine.session():
            log.add("three")
            raise KeyError
    async with engine.session(is_current=False) as given:
        log.add("four", given)
    expected = ["one committed", "two committed", "three rolled back", "four committed"]
    assert expected == log.called


async def test_after_a_rollback_the_session_goes_on(engine: AndamiosEngine, log: Log) -> None:
    """What a session rolled back itself is not called for what it commits later."""
    async with engine.session() as session:
        log.add("one")
        await session.rollback()
        session.add(ResNote(text="two"))
        log.add("two")
    assert ["one rolled back", "two committed"] == log.called


async def test_own_ends_inside_run(manager: TransactionManager, log: Log) -> None:
    """A function that ends transactions itself has each called for its own end."""

    async def work(session: AsyncSession) -> None:
        log.add("one")
        await session.rollback()
        log.add("two")
        await session.commit()
        log.add("three")

    await manager.run(work)
    assert ["one rolled back", "two committed", "three committed"] == log.called


async def test_outside_of_any_transaction(
    manager: TransactionManager, engine: AndamiosEngine
) -> None:
    """Where there is no transaction the error says where one would be."""
    for register in (manager.after_commit, manager.after_rollback):
        with pytest.raises(TransactionError, match="no session of this task is open"):
            register(print)
    async with engine.session() as session:
        pass
    with pytest.raises(TransactionError, match="closed"):
        manager.after_commit(print, session=session)


async def test_a_callback_that_fails(
    manager: TransactionManager, log: Log, notes: NoteReader, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and counted; what was committed stays, and the others are called."""

    def fails_here() -> None:
        raise KeyError("secret")

    async def work(session: AsyncSession) -> str:
        session.add(ResNote(text="one"))
        manager.after_commit(fails_here)
        log.add("other")
        return "result"

    assert "result" == await manager.run(work)
    assert ["other committed"] == log.called
    assert ["one"] == await notes()
    assert any(name.endswith("fails_here") for name in callback_failures())
    assert "fails_here failed" in caplog.text
    assert "secret" not in caplog.records[-1].getMessage()


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_settled(prepared: TransactionManager, proxy: FaultProxy, moment: Moment) -> None:
    """A lost COMMIT calls what it was settled as."""
    log, calls = Log(prepared), 0

    async def work(session: AsyncSession) -> None:
        nonlocal calls
        calls += 1
        log.add(f"attempt {calls}")
        session.add(ResNote(text="one"))
        await session.flush()
        if calls == 1:
            proxy.cut(b"COMMIT", moment)

    await prepared.run(work)
    both = ["attempt 1 rolled back", "attempt 2 committed"]
    assert (both if moment == "before" else ["attempt 1 committed"]) == log.called


def stuck_behind_commit(engine: AndamiosEngine) -> asyncio.Event:
    """Let a listener wait behind the next end of a transaction; what it gives is set then."""
    is_waiting = asyncio.Event()

    def wait(_fact: TransactionEnded) -> None:
        engine.hooks.remove(TransactionEnded, wait)
        is_waiting.set()
        await_only(asyncio.sleep(30))

    engine.hooks.listen(TransactionEnded, wait)
    return is_waiting


async def write(engine: AndamiosEngine, log: Log, *, runs: bool) -> None:
    """Write one note, with callbacks."""

    async def work(session: AsyncSession) -> None:
        session.add(ResNote(text="one"))
        log.add("one")

    if runs:
        await log.manager.run(work)
    else:
        async with engine.session() as session:
            await work(session)


@pytest.mark.parametrize("runs", [True, False])
async def test_cancelled_behind_commit(
    engine: AndamiosEngine, log: Log, notes: NoteReader, *, runs: bool
) -> None:
    """A cancellation that finds the COMMIT done does not make it a rollback."""
    is_waiting = stuck_behind_commit(engine)
    writing = asyncio.create_task(write(engine, log, runs=runs))
    await is_waiting.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert ["one committed"] == log.called
    assert ["one"] == await notes()


async def test_cancelled_while_the_connection_goes_back(log: Log) -> None:
    """A cancellation that strikes, or waits to, behind COMMIT ends no callback."""

    async def slow() -> None:
        await asyncio.sleep(0.01)
        log.called.append("slow")

    async def work(session: AsyncSession) -> None:
        task = asyncio.current_task()
        assert task is not None
        session.add(ResNote(text="one"))
        log.manager.after_commit(slow)
        event.listen(session.sync_session, "after_commit", lambda _: task.cancel())
        log.add("last")

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(log.manager.run(work))
    assert ["slow", "last committed"] == log.called


@pytest.mark.parametrize("runs", [True, False])
async def test_cancelled_callback(engine: AndamiosEngine, log: Log, *, runs: bool) -> None:
    """A cancellation ends the callback that waits, and no other."""

    async def work(_session: AsyncSession) -> None:
        log.manager.after_commit(lambda: asyncio.sleep(30))
        log.add("last")

    async def work_in_session() -> None:
        async with engine.session() as session:
            await work(session)

    writing = asyncio.create_task(log.manager.run(work) if runs else work_in_session())
    await asyncio.sleep(0.3)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert ["last committed"] == log.called


async def test_rolled_back_after_a_commit(engine: AndamiosEngine, log: Log) -> None:
    """A session's second transaction is not taken for its first."""
    async with engine.session() as session:
        log.add("one")
        await session.commit()
        log.add("two")
        await session.rollback()
    assert ["one committed", "two rolled back"] == log.called


async def test_own_commit_inside_run_that_is_lost(
    prepared: TransactionManager, proxy: FaultProxy
) -> None:
    """A function that commits itself, and loses that, is told nothing either."""
    log = Log(prepared)

    async def work(session: AsyncSession) -> None:
        log.add("one")
        session.add(ResNote(text="one"))
        await session.flush()
        proxy.cut(b"COMMIT", "after")
        await session.commit()

    with pytest.raises(CommitOutcomeUnknownError):
        await prepared.run(work)
    assert [] == log.called


async def test_unknown_calls_neither(proxied: AndamiosEngine, proxy: FaultProxy) -> None:
    """Of a transaction of which nobody knows how it ended, nothing is called."""
    log = Log(TransactionManager(proxied))

    async def lose() -> None:
        async with proxied.session() as session:
            log.add("one")
            session.add(ResNote(text="one"))
            await session.flush()
            proxy.cut(b"COMMIT", "after")

    with pytest.raises(CommitOutcomeUnknownError):
        await lose()
    assert [] == log.called


async def test_deadline(manager: TransactionManager, log: Log) -> None:
    """A transaction whose time is up was rolled back, and says so."""

    async def work(_session: AsyncSession) -> None:
        log.add("one")
        await asyncio.sleep(5)

    with pytest.raises(DeadlineExceededError):
        await manager.run(work, deadline=0.1)
    assert ["one rolled back"] == log.called


async def test_callbacks_are_not_cut_by_the_deadline(manager: TransactionManager, log: Log) -> None:
    """The deadline is the transaction's; what comes after it takes the time it takes."""

    async def slow() -> None:
        await asyncio.sleep(0.5)
        log.called.append("slow")

    async def work(_session: AsyncSession) -> None:
        manager.after_commit(slow)

    await manager.run(work, deadline=0.3)
    assert ["slow"] == log.called
