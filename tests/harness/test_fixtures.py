"""The fixtures that give databases: what a test may do in them, and that nothing of it stays."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from sqlalchemy import MetaData, inspect, text

from andamios import (
    AndamiosEngine,
    AndamiosError,
    AsyncSession,
    DuplicateError,
    GenericRepository,
    QueryBuilder,
    current_session,
)
from harness.conformance.models import ConformanceTicket, db_metadata
from harness.fixtures.reference import REFERENCE_METADATA, ReferenceUser, UserRepository
from harness.fixtures.services import ServiceStarter
from harness.isolation.joined import Stack, joined_engine

__all__ = ["db_metadata"]


@pytest_asyncio.fixture
async def nothing_left(test_database: str) -> AsyncIterator[None]:
    """Look, after the fixtures that a test asked for later, for what they left behind."""
    yield
    async with AndamiosEngine(test_database, uvloop=False) as engine:
        assert 0 == await GenericRepository[ConformanceTicket](engine).count()


@pytest.mark.isolation("rolled_back")
@pytest.mark.usefixtures("nothing_left")
class TestDbSession:
    """A session that is rolled back, whatever the test does in it."""

    @pytest_asyncio.fixture
    async def session(self, nothing_left: None, db_session: AsyncSession) -> AsyncSession:
        """The session, with one row that was committed in it."""
        db_session.add(ConformanceTicket(code="first"))
        await db_session.commit()
        return db_session

    async def test_commits(self, session: AsyncSession) -> None:
        """A commit in the test keeps for the test, and not after it."""
        await session.rollback()

        assert 1 == await QueryBuilder(ConformanceTicket, session).count()

    async def test_rolls_back(self, session: AsyncSession) -> None:
        """A rollback takes back what was not committed, and the test goes on."""
        session.add(ConformanceTicket(code="second"))
        await session.flush()
        await session.rollback()
        session.add(ConformanceTicket(code="third"))
        await session.commit()
        found = await QueryBuilder(ConformanceTicket, session).order_by("code").execute()

        assert ["first", "third"] == [ticket.code for ticket in found]

    async def test_fails(self, session: AsyncSession) -> None:
        """A flush that the database refused is rolled back, and the test goes on."""
        session.add(ConformanceTicket(code="first"))
        with pytest.raises(DuplicateError):
            await session.flush()
        await session.rollback()

        assert 1 == await QueryBuilder(ConformanceTicket, session).count()

    async def test_left_broken(self, session: AsyncSession) -> None:
        """A test may end in the middle of a failure."""
        session.add(ConformanceTicket(code="first"))
        with pytest.raises(DuplicateError):
            await session.flush()

    async def test_left_open(self, session: AsyncSession) -> None:
        """A test may end inside a savepoint, with rows that are not flushed."""
        await session.begin_nested()
        session.add(ConformanceTicket(code="second"))

    async def test_is_current(self, session: AsyncSession) -> None:
        """Queries and repositories without a session use it."""
        await GenericRepository[ConformanceTicket]().create(ConformanceTicket(code="second"))

        assert session is current_session()
        assert 2 == await QueryBuilder(ConformanceTicket).count()


class TestEngine:
    """An engine whose tables are empty before and after the test."""

    @pytest.mark.parametrize("time", ["first", "second"])
    async def test_empties_tables(
        self, nothing_left: None, engine: AndamiosEngine, time: str
    ) -> None:
        """What a test commits, rows that refer to each other included, is gone after it."""
        tickets = GenericRepository[ConformanceTicket](engine)
        assert 0 == await tickets.count()
        parent = await tickets.create(ConformanceTicket(code="same"))
        await tickets.create(ConformanceTicket(parent_id=parent.id))

    async def test_after_a_failure(self, nothing_left: None, engine: AndamiosEngine) -> None:
        """A session that failed leaves nothing that could block the cleaning."""
        async with engine.session() as session:
            session.add(ConformanceTicket(code="first"))
            await session.flush()
            session.add(ConformanceTicket(code="first"))
            with pytest.raises(DuplicateError):
                await session.flush()
            await session.rollback()


async def test_kept_after_a_failure(test_database: str) -> None:
    """What a failed test committed is kept, though PostgreSQL commits nothing after an error."""
    stack = Stack()
    async with joined_engine(test_database, stack) as engine:
        await GenericRepository[ConformanceTicket](engine).create(ConformanceTicket(code="kept"))
        session = AsyncSession(engine)
        with pytest.raises(AndamiosError):
            await session.execute(text("SELECT * FROM no_such_table"))
        stack.end_test()
        await session.close()
        await stack.commit()
    async with AndamiosEngine(test_database, uvloop=False) as outside:
        assert 1 == await GenericRepository[ConformanceTicket](outside).count()


class TestTables:
    """A module, or a class, says which tables its tests need."""

    @pytest.fixture(scope="session")
    @classmethod
    def db_metadata(cls) -> MetaData:
        """Other tables than those of the module."""
        return REFERENCE_METADATA

    async def test_other_tables(self, engine: AndamiosEngine) -> None:
        """They are there, though the database was made for other tests with others."""
        async with engine.connections.acquire() as connection:
            names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())

        assert "harness_reference_user" in names


class TestUserRepository:
    """The reference repository."""

    async def test_finders(self, user_repository: UserRepository) -> None:
        """It finds by e-mail address, lists active users, and notes log-ins."""
        ana = await user_repository.create(ReferenceUser(email="ana@example.org", name="Ana"))
        await user_repository.create(
            ReferenceUser(email="beto@example.org", name="Beto", is_active=False)
        )
        await user_repository.update_last_login(ana.id)

        assert ana is await user_repository.find_by_email("ana@example.org")
        assert None is await user_repository.find_by_email("ANA@example.org")
        assert [ana] == await user_repository.get_active_users()
        assert ana.last_login is not None


class TestRedis:
    """A Redis database for each worker."""

    @pytest.mark.parametrize("time", ["first", "second"])
    async def test_empty(self, redis_client: Redis, time: str) -> None:
        """What a test leaves is gone before the next one."""
        assert [] == await redis_client.keys()
        await redis_client.set("left", "behind")


def test_starter(start_service: ServiceStarter) -> None:
    """Everybody who asks for a service gets the same one."""
    first = start_service("redis")

    assert first == start_service("redis")
    assert first.version
