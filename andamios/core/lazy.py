"""
Refusing a lazy load before it starts.

Reading an attribute cannot wait for the database. SQLAlchemy finds out in the driver,
when a coroutine was made that nobody will await; a session of ours finds out before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.util.concurrency import in_greenlet

from andamios.errors import LazyLoadError

if TYPE_CHECKING:
    from sqlalchemy.orm import ORMExecuteState, Session

__all__ = ["refuse_lazy_loads"]


def refuse_lazy_loads(session_class: type[Session]) -> None:
    """Make lazy loads raise where nothing can wait, in these sessions."""
    event.listen(session_class, "do_orm_execute", _refuse)


def _refuse(state: ORMExecuteState) -> None:
    is_lazy = state.is_relationship_load or state.is_column_load
    # SQLAlchemy runs whatever may wait in a greenlet of its own.
    if is_lazy and not in_greenlet():
        raise LazyLoadError(*_attribute(state))


def _attribute(state: ORMExecuteState) -> tuple[str, str]:
    owner: Any = state.lazy_loaded_from
    path: Any = state.loader_strategy_path
    mapper = owner.mapper if owner is not None else state.bind_mapper
    keys = [item.key for item in path or () if hasattr(item, "key")]
    return mapper.class_.__name__ if mapper else "?", keys[0] if keys else "?"
