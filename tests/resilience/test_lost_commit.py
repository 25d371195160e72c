"""Connections that break while a transaction runs, and while it commits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from tenacity import wait_none

from andamios import AndamiosEngine, AsyncSession, CommitOutcomeUnknownError, ConnectionFailedError
from andamios.errors import DeadlineExceededError
from andamios.resilience import ConnectionResilience, TransactionManager
from harness.faults import FaultProxy, Moment
from tests.resilience.conftest import NoteReader
from tests.resilience.models import ResNote

Work = Callable[[AsyncSession], Awaitable[Any]]

HAPPENED: dict[Moment, list[str]] = {"before": [], "after": ["one"]}

KILL = {
    "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
    "mysql": ("SELECT CONNECTION_ID()", "KILL {}"),
}
KILL["mariadb"] = KILL["mysql"]


def in_use(engine: AndamiosEngine) -> int:
    return engine.connections.stats().in_use


@pytest.mark.parametrize("moment", HAPPENED)
async def test_lost_commit_of_a_session(
    proxied: AndamiosEngine, proxy: FaultProxy, notes: NoteReader, moment: Moment
) -> None:
    """Outside of the manager the error is the same, and a retry leaves it alone."""
    calls = 0

    async def operation() -> None:
        nonlocal calls
        calls += 1
        async with proxied.session() as session:
            session.add(ResNote(text="one"))
            await session.flush()
            proxy.cut(b"COMMIT", moment)

    with pytest.raises(CommitOutcomeUnknownError):
        await ConnectionResilience(proxied).execute_with_retry(operation)
    assert (1, 0) == (calls, in_use(proxied))
    assert HAPPENED[moment] == await notes()


async def test_lost_commit_of_a_reader(proxied: AndamiosEngine, proxy: FaultProxy) -> None:
    """A transaction that only reads commits nothing, so that it is read again."""
    calls = 0

    async def work(session: AsyncSession) -> list[str]:
        nonlocal calls
        calls += 1
        found = list(await session.scalars(select(ResNote.text)))
        if calls == 1:
            proxy.cut(b"COMMIT")
        return found

    assert [] == await TransactionManager(proxied).run(work, read_only=True)
    assert (2, 1) == (calls, proxy.cuts)


@pytest.mark.parametrize("moment", HAPPENED)
async def test_break_in_mid_transaction_is_repeated(
    proxied: AndamiosEngine, proxy: FaultProxy, notes: NoteReader, moment: Moment
) -> None:
    """What a broken transaction did is gone; the function runs again, and once counts."""
    calls = 0

    async def work(session: AsyncSession) -> int:
        nonlocal calls
        calls += 1
        session.add(ResNote(text="one"))
        await session.flush()
        if calls == 1:
            proxy.cut(b"break", moment)
        await session.execute(insert(ResNote).values(text="break"))
        return calls

    assert 2 == await TransactionManager(proxied).run(work)
    assert ["break", "one"] == await notes()
    assert (1, 0) == (proxy.cuts, in_use(proxied))


async def test_what_the_function_committed_is_not_repeated(
    proxied: AndamiosEngine, proxy: FaultProxy, notes: NoteReader
) -> None:
    """A function that commits itself runs once, since a part of it would be done twice."""

    async def work(session: AsyncSession) -> None:
        session.add(ResNote(text="one"))
        await session.commit()
        proxy.cut(b"SELECT 42")
        await session.execute(text("SELECT 42"))

    with pytest.raises(ConnectionFailedError):
        await TransactionManager(proxied).run(work)
    assert ["one"] == await notes()


async def test_server_that_ends_the_connection(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader, backend: str
) -> None:
    """A connection that an administrator ends is a lost one."""
    if backend == "sqlite":
        pytest.skip("SQLite has no server")
    own_id, kill = KILL[backend]
    calls = 0

    async def work(session: AsyncSession) -> None:
        nonlocal calls
        calls += 1
        session.add(ResNote(text="one"))
        number = await session.scalar(text(own_id))
        if calls == 1:
            async with engine.connections.acquire() as other:
                await other.execute(text(kill.format(number)))
        await session.execute(text("SELECT 42"))

    await manager.run(work)
    assert 2 == calls
    assert ["one"] == await notes()


async def test_cancelled_commit(proxied: AndamiosEngine, proxy: FaultProxy) -> None:
    """A cancellation during COMMIT passes through, and nothing runs again."""
    calls = 0
    held: asyncio.Future[asyncio.Event] = asyncio.get_running_loop().create_future()

    async def work(session: AsyncSession) -> None:
        nonlocal calls
        calls += 1
        session.add(ResNote(text="one"))
        await session.flush()
        held.set_result(proxy.cut(b"COMMIT", "held"))

    task = asyncio.create_task(TransactionManager(proxied).run(work))
    await (await held).wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (1, 0) == (calls, in_use(proxied))


async def test_own_time_out_during_commit(
    proxied: AndamiosEngine, proxy: FaultProxy, notes: NoteReader
) -> None:
    """A time-out that the operation sets itself may strike COMMIT, so that nothing is repeated."""
    calls = 0

    async def operation() -> None:
        nonlocal calls
        calls += 1
        async with asyncio.timeout(0.5), proxied.session() as session:
            session.add(ResNote(text="one"))
            await session.flush()
            proxy.cut(b"COMMIT", "held")

    with pytest.raises(TimeoutError):
        await ConnectionResilience(proxied, wait=wait_none()).execute_with_retry(operation)
    assert (1, 0) == (calls, in_use(proxied))
    assert ["one"] == await notes()


async def test_deadline_covers_a_server_that_is_away(
    proxied: AndamiosEngine, proxy: FaultProxy
) -> None:
    """Pauses between attempts count as well."""

    async def work(session: AsyncSession) -> None:
        proxy.cut(b"SELECT 42")
        await session.execute(text("SELECT 42"))

    with pytest.raises(DeadlineExceededError, match="rolled back"):
        await TransactionManager(proxied).run(work, deadline=0.5, attempts=1000)
    assert 0 == in_use(proxied)
