"""Transactions: what stays, what goes, and what others see meanwhile."""

import asyncio

import pytest

from andamios import (
    AndamiosEngine,
    AsyncSession,
    ConfigurationError,
    DuplicateError,
    GenericRepository,
    QueryBuilder,
    ReadOnlyError,
    TransactionError,
)
from harness.conformance.models import ConformanceSeat, ConformanceTicket, ConformanceValue

__all__ = ["TestIsolation", "TestTransactions"]

LEVELS = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


@pytest.mark.isolation("committing")
class TestTransactions:
    """One session, one transaction."""

    @pytest.mark.capability("transactions: commit and rollback")
    async def test_commit(self, engine: AndamiosEngine) -> None:
        """What a block wrote is there after it, and readable without the session."""
        async with engine.session() as session:
            ticket = ConformanceTicket(code="a")
            session.add(ticket)

        assert "a" == ticket.code
        assert await GenericRepository[ConformanceTicket](engine).exists({"code": "a"})

    @pytest.mark.capability("transactions: commit and rollback")
    async def test_rollback(self, engine: AndamiosEngine) -> None:
        """A block that raises leaves nothing behind, and passes its own error on."""
        with pytest.raises(LookupError, match="my own"):
            async with engine.session() as session:
                await GenericRepository[ConformanceTicket](session).create(ConformanceTicket())
                raise LookupError("my own")

        assert 0 == await GenericRepository[ConformanceTicket](engine).count()

    @pytest.mark.capability("transactions: savepoints")
    async def test_savepoint(self, engine: AndamiosEngine) -> None:
        """A savepoint that is rolled back takes along what came after it, and no more."""
        async with engine.session() as session:
            session.add(ConformanceTicket(code="before"))
            with pytest.raises(LookupError):
                async with session.begin_nested():
                    session.add(ConformanceTicket(code="inside"))
                    await session.flush()
                    raise LookupError
            session.add(ConformanceTicket(code="after"))
        found = await GenericRepository[ConformanceTicket](engine).query().order_by("id").execute()

        assert ["before", "after"] == [ticket.code for ticket in found]

    @pytest.mark.capability("transactions: a refused write does not poison the session")
    async def test_refused_write(self, engine: AndamiosEngine) -> None:
        """After a duplicate the session reads and writes on, and what was written is kept."""
        async with engine.session() as session:
            tickets = GenericRepository[ConformanceTicket](session)
            first = await tickets.create(ConformanceTicket(code="a", holder="Ana"))
            for _ in range(2):
                with pytest.raises(DuplicateError):
                    await tickets.create(ConformanceTicket(code="a"))
            assert ("Ana", 1) == (first.holder, await tickets.count())
            await tickets.create(ConformanceTicket(code="b"))
        found = await GenericRepository[ConformanceTicket](engine).query().order_by("id").execute()

        assert ["a", "b"] == [ticket.code for ticket in found]

    @pytest.mark.capability("transactions: a refused write does not poison the session")
    async def test_refused_bulk(self, engine: AndamiosEngine) -> None:
        """A bulk write that is refused half-way leaves none of its rows."""
        async with engine.session() as session:
            tickets = GenericRepository[ConformanceTicket](session)
            await tickets.create(ConformanceTicket(code="a"))
            with pytest.raises(DuplicateError):
                await tickets.create_many([{"code": code} for code in "bca"], batch=1)
            assert 1 == await tickets.count()

    @pytest.mark.capability("transactions: read-only ones refuse to write")
    async def test_read_only(self, engine: AndamiosEngine) -> None:
        """A read-only session reads, and its connection writes again afterwards."""
        with pytest.raises(ReadOnlyError):
            async with engine.session(read_only=True) as session:
                assert 0 == await QueryBuilder(ConformanceTicket, session).count()
                session.add(ConformanceTicket())
        await GenericRepository[ConformanceTicket](engine).create(ConformanceTicket())

        assert 1 == await GenericRepository[ConformanceTicket](engine).count()

    @pytest.mark.capability("transactions: every isolation level has a name")
    @pytest.mark.parametrize("level", LEVELS)
    async def test_levels(self, engine: AndamiosEngine, level: str) -> None:
        """Each standard level can be asked for; the next session has the usual one again."""
        async with engine.session(isolation=level) as session:
            session.add(ConformanceTicket())
        async with engine.session() as session:
            assert 1 == await QueryBuilder(ConformanceTicket, session).count()

    @pytest.mark.capability("transactions: every isolation level has a name")
    async def test_unknown_level(self, engine: AndamiosEngine) -> None:
        """A level that does not exist is refused before anything is sent."""
        with pytest.raises(ConfigurationError, match="SERIALIZABLE"):
            engine.session(isolation="CHAOS")


