"""A database for each worker, on every backend."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from sqlalchemy import Column, Integer, MetaData, String, Table, make_url, text

from andamios import AndamiosEngine, ConfigurationError, ConnectionFailedError
from harness.databases import TestDatabaseManager, drop_database, run_now
from harness.fixtures.database import schema_of
from harness.fixtures.services import ServiceStarter
from harness.ledger import Ledger
from harness.numbered import prefix_of
from harness.templates import Schema


@pytest_asyncio.fixture
async def manager(database_server: str, worker_name: str) -> AsyncIterator[TestDatabaseManager]:
    """A manager with names that no other worker uses."""
    manager = TestDatabaseManager(database_server, f"check_{worker_name}")
    yield manager
    for worker in ("one", "two", "it's; DROP"):
        await manager.cleanup_test_database(worker)


async def run(url: str, *statements: str) -> list[Any]:
    """Run statements and give the values that the last one finds."""
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


async def test_long_names(database_server: str) -> None:
    """Names that differ only beyond what a server takes are two databases."""
    manager = TestDatabaseManager(database_server, "r" * 40)
    urls = [await manager.create_test_database(f"{'w' * 32}{end}") for end in "ab"]
    for end, url in zip("ab", urls, strict=True):
        assert [1] == await run(url, "SELECT 1")
        await manager.cleanup_test_database(f"{'w' * 32}{end}")

    assert 2 == len({str(make_url(url).database)[-63:] for url in urls})


SLEEP = {"postgresql": "pg_sleep(2)", "mysql": "SLEEP(2)", "mariadb": "SLEEP(2)"}


async def test_removed_while_others_work(manager: TestDatabaseManager, backend: str) -> None:
    """What another connection has under way is nobody's business, whatever its letters."""
    if backend == "sqlite":
        pytest.skip("SQLite has no server, whose connections could be looked at")
    one, two = [await manager.create_test_database(worker) for worker in ("one", "two")]
    work = asyncio.create_task(run(two, f"SELECT {SLEEP[make_url(two).get_backend_name()]}, '🧉'"))
    await asyncio.sleep(0.5)
    await manager.cleanup_test_database("one")
    is_under_way = not work.done()
    await work

    assert is_under_way
    with pytest.raises(ConnectionFailedError):
        await run(one, "SELECT 1")


async def test_text_sorts_by_code_point(manager: TestDatabaseManager, backend: str) -> None:
    """Whatever the language of the machine that runs the server."""
    if backend.startswith(("mysql", "mariadb")):
        pytest.skip("on MySQL the tables of a model say how they sort, not the database")
    url = await manager.create_test_database("one")

    assert ["B", "a"] == await run(url, "SELECT 'a' AS letter UNION SELECT 'B' ORDER BY letter")


@pytest.fixture
def redis_server(start_service: ServiceStarter) -> str:
    """The URL of the Redis server, from a number on that no worker of this run uses."""
    first = make_url(start_service("redis").url()).set(database="90")
    return first.render_as_string(hide_password=False)


def numbered_url(server: str, number: int) -> str:
    """The URL of another database of the same server."""
    return f"{server.rpartition('/')[0]}/{number}"


async def test_redis(redis_server: str) -> None:
    """A numbered database for each worker, empty again when it is cleaned up."""
    manager = TestDatabaseManager(redis_server, "check")
    one, two = [await manager.create_test_database(worker) for worker in ("one", "two")]
    async with Redis.from_url(one) as client:
        await client.set("a", "b")

    assert one != two
    assert one == await manager.create_test_database("one")
    async with Redis.from_url(one) as client:
        assert [] == await client.keys()
        await client.set("a", "b")
        await manager.cleanup_test_database("one")
        assert [] == await client.keys()


async def test_redis_of_somebody_else(redis_server: str) -> None:
    """A database with data that the harness did not write is passed over."""
    async with Redis.from_url(numbered_url(redis_server, 90)) as client:
        await client.set("theirs", "kept")
        manager = TestDatabaseManager(redis_server, "check")
        url = await manager.create_test_database("one")
        await manager.cleanup_test_database("one")

        assert b"kept" == await client.get("theirs")
        assert url != numbered_url(redis_server, 90)
        await client.flushdb()


async def test_redis_of_another_run(redis_server: str, tmp_path: Path) -> None:
    """What another run has written down is passed over, though it is empty."""
    runs = [tmp_path / "run1", tmp_path / "run2"]
    for run in runs:
        await asyncio.to_thread(run.mkdir)
    managers = [TestDatabaseManager(redis_server, run.name, ledger=Ledger(run)) for run in runs]
    urls = [await in_thread(manager.create_test_database, "gw0") for manager in managers]
    for manager in managers:
        await in_thread(manager.cleanup_test_database, "gw0")

    assert 2 == len(set(urls))
    left = await asyncio.to_thread(lambda: [Ledger(run).databases() for run in runs])
    assert [[], []] == left


