"""Where a query works: a session, an engine, or the session of the task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy.ext.asyncio as sa_asyncio
from sqlalchemy import insert
from sqlalchemy.orm import Mapped  # noqa: TC002  SQLAlchemy reads annotations

from andamios import (
    BaseModel,
    ConfigurationError,
    NotNullError,
    QueryBuilder,
    SessionTaskError,
    SoftDeleteModel,
    VersioningMixin,
    current_session,
)

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class ScopedThing(BaseModel):
    name: Mapped[str]


class ScopedCount(VersioningMixin, BaseModel):
    number: Mapped[int]


class ScopedDraft(SoftDeleteModel):
    title: Mapped[str]


async def test_engine(engine: AndamiosEngine) -> None:
    """Each call stands alone, commits, and gives objects that belong to no session."""
    async with engine.session() as session:
        session.add(ScopedThing(name="one"))
    things = QueryBuilder(ScopedThing, engine)
    thing = await things.one()

    assert "one" == thing.name
    assert sa_asyncio.async_object_session(thing) is None
    assert 1 == await things.filter_by(name="one").update({"name": "two"})
    assert "two" == (await things.one()).name
    assert 0 == engine.connections.stats().in_use


async def test_session(engine: AndamiosEngine) -> None:
    """Everything happens in the session's transaction, and nothing is committed."""
    async with engine.session() as session:
        await session.execute(insert(ScopedThing), [{"name": "one"}])
        assert "one" == (await QueryBuilder(ScopedThing, session).one()).name
        await session.rollback()

    assert 0 == await QueryBuilder(ScopedThing, engine).count()


async def test_session_of_the_task(engine: AndamiosEngine) -> None:
    """Without a bind, the innermost session of the task is used when the query runs."""
    things = QueryBuilder(ScopedThing)
    with pytest.raises(SessionTaskError, match="No session"):
        await things.count()
    async with engine.session() as session:
        session.add(ScopedThing(name="one"))
        assert 1 == await things.count()
        await QueryBuilder(ScopedThing, engine if engine.backend != "sqlite" else session).count()
        assert session is current_session()
        with pytest.raises(SessionTaskError, match="belongs to"):
            await asyncio.gather(things.count(), things.count())


async def test_plain_sessions(engine: AndamiosEngine) -> None:
    """SQLAlchemy's own session, on its own engine, raises Andamios' errors."""
    plain_engine = sa_asyncio.create_async_engine(engine.async_engine.url)
    async with sa_asyncio.AsyncSession(plain_engine) as session:
        things = QueryBuilder(ScopedThing, session)
        session.add(ScopedThing(name="one"))
        assert 1 == await things.count()
        with pytest.raises(NotNullError):
            await things.unscoped().update({"name": None})
        counted = QueryBuilder(ScopedCount, session)
        session.add(ScopedCount(number=1))
        await counted.filter_by(number=1).update({"number": 2})
        assert (2, 2) == tuple(await counted.only("number", "version").one())
    await plain_engine.dispose()


async def test_plain_sessions_cannot_mark(engine: AndamiosEngine) -> None:
    """A softly deleted model needs a session that knows of it."""
    plain_engine = sa_asyncio.create_async_engine(engine.async_engine.url)
    async with sa_asyncio.AsyncSession(plain_engine) as session:
        drafts = QueryBuilder(ScopedDraft, session)
        with pytest.raises(ConfigurationError, match="AsyncSession"):
            await drafts.count()
        with pytest.raises(ConfigurationError, match="AsyncSession"):
            await drafts.filter_by(id=1).delete()
    await plain_engine.dispose()


@pytest.mark.parametrize("bind", ["sqlite://", 5, object()])
async def test_bad_binds(bind: Any) -> None:
    """Anything else is refused, saying what is needed."""
    with pytest.raises(ConfigurationError, match="AndamiosEngine"):
        await QueryBuilder(ScopedThing, bind).count()


async def test_cancellation_gives_the_connection_back(engine: AndamiosEngine) -> None:
    """A query that is cancelled leaves no connection checked out."""
    for delay in (0, 0.0005, 0.001, 0.002, 0.005):
        task = asyncio.create_task(QueryBuilder(ScopedThing, engine).count())
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert 0 == engine.connections.stats().in_use
    assert 0 == await QueryBuilder(ScopedThing, engine).count()
