"""
Recording history: what each write of a session leaves in the history table.

A flush is recorded behind its SQL, by one INSERT … SELECT for the rows of a table, so that
what the database filled in is right. A statement on a set of rows is recorded in three steps:
the rows that fit are locked and noted, the statement works on those alone, and then their new
values are filled in. No row comes to the client, and a row that begins to fit in between is
neither written nor recorded.

Recorded is what goes through a session of ours, in the same transaction. Core statements on
tables, ``text()``, sessions of SQLAlchemy's own, and what the database does by itself (ON
DELETE CASCADE, triggers) are not seen. A key does not change. INSERT … SELECT and the INSERT of
a dialect (ON CONFLICT) are refused, since not every backend says which rows they wrote.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import object_session

from andamios.core.session import Session
from andamios.errors import QueryError
from andamios.models.history import history_table
from andamios.models.hooks import change_of
from andamios.models.imported import imported
from andamios.models.mixins import AuditMixin
from andamios.models.noting import Change, Notes, insert_each, insert_returning
from andamios.models.soft_delete import is_soft_delete

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper, ORMExecuteState, SessionTransaction

__all__ = ["keeps_history"]

DIALECTS = ("mysql", "postgresql", "sqlite")

FLUSHED = "andamios_changes"
MOMENT = "andamios_moment"
NOTED = "andamios_noted"
"""The execution option of an INSERT that somebody else records."""


def keeps_history(model: type[Any]) -> bool:
    """Whether each change of this model's rows is kept; any class may be asked."""
    mapper = sa.inspect(model, raiseerr=False)
    return getattr(mapper, "is_mapper", False) and history_table(mapper) is not None


def _moment(session: Any) -> dt.datetime:
    return session.info.setdefault(MOMENT, dt.datetime.now(dt.UTC))  # type: ignore[no-any-return]


@event.listens_for(Session, "after_transaction_end")
def _forget_moment(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(MOMENT, None)


@event.listens_for(AuditMixin, "after_mapper_constructed", propagate=True)
def _listen_to_flushes(mapper: Mapper[Any], model: type[Any]) -> None:
    if history_table(mapper) is None:
        return
    for operation in ("insert", "update", "delete"):
        event.listen(model, f"after_{operation}", globals()[f"_after_{operation}"])
    event.listen(model, "before_delete", _before_delete)


def _after_insert(_mapper: Mapper[Any], _connection: Any, entity: object) -> None:
    _collect(entity, "create")


def _after_update(_mapper: Mapper[Any], _connection: Any, entity: object) -> None:
    operation = change_of(entity)
    if operation is not None:
        _collect(entity, operation)


def _before_delete(mapper: Mapper[Any], _connection: Any, entity: object) -> None:
    session = object_session(entity)
    if isinstance(session, Session) and not _is_known(entity):
        key = tuple(mapper.primary_key_from_instance(entity))
        _notes(session, mapper, {"mapper": mapper}).copy([key], "delete")


def _after_delete(_mapper: Mapper[Any], _connection: Any, entity: object) -> None:
    if _is_known(entity):
        _collect(entity, "delete", is_gone=True)


def _is_known(entity: object) -> bool:
    """Whether all columns are loaded, so that nobody has to ask before the row is gone."""
    state = sa.inspect(entity, raiseerr=True)
    return not state.unloaded & set(state.mapper.column_attrs.keys())


def _collect(entity: object, operation: str, *, is_gone: bool = False) -> None:
    session = object_session(entity)
    if isinstance(session, Session):
        change = Change(entity, operation, is_gone=is_gone)
        session.info.setdefault(FLUSHED, []).append(change)


@event.listens_for(Session, "before_flush")
def _forget_changes(session: Session, _context: Any, _instances: Any) -> None:
    session.info.pop(FLUSHED, None)  # of a flush that failed


@event.listens_for(Session, "after_flush")
def _record_flush(session: Session, _context: Any) -> None:
    changes: list[Change] = session.info.pop(FLUSHED, [])
    groups: dict[tuple[Mapper[Any], str, bool], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.mapper, change.operation, change.is_gone), []).append(change)
    for (mapper, operation, is_gone), found in groups.items():
        notes = _notes(session, mapper, {"mapper": mapper})
        if is_gone:
            notes.write([change.entity for change in found])
        else:
            notes.copy([change.key for change in found], operation)


@event.listens_for(Session, "do_orm_execute")
def _record_statement(state: ORMExecuteState) -> Any:
    mapper = state.bind_mapper
    if state.is_select or mapper is None or history_table(mapper) is None:
        return None
    if state.is_insert and NOTED not in state.execution_options:
        return _record_insert(state, mapper)
    if state.is_update or (state.is_delete and not is_soft_delete(mapper.class_)):
        return _record_change(state, mapper)
    return None


def _notes(session: Any, mapper: Mapper[Any], bind: Any) -> Notes:
    return Notes(session.connection(bind_arguments=dict(bind)), mapper, _moment(session))


def _record_change(state: ORMExecuteState, mapper: Mapper[Any]) -> Any:
    statement: Any = state.statement
    notes = _notes(state.session, mapper, state.bind_arguments)
    if isinstance(state.parameters, list):
        # By primary key: each row of parameters names one.
        names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        rows: list[Any] = state.parameters
        if not all(row.keys() >= set(names) for row in rows):
            raise QueryError(
                f"{mapper.class_.__name__} keeps its history, and rows of parameters without the "
                "key do not say which rows they write. Give the key, or run a statement for each."
            )
        count = notes.mark_keys([tuple(row[name] for name in names) for row in rows])
        result = state.invoke_statement()
    else:
        shows_all = state.execution_options.get("include_deleted")
        hides = is_soft_delete(mapper.class_) and not shows_all
        operation = "update" if state.is_update else "delete"
        count = notes.mark(statement.whereclause, operation, hides_deleted=hides)
        result = state.invoke_statement(
            statement=statement.where(notes.marked()), execution_options=_synchronized(state)
        )
    if count:
        notes.fill() if state.is_update else notes.drop_kept()
    return result


def _is_of_dialect(statement: Any) -> bool:
    kinds = (imported(f"sqlalchemy.dialects.{name}", "Insert") for name in DIALECTS)
    return any(isinstance(statement, kind) for kind in kinds)


def _synchronized(state: ORMExecuteState) -> dict[str, Any]:
    # Python cannot look into the list of noted rows.
    is_evaluated = state.execution_options.get("synchronize_session") == "evaluate"
    return {"synchronize_session": "fetch"} if is_evaluated else {}


def _record_insert(state: ORMExecuteState, mapper: Mapper[Any]) -> Any:
    statement: Any = state.statement
    if _is_of_dialect(statement) or statement.select is not None:
        raise QueryError(
            f"{mapper.class_.__name__} keeps its history, and not every backend says which rows an "
            "INSERT from a SELECT or with ON CONFLICT wrote. Use upsert(), upsert_many() or "
            "create_many()."
        )
    notes = _notes(state.session, mapper, state.bind_arguments)
    if notes.connection.dialect.insert_returning:
        result, keys = insert_returning(state, mapper)
    elif state.parameters:
        result, keys = insert_each(state, mapper, NOTED)
    else:
        result = cast("Any", state.invoke_statement())
        if result.rowcount != 1:
            raise QueryError(
                f"{mapper.class_.__name__} keeps its history, and this backend does not say which "
                "rows one INSERT of several wrote. Give them as a list: session.execute("
                "insert(model), rows)."
            )
        keys = [tuple(result.inserted_primary_key)]
    notes.copy(keys, "create")
    return result