async def test_redis_beyond_its_databases(redis_server: str) -> None:
    """Where there are fewer databases than workers, they share one by prefixes."""
    last = TestDatabaseManager(numbered_url(redis_server, 127), "check")
    urls = [await last.create_test_database(worker) for worker in ("one", "two")]
    prefix = prefix_of(urls[1])
    async with Redis.from_url(urls[0]) as client:
        await client.mset({"mine": 1, f"{prefix}theirs": 2})
        await last.cleanup_test_database("two")

        assert [b"mine"] == await client.keys()
    await last.cleanup_test_database("one")
    assert "andamios:check:two:" == prefix


async def test_redis_without_that_database(redis_server: str) -> None:
    """A number that the server does not have is an error in words."""
    with pytest.raises(ConfigurationError, match="no database 128"):
        await TestDatabaseManager(numbered_url(redis_server, 128)).create_test_database("gw0")


async def in_thread(work: Callable[[str], Coroutine[Any, Any, Any]], worker: str) -> Any:
    """Run on a loop of another thread, where files may be read."""
    return await asyncio.to_thread(lambda: run_now(work(worker)))


LETTERS = Table("letters", MetaData(), Column("letter", String(5), primary_key=True))


async def make_letters(url: str) -> None:
    """Make a table with a row in it, as migrations do."""
    await run(url, "CREATE TABLE letters (letter VARCHAR(5) PRIMARY KEY)")
    await run(url, "INSERT INTO letters VALUES ('é')")


@pytest.fixture
def letters_schema(database_server: str) -> Schema:
    """The tables of a MetaData, described where files may be read."""
    return Schema.of(LETTERS.metadata, database_server)


async def test_schema_of_tables(manager: TestDatabaseManager, letters_schema: Schema) -> None:
    """A database is made with the tables of a MetaData in it."""
    for worker in ("one", "two"):
        assert [] == await in_thread_run(manager, worker, letters_schema)


async def in_thread_run(manager: TestDatabaseManager, worker: str, schema: Schema) -> list[str]:
    """Make a database where files may be read, and read its letters."""
    url = await asyncio.to_thread(lambda: run_now(manager.create_test_database(worker, schema)))
    return await run(url, READ)


async def test_schema_is_made_once(manager: TestDatabaseManager, backend: str) -> None:
    """Where databases can be copied, the second one is; and it holds the same rows."""
    calls: list[str] = []

    async def create(url: str) -> None:
        calls.append(url)
        await make_letters(url)

    schema = Schema("0123456789abcdef", create)
    for worker in ("one", "two", "one"):
        assert ["é"] == await in_thread_run(manager, worker, schema)
    can_copy = backend in {"sqlite", "postgresql"}

    assert (1 if can_copy else 3) == len(calls)


async def test_a_dropped_template(
    database_server: str, worker_name: str, backend: str, letters_schema: Schema
) -> None:
    """A template that another run takes for an old one is made again when it is needed."""
    if backend != "postgresql":
        pytest.skip("the others copy no template of a server")
    manager = TestDatabaseManager(database_server, f"old_{worker_name}")
    for number in range(7):
        await in_thread_run(manager, "one", Schema(f"{number:016x}", letters_schema.create))
    assert [] == await in_thread_run(manager, "one", Schema(f"{0:016x}", letters_schema.create))
    await manager.cleanup_test_database("one")


def test_a_column_more(database_server: str) -> None:
    """A table that got another column is another schema."""
    metadata = MetaData()
    table = Table("growing", metadata, Column("id", Integer, primary_key=True))
    before = schema_of(metadata, database_server)
    assert before is schema_of(metadata, database_server)
    table.append_column(Column("more", Integer))

    assert before.digest != schema_of(metadata, database_server).digest


async def test_half_made_template(manager: TestDatabaseManager, backend: str) -> None:
    """A template that failed is made again, and never copied as it is."""
    if backend not in {"sqlite", "postgresql"}:
        pytest.skip("MySQL has no templates")
    tries: list[str] = []

    async def create(url: str) -> None:
        tries.append(url)
        await run(url, MAKE[0])
        if len(tries) == 1:
            raise RuntimeError
        await run(url, MAKE[1])

    schema = Schema("fedcba9876543210", create)
    with pytest.raises(RuntimeError):
        await in_thread_run(manager, "one", schema)
    assert ["é"] == await in_thread_run(manager, "one", schema)


async def test_unknown_backend() -> None:
    """A URL of a database that the harness does not know."""
    with pytest.raises(ConfigurationError, match="oracle"):
        await TestDatabaseManager("oracle://localhost/x", "check").create_test_database("gw0")


async def test_drop_by_address(manager: TestDatabaseManager, backend: str) -> None:
    """A database is dropped by its URL alone, by whoever finds that written down; twice is fine."""
    url = await manager.create_test_database("one")
    await run(url, *MAKE)
    await drop_database(url)
    await drop_database(url)

    if backend == "sqlite":
        assert not await asyncio.to_thread(Path(str(make_url(url).database)).exists)
    else:
        with pytest.raises(ConnectionFailedError):
            await run(url, READ)
