"""SQLite broken on purpose."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from andamios import AndamiosEngine, AndamiosError
from harness.faults import FaultError, SQLiteFaults


@pytest_asyncio.fixture
async def boxed(tmp_path: Path) -> AsyncIterator[AndamiosEngine]:
    """An engine on a file with a table; who waits for its lock gives up soon."""
    url = f"sqlite:///{tmp_path}/faults.db"
    options: dict[str, Any] = {"pool_size": 2, "connect_args": {"timeout": 0.2}}
    async with AndamiosEngine(url, uvloop=False, **options) as engine:
        await do(engine, "CREATE TABLE boxes (id INTEGER PRIMARY KEY, text TEXT)")
        yield engine


@pytest_asyncio.fixture
async def faults(
    boxed: AndamiosEngine, sqlite_faults: Callable[[Any], Awaitable[SQLiteFaults]]
) -> SQLiteFaults:
    """What breaks it."""
    return await sqlite_faults(boxed)


async def do(engine: AndamiosEngine, *statements: str) -> None:
    async with engine.session() as session:
        for statement in statements:
            await session.execute(text(statement))


async def boxes(engine: AndamiosEngine) -> list[int]:
    async with engine.session(read_only=True) as session:
        return sorted(await session.scalars(text("SELECT id FROM boxes")))


async def test_a_writer_is_killed(boxed: AndamiosEngine, faults: SQLiteFaults) -> None:
    """What a process wrote before its COMMIT is not there when it was killed."""
    await do(boxed, "INSERT INTO boxes VALUES (1, 'kept')")
    many = (f"INSERT INTO boxes VALUES ({n}, '{'x' * 3000}')" for n in range(2, 100))
    await faults.kill_writer("UPDATE boxes SET text = 'lost'", *many)
    assert [1] == await boxes(boxed)
    async with boxed.session() as session:
        assert "kept" == await session.scalar(text("SELECT text FROM boxes"))
    await do(boxed, "INSERT INTO boxes VALUES (2, 'new')")


async def test_another_process_has_the_lock(boxed: AndamiosEngine, faults: SQLiteFaults) -> None:
    """Writers are refused until it is gone."""
    await faults.lock()
    with pytest.raises(AndamiosError):
        await do(boxed, "INSERT INTO boxes VALUES (1, 'late')")
    await faults.unlock()
    await do(boxed, "INSERT INTO boxes VALUES (1, 'new')")
    assert [1] == await boxes(boxed)


async def test_full_disk(boxed: AndamiosEngine, faults: SQLiteFaults) -> None:
    """A transaction for which there is no space is refused as a whole."""
    await faults.fill_disk()
    many = [f"INSERT INTO boxes VALUES ({n}, '{'x' * 3000}')" for n in range(100)]
    with pytest.raises(AndamiosError, match="SQLITE_FULL"):
        await do(boxed, *many)
    assert [] == await boxes(boxed)
    await faults.free_disk()
    await do(boxed, *many)
    assert 100 == len(await boxes(boxed))


async def test_read_only(boxed: AndamiosEngine, faults: SQLiteFaults) -> None:
    """Writes are refused, reads are not."""
    await do(boxed, "INSERT INTO boxes VALUES (1, 'old')")
    await faults.read_only()
    with pytest.raises(AndamiosError, match="SQLITE_READONLY"):
        await do(boxed, "INSERT INTO boxes VALUES (2, 'late')")
    assert [1] == await boxes(boxed)
    await faults.read_write()
    await do(boxed, "INSERT INTO boxes VALUES (2, 'new')")


async def test_everything_is_mended(boxed: AndamiosEngine) -> None:
    """At its end all is undone, and its limits go with it."""
    async with SQLiteFaults(boxed.async_engine) as faults:
        await faults.lock()
        await faults.fill_disk()
        await faults.read_only()
        assert [] == await boxes(boxed)  # by a connection with these limits
    await do(boxed, *(f"INSERT INTO boxes VALUES ({n}, '{'x' * 3000}')" for n in range(100)))
    assert 100 == len(await boxes(boxed))


async def test_what_another_process_cannot_do(faults: SQLiteFaults) -> None:
    """A statement that fails there is told in one line."""
    with pytest.raises(FaultError, match="no such table: nowhere"):
        await faults.kill_writer("DELETE FROM nowhere")


@pytest.mark.parametrize("url", ["sqlite://", "postgresql://nobody@127.0.0.1:1/none"])
def test_other_databases_are_refused(url: str) -> None:
    """Only files have these faults."""
    engine = AndamiosEngine(url, uvloop=False)
    with pytest.raises(FaultError, match="SQLite in a file"):
        SQLiteFaults(engine.async_engine)
    asyncio.run(engine.close())
