"""A database for each worker, on every backend."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from sqlalchemy import make_url, text

from andamios import AndamiosEngine, ConfigurationError, ConnectionFailedError
from harness.databases import TestDatabaseManager
from harness.fixtures.services import ServiceStarter


@pytest_asyncio.fixture
async def manager(database_server: str, worker_name: str) -> AsyncIterator[TestDatabaseManager]:
    """A manager with names that no other worker uses."""
    manager = TestDatabaseManager(database_server, f"check_{worker_name}")
    yield manager
    for worker in ("one", "two", "it's; DROP"):
        await manager.cleanup_test_database(worker)


async def run(url: str, *statements: str) -> list[str]:
    """Run statements and give the texts that the last one finds."""
    async with (
        AndamiosEngine(url, uvloop=False) as engine,
        engine.connections.acquire() as connection,
        connection.begin(),
    ):
        for statement in statements:
            result = await connection.execute(text(statement))
        return [row[0] for row in result] if result.returns_rows else []


MAKE = ("CREATE TABLE letters (letter VARCHAR(5))", "INSERT INTO letters VALUES ('é')")
READ = "SELECT letter FROM letters"


async def test_workers_are_apart(manager: TestDatabaseManager, worker_name: str) -> None:
    """Two workers have a database each, whose names tell whose they are."""
    one = await manager.create_test_database("one")
    two = await manager.create_test_database("two")
    await run(one, *MAKE)
    await run(two, MAKE[0])

    assert ["é"] == await run(one, READ)
    assert [] == await run(two, READ)
    assert f"andamios_check_{worker_name}_one" in str(make_url(one).database)


async def test_replaced_and_removed(manager: TestDatabaseManager, backend: str) -> None:
    """A database that is made again is empty, and one that is removed is gone."""
    url = await manager.create_test_database("one")
    await run(url, *MAKE)
    assert url == await manager.create_test_database("one")
    await run(url, MAKE[0])
    assert [] == await run(url, READ)
    await manager.cleanup_test_database("one")
    await manager.cleanup_test_database("one")
    if backend != "sqlite":
        with pytest.raises(ConnectionFailedError):
            await run(url, "SELECT 1")


async def test_removed_while_in_use(manager: TestDatabaseManager) -> None:
    """A connection that somebody forgot does not keep a database alive."""
    url = await manager.create_test_database("one")
    engine = AndamiosEngine(url, uvloop=False)
    async with engine.connections.acquire() as connection:
        await connection.execute(text("SELECT 1"))
        await connection.rollback()
        await manager.cleanup_test_database("one")
        await connection.invalidate()
    await engine.close()


async def test_strange_names(manager: TestDatabaseManager) -> None:
    """A worker's name cannot become SQL."""
    url = await manager.create_test_database("it's; DROP")

    assert [1] == await run(url, "SELECT 1")
    assert str(make_url(url).database).removesuffix(".db").endswith("_it_s__drop")


async def test_text_sorts_by_code_point(manager: TestDatabaseManager, backend: str) -> None:
    """Whatever the language of the machine that runs the server."""
    if backend == "mysql":
        pytest.skip("on MySQL the tables of a model say how they sort, not the database")
    url = await manager.create_test_database("one")

    assert ["B", "a"] == await run(url, "SELECT 'a' AS letter UNION SELECT 'B' ORDER BY letter")


@pytest.fixture
def redis_server(start_service: ServiceStarter) -> str:
    """The URL of the Redis server."""
    return start_service("redis").url()


async def test_redis(redis_server: str) -> None:
    """A numbered database, emptied; one that the server does not have is an error in words."""
    manager = TestDatabaseManager(redis_server, "check")
    url = await manager.create_test_database("gw97")
    async with Redis.from_url(url) as client:
        await client.set("a", "b")
    await manager.cleanup_test_database("gw97")
    async with Redis.from_url(url) as client:
        assert [] == await client.keys()
    with pytest.raises(ConfigurationError, match="fewer workers"):
        await manager.create_test_database("gw12345")


async def test_redis_of_somebody_else(redis_server: str) -> None:
    """Data that the harness did not write stays, and the error names the way out."""
    first = make_url(redis_server).set(database="90")
    manager = TestDatabaseManager(first.render_as_string(hide_password=False), "check")
    async with Redis.from_url(f"{redis_server.rpartition('/')[0]}/98") as client:
        await client.set("theirs", "kept")
        with pytest.raises(ConfigurationError, match="is not empty"):
            await manager.create_test_database("gw8")
        await manager.cleanup_test_database("gw8")
        assert b"kept" == await client.get("theirs")
        await client.flushdb()
    assert (await manager.create_test_database("gw7")).endswith("/97")
    await manager.cleanup_test_database("gw7")


async def test_unknown_backend() -> None:
    """A URL of a database that the harness does not know."""
    with pytest.raises(ConfigurationError, match="oracle"):
        await TestDatabaseManager("oracle://localhost/x", "check").create_test_database("gw0")
