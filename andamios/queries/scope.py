"""
Where a query or a repository works: which session, opened and ended by whom.

Given a session, it works inside that session's transaction. Given an engine, each call
opens a session of its own and commits it. Given nothing, it uses the session of this
task, looked up when the call runs.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy.ext.asyncio as sa_asyncio
from sqlalchemy.orm.exc import StaleDataError

from andamios.core.current import current_session
from andamios.core.engine import AndamiosEngine
from andamios.core.guard import translating
from andamios.core.session import Session
from andamios.core.versions import stale_error
from andamios.errors import ConfigurationError, ConnectionFailedError
from andamios.models.soft_delete import is_soft_delete
from andamios.queries.savepoints import savepoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

__all__ = [
    "Bind",
    "given_session",
    "read",
    "read_scope",
    "require_session",
    "stands_alone",
    "write_scope",
]

R = TypeVar("R")

Bind = sa_asyncio.AsyncSession | AndamiosEngine | None
"""A session, an engine, or nothing: the session of this task."""


def stands_alone(bind: Bind) -> bool:
    """Whether each call has a transaction of its own."""
    return isinstance(bind, AndamiosEngine)


def require_session(bind: Bind, what: str) -> None:
    """
    Refuse what has no meaning once the transaction is over.

    Raises:
        ConfigurationError: ``bind`` is an engine.
    """
    if stands_alone(bind):
        raise ConfigurationError(
            f"{what} holds locks until its transaction ends, and bound to an engine that is at "
            "once. Use a session: async with engine.session() as session."
        )


@asynccontextmanager
async def read_scope(bind: Bind, model: type[Any]) -> AsyncIterator[sa_asyncio.AsyncSession]:
    """
    Give the session to read with; one that is opened here only reads.

    Args:
        bind: Where to read.
        model: What is read.
    """
    async with _session(bind, model, read_only=True) as session:
        yield session


async def read(
    bind: Bind, model: type[Any], work: Callable[[sa_asyncio.AsyncSession], Awaitable[R]]
) -> R:
    """
    Read; a read that stands alone and meets a dead connection is repeated once on a fresh one.

    Args:
        bind: Where the caller works.
        model: What is read.
        work: The read, which may run twice.
    """
    try:
        async with read_scope(bind, model) as session:
            return await work(session)
    except ConnectionFailedError as error:
        # Without a statement no connection could be made, and a second try helps nobody.
        if not stands_alone(bind) or error.statement is None:
            raise
    async with read_scope(bind, model) as session:
        return await work(session)


@asynccontextmanager
async def write_scope(
    bind: Bind, model: type[Any], *, changed: Iterable[object] = ()
) -> AsyncIterator[sa_asyncio.AsyncSession]:
    """
    Give the session to write with, and flush it at the end.

    Inside a caller's transaction the block is a savepoint, so that after a refused write
    the transaction goes on as if it had not been tried.

    Args:
        bind: Where to write.
        model: What is written.
        changed: Objects of a caller's session whose changes are what is to be written.
    """
    async with _session(bind, model, read_only=False) as session:
        if stands_alone(bind):
            yield session
            await session.flush()
        else:
            async with savepoint(session, changed):
                yield session


@asynccontextmanager
async def _session(
    bind: Bind, model: type[Any], *, read_only: bool
) -> AsyncIterator[sa_asyncio.AsyncSession]:
    if isinstance(bind, AndamiosEngine):
        # Only a block that the caller wrote makes a session the current one: a stream runs
        # code of its caller while it is open.
        async with bind.session(read_only=read_only, is_current=False) as own:
            yield own
        return
    session = given_session(bind)
    _require_marking(session, model)
    with translating():
        try:
            yield session
        except StaleDataError as error:
            raise await stale_error(session, error) from error


def given_session(bind: sa_asyncio.AsyncSession | None) -> sa_asyncio.AsyncSession:
    """
    Give the session that was named, or that of this task.

    Raises:
        ConfigurationError: It is no session.
        SessionTaskError: No session is open in this task.
    """
    if bind is None:
        return current_session()
    if isinstance(bind, sa_asyncio.AsyncSession):
        return bind
    raise ConfigurationError(
        f"A query or repository needs an AsyncSession or an AndamiosEngine, not "
        f"{type(bind).__name__}."
    )


def _require_marking(session: sa_asyncio.AsyncSession, model: type[Any]) -> None:
    """Refuse a session that would show and remove what is only to be marked as deleted."""
    if is_soft_delete(model) and not isinstance(session.sync_session, Session):
        raise ConfigurationError(
            f"{model.__name__} is softly deleted, which SQLAlchemy's own session knows nothing of. "
            "Use andamios.AsyncSession, or engine.session()."
        )
