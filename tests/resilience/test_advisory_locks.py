"""Locks by name: one holder at a time, given back whatever happens."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from andamios import AndamiosEngine, AsyncSession, ConnectionFailedError, DeadlockError
from andamios.resilience import TransactionManager
from tests.resilience.models import ResNote

if TYPE_CHECKING:
    from harness.faults import FaultProxy

WAITING = {
    "postgresql": (
        (
            "SELECT pid FROM pg_stat_activity"
            " WHERE wait_event = 'advisory' AND datname = current_database()"
        ),
        "SELECT pg_terminate_backend({})",
    ),
    "mysql": (
        (
            "SELECT id FROM information_schema.processlist"
            " WHERE state = 'User lock' AND db = DATABASE()"
        ),
        "KILL {}",
    ),
}
"""Who waits for a lock by name, and how its connection is ended."""


async def test_one_holder_at_a_time(engine: AndamiosEngine) -> None:
    """Workers with engines of their own never hold it together, and all get it."""
    inside, most, done = 0, 0, 0

    async def work(manager: TransactionManager) -> None:
        nonlocal inside, most, done
        async with manager.lock("job", timeout=30):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1
            done += 1

    async with AsyncExitStack() as stack:
        managers = [
            TransactionManager(
                await stack.enter_async_context(AndamiosEngine(engine.url, uvloop=False))
            )
            for _ in range(3)
        ]
        await asyncio.gather(*(work(manager) for manager in managers * 3))
    assert (1, 9) == (most, done)


async def test_names_are_independent(manager: TransactionManager) -> None:
    """Another name is another lock, however long the names are."""
    long = "x" * 300
    async with manager.lock(f"{long}1", timeout=1), manager.lock(f"{long}2", timeout=1):
        pass


@pytest.mark.parametrize("patience", [0, 0.3, 1.2])
async def test_time_out(manager: TransactionManager, patience: float) -> None:
    """Who waited in vain gets the same error everywhere, and in time."""
    async with manager.lock("job"):
        began = time.monotonic()
        with pytest.raises(DeadlockError, match="'job'"):
            async with manager.lock("job", timeout=patience):
                pytest.fail("two holders")
        assert patience * 0.9 <= time.monotonic() - began < patience + 1
    async with manager.lock("job", timeout=1):
        pass


async def test_given_back_after_an_error(
    engine: AndamiosEngine, manager: TransactionManager
) -> None:
    """An error passes as it is, and the lock is free at once."""
    with pytest.raises(KeyError):
        async with manager.lock("job"):
            raise KeyError
    async with manager.lock("job", timeout=0.5):
        pass
    assert 0 == engine.connections.stats().in_use


async def test_given_back_after_a_cancellation(
    engine: AndamiosEngine, manager: TransactionManager
) -> None:
    """Also who is cancelled while it waits, or holds, leaves it free."""

    async def hold() -> None:
        async with manager.lock("job"):
            await asyncio.sleep(30)

    tasks = [asyncio.create_task(hold()) for _ in range(2)]
    await asyncio.sleep(0.2)
    for task in reversed(tasks):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with manager.lock("job", timeout=3):
        pass
    assert 0 == engine.connections.stats().in_use


async def test_others_write_meanwhile(manager: TransactionManager) -> None:
    """A lock that is held keeps nobody from writing, its holder least of all."""

    async def work(session: AsyncSession) -> None:
        session.add(ResNote(text="one"))

    async with manager.lock("job"):
        await manager.run(work, deadline=5)


async def test_holder_learns_that_it_was_lost(
    proxied: AndamiosEngine, proxy: FaultProxy, engine: AndamiosEngine
) -> None:
    """A connection that breaks gives the lock back, which the holder is told at the end."""
    entered = False

    async def hold() -> None:
        nonlocal entered
        async with TransactionManager(proxied).lock("job"):
            proxy.reset_peer()
            proxy.reset()
            async with TransactionManager(engine).lock("job", timeout=3):
                entered = True

    with pytest.raises(ConnectionFailedError, match="somebody else may have had it"):
        await hold()
    assert entered
    assert 0 == proxied.connections.stats().in_use


async def test_a_file_that_cannot_be_written(engine: AndamiosEngine) -> None:
    """SQLite's locks are files, and an error names the one that cannot be made."""
    if engine.backend != "sqlite":
        pytest.skip("servers have locks of their own")
    elsewhere = AndamiosEngine("sqlite:////nowhere/here.db", uvloop=False)
    with pytest.raises(ConnectionFailedError, match=r"/nowhere/here\.db-lock-"):
        async with TransactionManager(elsewhere).lock("job"):
            pass
    await elsewhere.close()


async def test_memory(engine: AndamiosEngine) -> None:
    """A database in memory has locks, too."""
    if engine.backend != "sqlite":
        pytest.skip("of SQLite")
    async with AndamiosEngine("sqlite://", uvloop=False) as memory:
        manager = TransactionManager(memory)
        async with manager.lock("job"):
            with pytest.raises(DeadlockError):
                async with manager.lock("job", timeout=0.1):
                    pytest.fail("two holders")
        async with manager.lock("job", timeout=0), memory.session() as session:
            assert 1 == await session.scalar(text("SELECT 1"))


async def test_connection_of_a_waiter_that_breaks(
    engine: AndamiosEngine, manager: TransactionManager
) -> None:
    """Who waits for a lock on a connection that breaks is told so."""
    if engine.backend == "sqlite":
        pytest.skip("SQLite has no connection to lose")
    find, end = WAITING["postgresql" if engine.backend == "postgresql" else "mysql"]

    async def wait() -> None:
        async with manager.lock("job", timeout=20):
            pass

    async with manager.lock("job"):
        waiting = asyncio.create_task(wait())
        async with engine.connections.acquire() as connection:
            while not (waiter := (await connection.execute(text(find))).scalar()):
                await asyncio.sleep(0.05)
                await connection.rollback()  # PostgreSQL shows one state for a whole transaction
            await connection.execute(text(end.format(waiter)))
        with pytest.raises(ConnectionFailedError):
            await waiting


async def test_on_an_engine_that_commits_each_statement(engine: AndamiosEngine) -> None:
    """The lock is held until the block ends, whatever the level of the engine."""
    options = {} if engine.backend == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
    async with AndamiosEngine(engine.url, uvloop=False, **options) as other:
        async with TransactionManager(other).lock("job", timeout=1):
            with pytest.raises(DeadlockError):
                async with TransactionManager(engine).lock("job", timeout=0.1):
                    pass
        async with TransactionManager(engine).lock("job", timeout=1):
            pass
