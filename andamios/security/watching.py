"""Watching: what sessions write to some models is logged by itself, without values."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, inspect

from andamios.core.session import Session
from andamios.models.actor import current_actor
from andamios.models.base import SoftDeleteModel
from andamios.security.audit_tables import LOG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import ORMExecuteState

    from andamios.core.engine import AndamiosEngine

__all__ = ["Watch", "entry", "is_on"]


def entry(user_id: str | int | None, table: str, operation: str) -> dict[str, Any]:
    """Begin a row of the log."""
    now = dt.datetime.now(dt.UTC)
    user = None if user_id is None else str(user_id)
    return {
        "at": now,
        "user_id": user,
        "table_name": table,
        "operation": operation,
        "row_key": None,
        "details": None,
        "is_sealed": False,
    }


def is_on(session: Any, engine: AndamiosEngine) -> bool:
    """Whether a session of SQLAlchemy works on this engine's connections."""
    bind = session.bind
    return bind is not None and bind.engine.pool is engine.async_engine.sync_engine.pool


class Watch:
    """
    Listens to Andamios' sessions on one engine.

    Args:
        engine: Whose sessions to listen to.
    """

    def __init__(self, engine: AndamiosEngine) -> None:
        self._engine = engine
        self._models: tuple[type[Any], ...] = ()

    def add(self, *models: type[Any]) -> None:
        """Log writes to these models, and to their subclasses, from now on."""
        if not self._models and models:
            event.listen(Session, "after_flush", self._flushed)
            event.listen(Session, "do_orm_execute", self._executed)
        self._models = (*self._models, *models)

    def stop(self) -> None:
        """Listen no longer."""
        if self._models:
            event.remove(Session, "after_flush", self._flushed)
            event.remove(Session, "do_orm_execute", self._executed)
        self._models = ()

    def _flushed(self, session: Session, _context: Any) -> None:
        if is_on(session, self._engine) and (rows := list(self._rows(session))):
            session.connection().execute(LOG.insert(), rows)

    def _rows(self, session: Session) -> Iterator[dict[str, Any]]:
        changed = [entity for entity in session.dirty if session.is_modified(entity)]
        for word, entities in (
            ("create", session.new),
            ("update", changed),
            ("delete", session.deleted),
        ):
            for entity in entities:
                if isinstance(entity, self._models):
                    yield _row(entity, "delete" if _is_marked(entity) else word)

    def _executed(self, state: ORMExecuteState) -> None:
        words = {"create": state.is_insert, "update": state.is_update, "delete": state.is_delete}
        word = next((word for word, is_it in words.items() if is_it), None)
        mapper = state.bind_mapper
        if word is None or mapper is None or not issubclass(mapper.class_, self._models):
            return
        if is_on(state.session, self._engine):
            row = entry(current_actor(), str(mapper.local_table), f"{word} many")
            state.session.connection().execute(LOG.insert(), [row])


def _row(entity: object, word: str) -> dict[str, Any]:
    state: Any = inspect(entity)
    key = [str(part) for part in state.mapper.primary_key_from_instance(entity)]
    row = entry(current_actor(), str(state.mapper.local_table), word)
    return row | {"row_key": key[0] if len(key) == 1 else json.dumps(key)}


def _is_marked(entity: object) -> bool:
    """Whether this flush marks a softly deleted row."""
    if not isinstance(entity, SoftDeleteModel) or entity.deleted_at is None:
        return False
    return bool(inspect(entity).attrs.deleted_at.history.added)
