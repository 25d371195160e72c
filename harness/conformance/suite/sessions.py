"""The session of this task, and attributes that are not loaded."""

import asyncio

import pytest

from andamios import (
    AndamiosEngine,
    AsyncSession,
    GenericRepository,
    LazyLoadError,
    QueryBuilder,
    SessionTaskError,
    current_session,
)
from harness.conformance.models import ConformanceAuthor, ConformanceTicket
from harness.conformance.rows import authors_with_books

__all__ = ["TestLazyLoads", "TestSessionOfThisTask"]


class TestSessionOfThisTask:
    """A query without a session uses the innermost one of its task."""

    @pytest.mark.capability("sessions: the one of this task")
    async def test_current(self, engine: AndamiosEngine) -> None:
        """Inside the block it is the block's, and outside there is none."""
        async with engine.session() as session:
            await GenericRepository[ConformanceTicket]().create(ConformanceTicket(code="a"))
            assert session is current_session()
            assert 1 == await QueryBuilder(ConformanceTicket).count()
        with pytest.raises(SessionTaskError, match="No session is open"):
            await QueryBuilder(ConformanceTicket).count()

    @pytest.mark.capability("sessions: the one of this task")
    async def test_other_task(self, engine: AndamiosEngine) -> None:
        """Another task is told why it may not use it, and how it may."""
        async with engine.session() as session:
            with pytest.raises(SessionTaskError, match="as_current"):
                await asyncio.create_task(QueryBuilder(ConformanceTicket).count())
            with session.as_current():
                assert 0 == await QueryBuilder(ConformanceTicket).count()

    @pytest.mark.capability("sessions: one task at a time")
    async def test_two_tasks(self, db_session: AsyncSession) -> None:
        """Two statements at the same moment are refused, and the session goes on."""
        query = QueryBuilder(ConformanceTicket, db_session)
        results = await asyncio.gather(query.count(), query.count(), return_exceptions=True)

        assert [int, SessionTaskError] == [type(result) for result in results]
        assert 0 == await query.count()


class TestLazyLoads:
    """Reading an attribute cannot wait for the database, and says so."""

    @pytest.mark.capability("sessions: a lazy load names the attribute and the cure")
    async def test_in_session(self, db_session: AsyncSession) -> None:
        """Inside the session."""
        await authors_with_books(db_session)
        ana = await QueryBuilder(ConformanceAuthor, db_session).filter_by(name="Ana").one()
        with pytest.raises(LazyLoadError, match=r"ConformanceAuthor\.profile.*load"):
            _ = ana.profile

    @pytest.mark.capability("sessions: a lazy load names the attribute and the cure")
    async def test_detached(self, engine: AndamiosEngine) -> None:
        """Outside of any session."""
        ana = await GenericRepository[ConformanceAuthor](engine).create(
            ConformanceAuthor(name="Ana")
        )
        found = await GenericRepository[ConformanceAuthor](engine).get_one(ana.id)
        with pytest.raises(LazyLoadError, match=r"ConformanceAuthor\.books"):
            _ = found.books