@pytest.mark.isolation("committing")
class TestIsolation:
    """Several sessions at once."""

    @pytest.mark.capability("isolation: nobody sees what is not committed")
    async def test_dirty_read(self, engine: AndamiosEngine) -> None:
        """Another reader sees a row once it is committed, and not before."""
        tickets = GenericRepository[ConformanceTicket](engine)
        async with engine.session() as session:
            await GenericRepository[ConformanceTicket](session).create(ConformanceTicket())
            assert 0 == await tickets.count()

        assert 1 == await tickets.count()

    @pytest.mark.capability("isolation: REPEATABLE READ keeps its snapshot")
    async def test_snapshot(self, engine: AndamiosEngine) -> None:
        """What a reader saw once, it sees until its end."""
        assert [0, 0] == await _counts_around_a_write(engine, "REPEATABLE READ")

    @pytest.mark.capability("isolation: READ COMMITTED sees later commits")
    async def test_later_commits(self, engine: AndamiosEngine) -> None:
        """A reader sees what was committed between its statements."""
        assert [0, 1] == await _counts_around_a_write(engine, "READ COMMITTED")

    @pytest.mark.capability("isolation: SERIALIZABLE loses no update")
    async def test_lost_update(self, engine: AndamiosEngine) -> None:
        """Of two that read, think and write, each succeeds or is told to run again."""
        values = GenericRepository[ConformanceValue](engine)
        value = await values.create(ConformanceValue(whole=0))

        async def count_up() -> int:
            try:
                async with engine.session(isolation="SERIALIZABLE") as session:
                    found = await GenericRepository[ConformanceValue](session).get_one(value.id)
                    await asyncio.sleep(0.02)
                    assert found.whole is not None
                    found.whole += 1
            except TransactionError:
                return 0
            return 1

        successes = sum(await asyncio.gather(count_up(), count_up()))

        assert successes in {1, 2}
        assert successes == (await values.get_one(value.id)).whole

    @pytest.mark.capability("isolation: locked rows wait for each other")
    async def test_locks(self, engine: AndamiosEngine) -> None:
        """Rows that are locked to be changed lose no update at the usual level."""
        seats = GenericRepository[ConformanceSeat](engine)
        seat = await seats.create(ConformanceSeat(holder="Ana"))

        async def take_one() -> None:
            async with engine.session() as session:
                (found,) = await GenericRepository[ConformanceSeat](session).lock({"id": seat.id})
                await asyncio.sleep(0.01)
                found.taken += 1

        await asyncio.gather(take_one(), take_one(), take_one())

        assert 3 == (await seats.get_one(seat.id)).taken


async def _counts_around_a_write(engine: AndamiosEngine, level: str) -> list[int]:
    async with engine.session(read_only=True, isolation=level) as reader:
        before = await _count(reader)
        await GenericRepository[ConformanceTicket](engine).create(ConformanceTicket())
        return [before, await _count(reader)]


async def _count(session: AsyncSession) -> int:
    return await QueryBuilder(ConformanceTicket, session).count()
