"""
Soft deletion: what happens in a session when a marked model is deleted or read.

Listens to Andamios' sessions only. Deleting through the unit of work or through a
set-based DELETE marks rows; SELECT, UPDATE and DELETE do not see marked ones, in joins
and relationship loads either, nor does what the session remembers. Objects that have
loaded a relationship lose what is marked from it, in the session that marked it. Like
SQLAlchemy's own, a session that already holds an object learns from nobody that another one
deleted its row, until it reads it again.

Children go along (:mod:`andamios.models.cascading`), and unique values are free again
(:mod:`andamios.models.unique`). A foreign key is content as long as the row is there: a
parent may be deleted softly while children without a cascade refer to it, which then have
no parent to see.

Statements on a ``Table``, ``text()`` and whatever a connection executes are outside of all
this: they see and remove rows as they are. So is an association table between two models,
unless it is the table of a model itself; a relationship through that one says which rows it
shows.
"""

from __future__ import annotations

import datetime as dt
import operator
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, and_, event, func, inspect, or_, select, update
from sqlalchemy.orm import with_loader_criteria
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.sql import visitors

from andamios.core.session import Session
from andamios.core.visibility import INCLUDE_DELETED, hide, includes_deleted
from andamios.errors import ConfigurationError, NotFoundError
from andamios.models.base import BaseModel, SoftDeleteModel
from andamios.models.cascading import (
    FORGOTTEN,
    children_of,
    forget_hidden,
    held_by,
    mark_children,
    marked_model,
    orphans,
    pass_on,
    reaches_soft,
    remember,
)
from andamios.models.mixins import count_version
from andamios.models.unique import DELETED_AT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Mapper, ORMExecuteState

__all__ = ["hard_delete", "is_soft_delete", "only_unmarked"]

HARD = "andamios_hard_delete"
MARKED = "andamios_marked"

KEYS_AT_ONCE = 500
"""Keys in one statement, which may have several parts each."""


def is_soft_delete(model: type[Any]) -> bool:
    """Whether rows of this model are marked instead of removed."""
    return issubclass(model, SoftDeleteModel)


async def hard_delete(session: AsyncSession, entity: object) -> None:
    """
    Remove a row for good at the next flush, whatever its model, with what its cascade reaches.

    Children that are softly deleted already are removed too.
    """
    await session.run_sync(_remove, entity)


def _remove(session: Any, entity: object) -> None:
    if session.autoflush:
        session.flush()
    with session.no_autoflush:
        for each in _gathered(session, entity, set()):
            session.info.setdefault(HARD, set()).add(inspect(each))
            session.delete(each)


def _gathered(session: Any, entity: Any, seen: set[Any]) -> Iterator[Any]:
    """Load all that a cascade reaches, so that SQLAlchemy removes it in the right order."""
    seen.add(entity)
    yield entity
    for relationship in inspect(entity).mapper.relationships:
        if not relationship.cascade.delete or not reaches_soft(relationship.mapper):
            continue
        children = children_of(session, entity, relationship)
        if relationship.uselist and relationship.lazy not in {"dynamic", "write_only"}:
            set_committed_value(entity, relationship.key, children)
        for child in children:
            if child not in seen:
                yield from _gathered(session, child, seen)


def _is_marked(entity: SoftDeleteModel) -> bool:
    """Whether the row is marked, whatever is to become of it at the next flush."""
    state: Any = inspect(entity)
    known = state.committed_state if "deleted_at" in state.committed_state else state.dict
    return isinstance(known.get("deleted_at"), dt.datetime)


hide(SoftDeleteModel, _is_marked)


@event.listens_for(Session, "before_flush")
def _mark_instead(session: Session, _context: Any, _instances: Any) -> None:
    for orphan in list(orphans(session)):
        session.delete(orphan)
    hard = session.info.pop(HARD, set())
    now = dt.datetime.now(dt.UTC)
    for entity in list(session.deleted):
        if isinstance(entity, SoftDeleteModel) and inspect(entity) not in hard:
            for kept in _cascaded(session, entity, hard):
                session.add(kept)
            session.add(entity)
            if not _is_marked(entity):
                entity.deleted_at = now
                marked = session.info.setdefault(MARKED, {}).setdefault(now, set())
                marked.add(inspect(entity).mapper)


@event.listens_for(Session, "after_flush_postexec")
def _mark_along(session: Session, _context: Any) -> None:
    marked = session.info.pop(MARKED, {})
    for when, mappers in marked.items():
        for mapper in mappers:
            # What is not loaded for a deletion is reached by a statement.
            mark_children(session, mapper, when, only_passive=True)
    if marked:
        forget_hidden(session)


@event.listens_for(Session, "after_soft_rollback")
def _forget_hard(session: Session, _transaction: Any) -> None:
    session.info.pop(HARD, None)
    session.info.pop(MARKED, None)


