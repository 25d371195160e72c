"""
Trying a write inside a caller's transaction, so that a refusal undoes the write alone.

A database that refuses a statement may refuse the whole transaction from there on
(PostgreSQL), and SQLAlchemy's session always does after a failed flush. A savepoint keeps
both going.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import sqlalchemy.orm as sa_orm
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm.attributes import set_committed_value

from andamios.errors import AndamiosError, ConnectionFailedError, TransactionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

    State = sa_orm.InstanceState[Any]

__all__ = ["savepoint"]


@asynccontextmanager
async def savepoint(session: AsyncSession, changed: Iterable[object] = ()) -> AsyncIterator[None]:
    """
    Make a block a savepoint, and flush the session at its end.

    What waits in the session when the block begins is flushed in front of it, since it is
    no part of this write.

    Args:
        session: The caller's session.
        changed: Objects of the session whose changes are this write.
    """
    states = [state for entity in changed for state in _states_of(session, entity)]
    loaded = {state: [*(state.mapper.attrs.keys() & state.dict.keys())] for state in states}
    held = [(state, _hold_back(session, state)) for state in states]
    nested = await session.begin_nested()
    try:
        for state, values in held:
            for key, value in values.items():
                setattr(state.obj(), key, value)
        yield
        await session.flush()
    except BaseException as error:
        await _undo(session, nested, loaded)
        reason = _reason(error)
        if reason is error:
            raise
        raise reason from reason.__cause__
    await nested.commit()


async def _undo(
    session: AsyncSession, nested: AsyncSessionTransaction, loaded: dict[State, list[str]]
) -> None:
    try:
        await nested.rollback()
        await _read_again(session, loaded)
    except (AndamiosError, SQLAlchemyError):
        # A deadlock on MySQL, or a lost connection, took the whole transaction along. What
        # was written before is gone, so that nothing more may be written as if it were not.
        with suppress(AndamiosError, SQLAlchemyError):
            await (await session.connection()).invalidate()


def _reason(error: BaseException) -> BaseException:
    """Find the error that ended the transaction, behind those of cleaning up after it."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, TransactionError | ConnectionFailedError):
            return found
        found = found.__context__
    return error


def _states_of(session: AsyncSession, entity: object) -> Iterator[State]:
    state = sa.inspect(entity, raiseerr=False)
    if isinstance(state, sa_orm.InstanceState) and state.persistent and entity in session:
        yield state


def _hold_back(session: AsyncSession, state: State) -> dict[str, Any]:
    """Take the changes of an object's columns away, and give them."""
    entity = state.obj()
    held: dict[str, Any] = {}
    for key in state.mapper.column_attrs.keys() & state.dict.keys():
        history = state.attrs[key].history
        if not history.has_changes():
            continue
        held[key] = state.dict[key]
        if history.deleted:
            set_committed_value(entity, key, history.deleted[0])
        else:
            session.expire(entity, [key])
    return held


async def _read_again(session: AsyncSession, loaded: dict[State, list[str]]) -> None:
    """Give objects what they had loaded, which the rollback made them forget."""
    for entity in list(session.identity_map.values()):
        state = sa.inspect(entity)
        if state.expired:
            with suppress(SQLAlchemyError):  # its row is gone
                await session.refresh(entity, loaded.get(state))
