"""
History: a second table that holds every state in which a model's rows were.

``__history__ = True`` beside :class:`AuditMixin` makes the table ``<table>_history``, with the
columns of the model and some of its own, all beginning with ``history_``. Rows of it are
never changed by later writes. What one row went through is in the order of ``history_id``,
which holds under concurrency, since a writer takes the number while it has the row locked.

``history_at`` is the client's clock at the first change of the transaction, the same for all
of its changes, so that no reading of a moment sees half of a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from sqlalchemy import Column, Index, String, Table, event, inspect

from andamios.core.creation import COMPANIONS
from andamios.core.session import Session
from andamios.errors import ConfigurationError, QueryError
from andamios.models.base import BaseModel
from andamios.models.mixins import AuditMixin
from andamios.models.tables import BINARY_TEXT
from andamios.models.types import BIG_INTEGER, UTCDateTime

if TYPE_CHECKING:
    from sqlalchemy.orm import InstanceState, Mapper
    from sqlalchemy.orm import Session as SqlAlchemySession

__all__ = ["history_table", "mark_past", "refuse_past"]

SUFFIX = "_history"
LONGEST_NAME = 63
"""Letters that PostgreSQL takes; MySQL takes 64."""

_histories: WeakSet[Table] = WeakSet()
_past: WeakSet[InstanceState[Any]] = WeakSet()


def history_table(mapper: Mapper[Any]) -> Table | None:
    """Give the table with the history of a mapper's rows, or None."""
    table = mapper.local_table
    if not _histories or not isinstance(table, Table):
        return None
    found = table.metadata.tables.get(f"{table.key}{SUFFIX}")
    return found if found is not None and found in _histories else None


def mark_past(entity: object) -> None:
    """Mark an object as one that was, so that no session takes it."""
    _past.add(inspect(entity, raiseerr=True))


def refuse_past(entity: object) -> None:
    """
    Refuse to store an object that :func:`mark_past` marked.

    Raises:
        QueryError: It is one.
    """
    if _past and inspect(entity, raiseerr=True) in _past:
        raise QueryError(
            f"This {type(entity).__name__} shows what was, and is not for storing. revert() writes "
            "old values as a new change."
        )


@event.listens_for(Session, "before_attach")
def _refuse_past(_session: SqlAlchemySession, entity: object) -> None:
    refuse_past(entity)


@event.listens_for(AuditMixin, "after_mapper_constructed", propagate=True)
def _make_history(mapper: Mapper[Any], model: type[Any]) -> None:
    if not getattr(model, "__history__", False):
        return
    table = mapper.local_table
    if len(mapper.tables) > 1 or not isinstance(table, Table):
        raise ConfigurationError(
            f"{model.__name__} lies in several tables, whose changes one history cannot tell. "
            "Leave out __history__, or map it to one table."
        )
    if len(table.name) + len(SUFFIX) > LONGEST_NAME:
        raise ConfigurationError(
            f"{model.__name__}: the table of its history would be called {table.name}{SUFFIX}, and "
            f"PostgreSQL takes {LONGEST_NAME} letters. Give it a shorter __tablename__."
        )
    history = history_table(mapper)
    if history is None:
        history = _new_table(table)
        _histories.add(history)
        table.info.setdefault(COMPANIONS, []).append(history)
        # SQLite would give the key of the last row, once that is gone, to the next one, and
        # with it the history.
        table.dialect_kwargs["sqlite_autoincrement"] = True
    # A class that shares its parent's table brings columns along.
    mapped = set(mapper.columns)
    for column in table.c:
        if column in mapped and column.key not in history.c:
            history.append_column(_copied(column))


@event.listens_for(AuditMixin, "mapper_configured", propagate=True)
def _settle_types(mapper: Mapper[Any], _model: type[Any]) -> None:
    history = history_table(mapper)
    if history is not None:
        _take_types(history, mapper.local_table)


def _take_types(history: Table, table: Any) -> None:
    """Give columns their types that have them from a foreign key, known only later."""
    for column in history.c:
        if column.key in table.c:
            column.type = table.c[column.key].type


def _new_table(table: Table) -> Table:
    keys = [_copied(column) for column in table.primary_key]
    options = {name: table.dialect_kwargs[name] for name in BINARY_TEXT if _has(table, name)}
    history = Table(
        f"{table.name}{SUFFIX}",
        table.metadata,
        Column("history_id", BIG_INTEGER, primary_key=True),
        Column("history_operation", String(10), nullable=False),
        Column("history_at", UTCDateTime(), nullable=False),
        Column("history_by", String(255)),
        Column("history_batch", BIG_INTEGER, index=True),
        *keys,
        schema=table.schema,
        **options,
    )
    Index(None, *keys, history.c.history_id)

    @event.listens_for(history, "before_create")
    def take_types(*_: Any, **__: Any) -> None:
        _take_types(history, table)

    return history


def _has(table: Table, option: str) -> bool:
    return option in table.dialect_kwargs


def _copied(column: Column[Any]) -> Column[Any]:
    name, key = column.name, column.key
    return Column(name, column.type, key=key, nullable=not column.primary_key, info=column.info)


@event.listens_for(BaseModel, "after_mapper_constructed", propagate=True)
def _require_audit(_mapper: Mapper[Any], model: type[Any]) -> None:
    if getattr(model, "__history__", False) and not issubclass(model, AuditMixin):
        raise ConfigurationError(
            f"{model.__name__} asks for a history, which tells who did it: give it AuditMixin too."
        )
