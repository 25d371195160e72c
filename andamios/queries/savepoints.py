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

from andamios.errors import AndamiosError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from sqlalchemy.ext.asyncio import AsyncSession

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
    held = [(entity, _hold_back(session, entity)) for entity in changed]
    nested = await session.begin_nested()
    try:
        for entity, values in held:
            for key, value in values.items():
                setattr(entity, key, value)
        yield
        await session.flush()
    except BaseException:
        # A deadlock or a lost connection took the savepoint along; what matters is why.
        with suppress(AndamiosError, SQLAlchemyError):
            await nested.rollback()
            await _read_again(session)
        raise
    await nested.commit()


def _hold_back(session: AsyncSession, entity: object) -> dict[str, Any]:
    """Take the changes of an object's columns away, and give them."""
    state = sa.inspect(entity, raiseerr=False)
    if not isinstance(state, sa_orm.InstanceState) or entity not in session or not state.persistent:
        return {}
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


async def _read_again(session: AsyncSession) -> None:
    """Give objects the values of their rows, which the rollback made them forget."""
    for entity in list(session.identity_map.values()):
        if sa.inspect(entity).expired:
            await session.refresh(entity)