@event.listens_for(Session, "after_rollback")
def _show_again(session: Session) -> None:
    if session.info.get(FORGOTTEN):
        remember(session)


@event.listens_for(Session, "after_transaction_end")
def _end(session: Session, transaction: Any) -> None:
    if session.info.get(FORGOTTEN):
        pass_on(session, transaction)


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
        return _mark_rows(state, state.bind_mapper)
    if state.is_update and isinstance(state.parameters, list):
        _require_live(state)
    is_read_or_write = state.is_select or state.is_update or state.is_delete
    is_shown = includes_deleted(state.execution_options)
    if is_read_or_write and not state.is_column_load and not is_shown:
        state.statement = state.statement.options(only_unmarked)
    return None


def _is_unmarked(model: type[SoftDeleteModel]) -> Any:
    # With a name, by which it is pickled along with the objects that were read by it.
    return model.deleted_at.is_(None)


only_unmarked = with_loader_criteria(SoftDeleteModel, _is_unmarked, include_aliases=True)
"""The option with which a statement sees no marked rows."""


def _mark_rows(state: ORMExecuteState, mapper: Mapper[Any]) -> Any:
    if marked_model(mapper) is not mapper.class_ and len(mapper.tables) > 1:
        name = mapper.class_.__name__
        raise ConfigurationError(
            f"{name} lies in several tables, and one statement cannot delete them. Load the "
            "objects and delete each of them instead."
        )
    now = dt.datetime.now(dt.UTC)
    held_by(state.session, mapper.class_)
    result = state.invoke_statement(statement=_marking(state, mapper, now))
    mark_children(state.session, mapper, now)
    forget_hidden(state.session)
    return result


def _marking(state: ORMExecuteState, mapper: Mapper[Any], now: dt.datetime) -> Any:
    deletion: Any = state.statement
    model: Any = mapper.class_
    # What is deleted keeps the time of its deletion, by which its children are known.
    statement = update(model).values(deleted_at=now).where(model.deleted_at.is_(None))
    if deletion.whereclause is not None:
        statement = statement.where(deletion.whereclause)
    statement = statement.returning(*_returned(deletion, mapper))
    if not includes_deleted(state.execution_options):
        statement = statement.options(only_unmarked)
    return count_version(statement, mapper).execution_options(
        synchronize_session=state.execution_options.get("synchronize_session", "auto")
    )


def _returned(deletion: Any, mapper: Mapper[Any]) -> Iterator[Any]:
    """Give what a DELETE returns; of a whole entity it names the columns of its table."""
    columns = list(deletion.exported_columns)
    whole = list(mapper.local_table.c)
    while columns:
        head = columns[: len(whole)]
        if len(head) == len(whole) and all(map(operator.is_, head, whole)):
            yield mapper.class_
            del columns[: len(whole)]
        else:
            yield columns.pop(0)


def _require_live(state: ORMExecuteState) -> None:
    """Refuse an update by keys of rows that are marked, to which no condition can be added."""
    mapper, rows = state.bind_mapper, state.parameters
    if mapper is None or not is_soft_delete(mapper.class_):
        return
    if includes_deleted(state.execution_options) or not isinstance(rows, list):
        return
    model: Any = mapper.class_
    names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    keys = [[row[name] for name in names] for row in rows if row.keys() >= set(names)]
    for start in range(0, len(keys), KEYS_AT_ONCE):
        part = keys[start : start + KEYS_AT_ONCE]
        same = [
            and_(*(getattr(model, name) == value for name, value in zip(names, key, strict=True)))
            for key in part
        ]
        if len(names) == 1:
            same = [getattr(model, names[0]).in_([key[0] for key in part])]
        marked = select(func.count()).select_from(model).where(or_(*same))
        marked = marked.where(model.deleted_at.is_not(None))
        count = state.session.scalar(marked, execution_options={INCLUDE_DELETED: True})
        if count:
            raise NotFoundError(f"{count} rows of {model.__name__} are missing: they were deleted.")


@event.listens_for(BaseModel, "mapper_configured", propagate=True)
def _refuse_marked_links(mapper: Mapper[Any], model: type[Any]) -> None:
    """A relationship through the table of a model would neither see nor set its marks."""
    for item in mapper.relationships:
        table = item.secondary
        if not isinstance(table, Table) or DELETED_AT not in table.info:
            continue
        joins = [join for join in (item.primaryjoin, item.secondaryjoin) if join is not None]
        used = [part for join in joins for part in visitors.iterate(join)]
        marks = table.c[table.info[DELETED_AT]]
        if not item.viewonly or not any(marks.compare(part) for part in used):
            raise ConfigurationError(
                f"{model.__name__}.{item.key} goes through {table.name}, whose rows are softly "
                "deleted, and would show and remove them all. Go through its model, or write a "
                "relationship with viewonly=True and a secondaryjoin that says "
                f"{table.name}.{marks.name} IS NULL."
            )
