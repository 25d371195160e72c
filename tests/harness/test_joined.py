"""A rolled-back test: everything works on one connection, and nothing of it stays."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import select, text

from andamios import (
    AndamiosEngine,
    AsyncSession,
    DuplicateError,
    GenericRepository,
    ReadOnlyError,
)
from andamios.core.facts import QueryFinished, TransactionEnded
from andamios.integrations.fastapi import FastAPIIntegration
from harness.conformance.models import ConformanceTicket, db_metadata
from harness.isolation.joined import IsolationError, Stack, joined_engine

__all__ = ["db_metadata"]

pytestmark = pytest.mark.isolation("rolled_back")


@pytest_asyncio.fixture(autouse=True)
async def nothing_left(test_database: str) -> AsyncIterator[None]:
    """Look from outside, after the engine is closed, for what the test left behind."""
    yield
    async with AndamiosEngine(test_database, uvloop=False) as outside:
        assert 0 == await GenericRepository[ConformanceTicket](outside).count()


@pytest.fixture
def tickets(engine: AndamiosEngine) -> GenericRepository[ConformanceTicket]:
    """A repository whose calls each commit."""
    return GenericRepository[ConformanceTicket](engine)


class TicketRepository(GenericRepository[ConformanceTicket]):
    """Tickets."""


def ticket(code: str) -> ConformanceTicket:
    return ConformanceTicket(code=code)


async def test_everybody_sees_the_same(
    engine: AndamiosEngine, db_session: AsyncSession, tickets: GenericRepository[ConformanceTicket]
) -> None:
    """What one commits is there for the session, the engine and the repository alike."""
    await tickets.create(ticket("by the repository"))
    db_session.add(ticket("by the session"))
    await db_session.commit()
    async with engine.session() as session:
        session.add(ticket("by the engine"))

    assert 3 == await tickets.count()
    assert 3 == await GenericRepository[ConformanceTicket](db_session).count()


async def test_nobody_else_sees_it(
    test_database: str, backend: str, tickets: GenericRepository[ConformanceTicket]
) -> None:
    """Another connection sees nothing of what the test committed."""
    await tickets.create(ticket("mine"))
    async with AndamiosEngine(test_database, uvloop=False) as outside:
        if backend == "sqlite":
            async with outside.session(read_only=True) as session:
                assert 0 == await GenericRepository[ConformanceTicket](session).count()
        else:
            assert 0 == await GenericRepository[ConformanceTicket](outside).count()


async def test_a_refused_write(
    engine: AndamiosEngine, tickets: GenericRepository[ConformanceTicket]
) -> None:
    """An error takes back its own transaction, and the test goes on."""
    await tickets.create(ticket("same"))

    async def write() -> None:
        async with engine.session() as session:
            session.add(ticket("before"))
            await session.flush()
            session.add(ticket("same"))

    with pytest.raises(DuplicateError):
        await write()
    await tickets.create(ticket("after"))
    found = await tickets.query().order_by("code").execute()

    assert ["after", "same"] == [each.code for each in found]


async def test_inside_another(
    engine: AndamiosEngine, tickets: GenericRepository[ConformanceTicket]
) -> None:
    """A session inside another one, each with savepoints of its own."""
    async with engine.session() as outer:
        outer.add(ticket("outer"))
        async with outer.begin_nested():
            outer.add(ticket("outer nested"))
            await outer.flush()
            async with engine.session() as inner, inner.begin_nested():
                inner.add(ticket("inner nested"))

    assert 3 == await tickets.count()


async def test_a_reader_keeps_what_others_committed(
    engine: AndamiosEngine, tickets: GenericRepository[ConformanceTicket]
) -> None:
    """A session that only read rolls back nothing of others."""
    session = AsyncSession(engine)
    await session.scalar(text("SELECT 1"))
    await tickets.create(ticket("kept"))
    await session.rollback()
    await session.close()

    assert 1 == await tickets.count()


async def test_several_at_once(tickets: GenericRepository[ConformanceTicket]) -> None:
    """Tasks that work at the same time share the connection."""
    await asyncio.gather(*(tickets.create(ticket(str(number))) for number in range(8)))

    assert 8 == await tickets.count()


async def test_stream(tickets: GenericRepository[ConformanceTicket]) -> None:
    """Rows can be written while others stream."""
    await tickets.create_many([{"code": str(number)} for number in range(5)])
    async for each in tickets.query().order_by("code").stream(batch=2):
        await tickets.create(ticket(f"{each.code} again"))

    assert 10 == await tickets.count()


async def test_reading_only(engine: AndamiosEngine) -> None:
    """A session that only reads refuses to write, and reads."""

    async def write() -> None:
        async with engine.session(read_only=True) as session:
            session.add(ticket("no"))

    with pytest.raises(ReadOnlyError):
        await write()
    async with engine.session(read_only=True) as session:
        query = text("WITH one AS (SELECT 1 AS number) SELECT number FROM one")
        assert 1 == await session.scalar(query)
    async with engine.session() as session:
        session.add(ticket("yes"))


async def test_facts(engine: AndamiosEngine, tickets: GenericRepository[ConformanceTicket]) -> None:
    """Listeners hear of commits, and of no savepoint."""
    outcomes: list[str] = []
    statements: list[str] = []
    engine.hooks.listen(TransactionEnded, lambda fact: outcomes.append(fact.outcome))
    engine.hooks.listen(QueryFinished, lambda fact: statements.append(fact.statement))
    await tickets.create(ticket("one"))

    assert ["committed"] == outcomes
    assert 1 == len(statements)


async def test_an_isolation_level(engine: AndamiosEngine, backend: str) -> None:
    """A level that the test's transaction does not have is refused in words."""
    if backend == "sqlite":
        pytest.skip("SQLite has one level, which satisfies all")
    async with engine.session() as session:
        await session.execute(text("SELECT 1"))
    with pytest.raises(IsolationError, match="committing"):
        async with engine.session(isolation="SERIALIZABLE") as session:
            await session.execute(text("SELECT 1"))


