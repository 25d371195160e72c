"""
What it costs to keep a test from others: the three tiers, beside TRUNCATE and a new database.

Each test writes one row and reads it. The ways take turns, so that a slow moment of the
machine meets all of them alike; "nothing" is a test without a database.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, func, select, text

from andamios import AndamiosEngine
from harness.databases import TestDatabaseManager, run_now
from harness.isolation.worker import WorkerDatabase
from harness.templates import Schema


def some_tables(number: int) -> MetaData:
    """Make tables that refer to one another, with an index each."""
    metadata = MetaData()
    for each in range(number):
        before = [Column("before_id", ForeignKey(f"part_{each - 1}.id"))] if each else []
        Table(
            f"part_{each}",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("name", String(50), index=True),
            *before,
        )
    return metadata


async def write(engine: AndamiosEngine, metadata: MetaData) -> None:
    """Write a row and read it, which is what every way has in common."""
    table = metadata.tables["part_0"]
    async with engine.session() as session:
        await session.execute(table.insert().values(name="one"))
    async with engine.session(read_only=True) as session:
        assert await session.scalar(select(func.count()).select_from(table)) == 1


@pytest_asyncio.fixture
async def truncated(
    worker_database: WorkerDatabase, db_schema: Schema, db_metadata: MetaData
) -> AsyncIterator[AndamiosEngine]:
    """Real transactions, and TRUNCATE of every table after them (DELETE on SQLite)."""
    url = await worker_database.with_tables(db_schema)
    async with AndamiosEngine(url, uvloop=False, pool_size=5) as engine:
        yield engine
        names = list(db_metadata.tables)
        async with engine.connections.acquire() as connection, connection.begin():
            for statement in truncates(engine.backend, names):
                await connection.execute(text(statement))


def truncates(backend: str, names: list[str]) -> list[str]:
    """Write the statements that empty all tables, the way that is usual on each backend."""
    if backend == "postgresql":
        return [f"TRUNCATE {', '.join(names)} CASCADE"]
    if backend == "sqlite":
        return [f"DELETE FROM {name}" for name in reversed(names)]
    checks = "SET foreign_key_checks = {}".format
    return [checks(0), *(f"TRUNCATE TABLE {name}" for name in names), checks(1)]


@pytest.fixture
def created(database_manager: TestDatabaseManager, db_schema: Schema) -> Iterator[str]:
    """A database that is made, filled with tables and dropped for each test."""
    url = run_now(database_manager.create_test_database("created"))
    run_now(db_schema.create(url))
    yield url
    run_now(database_manager.cleanup_test_database("created"))


class Ways:
    """Each way does the same work; subclasses say on how many tables."""

    async def test_nothing(self, number: int) -> None:
        """What pytest itself costs."""

    @pytest.mark.isolation("rolled_back")
    async def test_rolled_back(
        self, engine: AndamiosEngine, db_metadata: MetaData, number: int
    ) -> None:
        """One connection and one transaction."""
        await write(engine, db_metadata)

    @pytest.mark.isolation("committing")
    async def test_committing(
        self, engine: AndamiosEngine, db_metadata: MetaData, number: int
    ) -> None:
        """Real transactions, and DELETE in the tables that hold rows."""
        await write(engine, db_metadata)

    @pytest.mark.isolation("own")
    async def test_own(self, engine: AndamiosEngine, db_metadata: MetaData, number: int) -> None:
        """A copy of the template."""
        await write(engine, db_metadata)

    async def test_truncate(
        self, truncated: AndamiosEngine, db_metadata: MetaData, number: int
    ) -> None:
        """Real transactions, and TRUNCATE of everything."""
        await write(truncated, db_metadata)

    async def test_create(self, created: str, db_metadata: MetaData, number: int) -> None:
        """A new database and new tables."""
        async with AndamiosEngine(created, uvloop=False, pool_size=5) as engine:
            await write(engine, db_metadata)


@pytest.mark.parametrize("number", range(31))
class TestFiveTables(Ways):
    """A small project."""

    @pytest.fixture(scope="session")
    @classmethod
    def db_metadata(cls) -> MetaData:
        """Five tables."""
        return FIVE


@pytest.mark.parametrize("number", range(11))
class TestFiftyTables(Ways):
    """A larger one."""

    @pytest.fixture(scope="session")
    @classmethod
    def db_metadata(cls) -> MetaData:
        """Fifty tables."""
        return FIFTY


FIVE, FIFTY = some_tables(5), some_tables(50)
