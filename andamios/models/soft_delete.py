"""
Soft deletion: what happens in a session when a marked model is deleted or read.

Listens to Andamios' sessions only. Deleting through the unit of work or through a
set-based DELETE marks rows; SELECT, UPDATE and DELETE do not see marked ones, in joins
and relationship loads either.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, inspect, update
from sqlalchemy.orm import with_loader_criteria

from andamios.core.session import Session
from andamios.models.base import SoftDeleteModel
from andamios.models.mixins import count_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Mapper, ORMExecuteState

__all__ = ["hard_delete", "is_soft_delete"]

HARD = "andamios_hard_delete"


def is_soft_delete(model: type[Any]) -> bool:
    """Whether rows of this model are marked instead of removed."""
    return issubclass(model, SoftDeleteModel)


async def hard_delete(session: AsyncSession, entity: object) -> None:
    """Remove a row for good at the next flush, whatever its model."""
    session.info.setdefault(HARD, set()).add(inspect(entity))
    await session.delete(entity)


@event.listens_for(Session, "before_flush")
def _mark_instead(session: Session, _context: Any, _instances: Any) -> None:
    hard = session.info.pop(HARD, set())
    now = dt.datetime.now(dt.UTC)
    for entity in list(session.deleted):
        if isinstance(entity, SoftDeleteModel) and inspect(entity) not in hard:
            for kept in _cascaded(session, entity, hard):
                session.add(kept)
            session.add(entity)
            entity.deleted_at = now


@event.listens_for(Session, "after_soft_rollback")
def _forget_hard(session: Session, _transaction: Any) -> None:
    session.info.pop(HARD, None)


def _cascaded(session: Session, entity: object, hard: set[Any]) -> Iterator[object]:
    """Find what a cascade took along, and what must stay as long as its parent's row does."""
    state = inspect(entity)
    for child, _mapper, child_state, _dict in state.mapper.cascade_iterator("delete", state):
        if (
            child in session.deleted
            and child_state not in hard
            and not isinstance(child, SoftDeleteModel)
        ):
            yield child


@event.listens_for(Session, "do_orm_execute")
def _hide_marked(state: ORMExecuteState) -> Any:
    if state.is_delete and state.bind_mapper and is_soft_delete(state.bind_mapper.class_):
        return state.invoke_statement(statement=_marking(state, state.bind_mapper))
    is_read_or_write = state.is_select or state.is_update or state.is_delete
    if is_read_or_write and not state.is_column_load and not _includes_deleted(state):
        state.statement = state.statement.options(_only_unmarked)
    return None


_only_unmarked = with_loader_criteria(
    SoftDeleteModel, lambda model: model.deleted_at.is_(None), include_aliases=True
)


def _includes_deleted(state: ORMExecuteState) -> bool:
    return bool(state.execution_options.get("include_deleted"))


def _marking(state: ORMExecuteState, mapper: Mapper[Any]) -> Any:
    deletion: Any = state.statement
    statement = update(mapper.class_).values(deleted_at=dt.datetime.now(dt.UTC))
    if deletion.whereclause is not None:
        statement = statement.where(deletion.whereclause)
    returned = [column["expr"] for column in deletion.returning_column_descriptions]
    if returned:
        statement = statement.returning(*returned)
    if not _includes_deleted(state):
        statement = statement.options(_only_unmarked)
    return count_version(statement, mapper).execution_options(
        synchronize_session=state.execution_options.get("synchronize_session", "auto")
    )