async def test_an_application(engine: AndamiosEngine, db_session: AsyncSession) -> None:
    """A whole application takes part, and the test sees what it did."""
    integration = FastAPIIntegration(engine)
    app = FastAPI(lifespan=integration.lifespan_handler)
    integration.install(app)
    deps = integration.create_repository_dependencies(TicketRepository)

    @app.post("/tickets/{code}")
    async def create(
        code: str, tickets: Annotated[TicketRepository, deps[TicketRepository]]
    ) -> int:
        created: int = (await tickets.create(ticket(code))).id
        return created

    db_session.add(ticket("of the test"))
    await db_session.flush()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answers = [await client.post(f"/tickets/{code}") for code in ("new", "of the test")]
    found = await GenericRepository[ConformanceTicket](db_session).list()

    assert [200, 409] == [answer.status_code for answer in answers]
    assert {"of the test", "new"} == {each.code for each in found}


async def test_savepoints_of_several(
    engine: AndamiosEngine, tickets: GenericRepository[ConformanceTicket]
) -> None:
    """Savepoints of sessions that work at the same time do not end each other."""

    async def write(number: int) -> None:
        async with engine.session() as session:
            async with session.begin_nested():
                session.add(ticket(f"{number} nested"))
                await session.flush()
                await asyncio.sleep(0.01)
            session.add(ticket(f"{number}"))

    await asyncio.gather(*(write(number) for number in range(4)))

    assert 8 == await tickets.count()


async def test_readers_above_a_rollback(
    engine: AndamiosEngine, tickets: GenericRepository[ConformanceTicket]
) -> None:
    """A session that had only read goes on when one below it is rolled back, and is kept apart."""
    below, above = AsyncSession(engine), AsyncSession(engine)
    below.add(ticket("below"))
    await below.flush()
    await above.scalar(text("SELECT 1"))
    await below.rollback()
    above.add(ticket("above"))
    await above.flush()
    await above.rollback()
    await tickets.create(ticket("after"))
    for session in (below, above):
        await session.close()

    assert ["after"] == [each.code for each in await tickets.list()]


async def test_a_function_that_writes(engine: AndamiosEngine, backend: str) -> None:
    """What a SELECT wrote is rolled back too."""
    if backend != "postgresql":
        pytest.skip("only PostgreSQL has functions that its users make inside a transaction")
    async with engine.session() as session:
        await session.execute(text("CREATE TABLE notes (number INTEGER)"))
        await session.execute(
            text(
                "CREATE FUNCTION note() RETURNS void LANGUAGE sql AS 'INSERT INTO notes VALUES (1)'"
            )
        )
        await session.commit()
        await session.execute(text("SELECT note()"))
        await session.rollback()
        assert 0 == await session.scalar(text("SELECT COUNT(*) FROM notes"))


async def test_a_core_stream(
    engine: AndamiosEngine, tickets: GenericRepository[ConformanceTicket]
) -> None:
    """A result that is streamed keeps the connection from nobody."""
    await tickets.create_many([{"code": str(number)} for number in range(100)])
    async with engine.session() as session:
        async for number in await session.stream_scalars(select(ConformanceTicket.id)):
            await tickets.create(ticket(f"{number} again"))

    assert 200 == await tickets.count()


async def test_the_level_that_it_has(engine: AndamiosEngine, backend: str) -> None:
    """A session may ask for the level that the test's transaction has anyway."""
    level = "READ COMMITTED" if backend in {"sqlite", "postgresql"} else "REPEATABLE READ"
    async with engine.session(isolation=level) as session:
        assert 1 == await session.scalar(text("SELECT 1"))


class TestLevels:
    """Levels of the whole engine."""

    @pytest.fixture(params=["isolation_level", "execution_options"])
    def engine_options(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        """A level, in the two places that it can be given."""
        level = {"isolation_level": "SERIALIZABLE"}
        return level if request.param == "isolation_level" else {"execution_options": level}

    async def test_level(self, engine: AndamiosEngine, backend: str) -> None:
        """The transaction of the test has the level that the engine was made with."""
        queries = {
            "sqlite": "SELECT 'serializable'",
            "postgresql": "SHOW transaction_isolation",
            "mariadb": "SELECT @@tx_isolation",
        }
        query = queries.get(backend, "SELECT @@transaction_isolation")
        async with engine.session() as session:
            assert "serializable" == (await session.scalar(text(query))).lower()


async def test_no_transaction(test_database: str) -> None:
    """An engine without transactions cannot be rolled back."""
    with pytest.raises(IsolationError, match="AUTOCOMMIT"):
        async with joined_engine(test_database, Stack(), isolation_level="AUTOCOMMIT"):
            pass


async def test_commit_of_a_lost_connection(engine: AndamiosEngine) -> None:
    """A commit does not succeed when another task's cancellation took the connection away."""
    session = AsyncSession(engine)
    session.add(ticket("lost"))
    await session.flush()
    async with engine.connections.acquire() as connection:
        await connection.execute(text("SELECT 1"))
        await connection.invalidate()
    with pytest.raises(IsolationError, match="lost"):
        await session.commit()
    await session.close()
