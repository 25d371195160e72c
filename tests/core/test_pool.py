"""The pool: what is in it, what is checked, and what happens when it is exhausted."""

import asyncio
import time

import pytest
from sqlalchemy import select, text

from andamios import (
    AndamiosEngine,
    CommitOutcomeUnknownError,
    ConnectionFailedError,
    ConnectionManager,
    PoolStats,
    PoolTimeoutError,
)
from andamios.core import ping
from tests.core.conftest import EngineMaker
from tests.core.server import Server
from tests.models.domain import LibWord


async def test_stats(make_engine: EngineMaker) -> None:
    """Connections are counted as they go out and come back."""
    engine = make_engine(pool_size=1, max_overflow=1)
    connections = engine.connections
    assert PoolStats(size=1, idle=0, in_use=0, overflow=0) == connections.stats()
    async with connections.acquire():
        assert PoolStats(size=1, idle=0, in_use=1, overflow=0) == connections.stats()
        async with connections.acquire():
            assert PoolStats(size=1, idle=0, in_use=2, overflow=1) == connections.stats()
    assert PoolStats(size=1, idle=1, in_use=0, overflow=0) == connections.stats()


async def test_session_takes_its_connection_when_it_needs_one(engine: AndamiosEngine) -> None:
    """A block that asks nothing takes nothing."""
    async with engine.session() as session:
        assert 0 == engine.connections.stats().in_use
        await session.execute(select(LibWord))
        assert 1 == engine.connections.stats().in_use


async def test_acquire_rolls_back(engine: AndamiosEngine) -> None:
    """What was not committed on a bare connection is undone."""
    async with engine.connections.acquire() as connection:
        await connection.execute(text("INSERT INTO lib_word (word) VALUES ('gone')"))
    async with engine.session() as session:
        assert [] == list(await session.scalars(select(LibWord.word)))


async def test_exhausted_pool(make_engine: EngineMaker) -> None:
    """Nobody waits for ever, and the error says what to change."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=0.05)
    async with engine.connections.acquire():
        with pytest.raises(PoolTimeoutError, match="pool_size or pool_timeout"):
            await engine.open()
        async with engine.session() as session:
            for call in (session.execute(text("SELECT 1")), session.connection()):
                with pytest.raises(PoolTimeoutError):
                    await call
        assert not await engine.connections.validate()
    assert 0 == engine.connections.stats().in_use


async def test_validate(engine: AndamiosEngine) -> None:
    """A database that answers is valid."""
    manager = ConnectionManager(engine)
    assert (True, True) == (await manager.validate(), await engine.connections.validate())


async def test_connection_killed_while_idle(
    make_engine: EngineMaker, server: Server, is_sqlite: bool
) -> None:
    """A connection that the server ended is replaced before somebody meets it."""
    if is_sqlite:
        pytest.skip("SQLite has no server")
    engine = make_engine(pool_size=1, max_overflow=0)
    async with engine.session() as session:
        first = await server.connection_id(session)
    await server.kill(first)
    await asyncio.sleep(0.05)
    async with engine.session() as session:
        session.add(LibWord(word="kept"))
        await session.flush()
        assert first != await server.connection_id(session)


async def test_all_connections_killed_while_idle_for_long(
    make_engine: EngineMaker, server: Server, is_sqlite: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pause each one is asked, and one that does not answer condemns the others."""
    if is_sqlite:
        pytest.skip("SQLite has no server")
    monkeypatch.setattr(ping, "IDLE_BEFORE_PING", 0.0)
    engine = make_engine(pool_size=3, max_overflow=0)

    async def connection_id() -> int:
        async with engine.session() as session:
            found: int = await server.connection_id(session)
            await session.execute(server.slow(0.05))
            return found

    before = await asyncio.gather(*(connection_id() for _ in range(3)))
    for number in before:
        await server.kill(number)
    after = await asyncio.gather(*(connection_id() for _ in range(3)))
    assert set() == set(before) & set(after)
    assert 0 == engine.connections.stats().in_use


async def test_idle_connection_is_not_pinged_at_once(
    make_engine: EngineMaker, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was just used costs no round trip to check."""
    engine = make_engine(pool_size=1, max_overflow=0)
    pings = []
    dialect = engine.async_engine.dialect
    monkeypatch.setattr(dialect, "do_ping", lambda _connection: pings.append(1) or True)
    for _ in range(3):
        await engine.open()
    assert [] == pings
    if server.backend != "sqlite":
        monkeypatch.setattr(ping, "IDLE_BEFORE_PING", 0.0)
        await engine.open()
        assert [1] == pings


async def test_pre_ping_can_be_turned_off(
    make_engine: EngineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``pool_pre_ping=False`` asks never."""
    monkeypatch.setattr(ping, "IDLE_BEFORE_PING", 0.0)
    engine = make_engine(pool_pre_ping=False)
    monkeypatch.setattr(engine.async_engine.dialect, "do_ping", None)
    for _ in range(2):
        await engine.open()


async def test_connection_killed_while_in_use(
    make_engine: EngineMaker, server: Server, is_sqlite: bool
) -> None:
    """A statement on a connection that broke says so, and the next session has a new one."""
    if is_sqlite:
        pytest.skip("SQLite has no server")
    engine = make_engine(pool_size=1, max_overflow=0)
    async with engine.session() as session:
        first = await server.connection_id(session)
        await server.kill(first)
        with pytest.raises(ConnectionFailedError):
            await session.execute(select(LibWord))
        await session.rollback()
    async with engine.session() as session:
        assert first != await server.connection_id(session)
    assert 0 == engine.connections.stats().in_use


async def test_connection_killed_before_the_commit(
    make_engine: EngineMaker, server: Server, is_sqlite: bool
) -> None:
    """A COMMIT on a dead connection leaves its outcome unknown, and the pool whole."""
    if is_sqlite:
        pytest.skip("SQLite has no server")
    engine = make_engine(pool_size=1, max_overflow=0)

    async def work() -> None:
        async with engine.session() as session:
            session.add(LibWord(word="gone"))
            await session.flush()
            await server.kill(await server.connection_id(session))

    with pytest.raises(CommitOutcomeUnknownError):
        await work()
    async with engine.session() as session:
        assert [] == list(await session.scalars(select(LibWord)))
    assert 0 == engine.connections.stats().in_use


async def test_recycle(make_engine: EngineMaker, server: Server) -> None:
    """A connection that is older than ``pool_recycle`` seconds is replaced."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_recycle=0)
    async with engine.session() as session:
        first = await server.connection_id(session)
        kept = await (await session.connection()).get_raw_connection()
    await asyncio.sleep(0.01)
    async with engine.session() as session:
        assert first != await server.connection_id(session)
    del kept


async def test_waiting_tasks_are_served_in_time(make_engine: EngineMaker) -> None:
    """A task that waits for a connection gets the one that comes back."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=5)
    began = time.monotonic()

    async def use() -> None:
        async with engine.connections.acquire():
            await asyncio.sleep(0.01)

    await asyncio.gather(*(use() for _ in range(10)))
    assert time.monotonic() - began < 3
