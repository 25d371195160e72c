"""
Which objects the short way can make: those that SQLAlchemy makes of their columns alone.

What happens besides when SQLAlchemy loads an object (other classes, deferred columns, composites,
events, relationships that are always loaded) is left to it.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.core.session import Session
from andamios.models import mixins, recording, soft_delete
from andamios.models.fields import rules_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

    from sqlalchemy.orm import Mapper

__all__ = [
    "construct_obstacle",
    "listeners_obstacle",
    "load_obstacle",
    "session_obstacle",
    "set_obstacle",
    "write_obstacle",
]

OURS: tuple[ModuleType, ...] = (mixins, recording, soft_delete)
"""Who listens to sessions from here; imported before anybody is counted."""

READ_EVENTS = ("do_orm_execute", "loaded_as_persistent", "persistent_to_detached", "after_begin")

WRITE_EVENTS = (
    *("before_flush", "after_flush", "after_flush_postexec", "before_attach", "after_attach"),
    *("before_commit", "after_commit", "transient_to_pending"),
    *("pending_to_persistent", "persistent_to_deleted", "deleted_to_detached"),
)

_heard = Session().dispatch
"""The events of any session, in which listeners to all sessions show."""

_ours = {name: len(getattr(_heard, name)) for name in (*READ_EVENTS, *WRITE_EVENTS)}

_our_readers = tuple(_ours[name] for name in READ_EVENTS)

LOADED_LATER = {"select", "raise", "raise_on_sql", "dynamic", "write_only"}
"""How a relationship can be mapped so that loading its object does nothing for it."""

_known: weakref.WeakKeyDictionary[type[Any], tuple[Mapper[Any], int, str | None]] = (
    weakref.WeakKeyDictionary()
)

_known_writes: weakref.WeakKeyDictionary[Mapper[Any], tuple[int, str | None]] = (
    weakref.WeakKeyDictionary()
)


def load_obstacle(model: type[Any]) -> str | None:
    """Say why SQLAlchemy has to load objects of a model, or None if it need not."""
    known = _known.get(model)
    if known is None or known[1] != len(known[0].attrs):  # another model added a backref
        mapper: Mapper[Any] = sa.inspect(model)
        known = _known[model] = mapper, len(mapper.attrs), next(_obstacles(mapper), None)
    dispatch: Any = known[0].class_manager.dispatch
    if known[2] is None and (dispatch.load or dispatch.refresh):
        return f"somebody listens to loads of {model.__name__}"
    return known[2]


def write_obstacle(mapper: Mapper[Any]) -> str | None:
    """Say why SQLAlchemy has to write objects of a mapper, or None if it need not."""
    known = _known_writes.get(mapper)
    if known is None or known[0] != len(mapper.attrs):  # an attribute was added to the class
        known = _known_writes[mapper] = len(mapper.attrs), next(_write_obstacles(mapper), None)
    if known[1] is not None:
        return known[1]
    dispatch: Any = mapper.dispatch
    if (
        dispatch.before_insert
        or dispatch.after_insert
        or dispatch.before_update
        or dispatch.after_update
        or dispatch.before_delete
        or dispatch.after_delete
    ):
        return f"somebody listens to writes of {mapper.class_.__name__}"
    return session_obstacle(writes=True)


def _write_obstacles(mapper: Mapper[Any]) -> Iterator[str]:
    name = mapper.class_.__name__
    yield from _obstacles_of_class(mapper)
    if hasattr(mapper.class_, "__dataclass_fields__"):
        yield f"{name} is a dataclass"
    if any(
        getattr(attribute.columns[0], "table", None) is not mapper.local_table
        for attribute in mapper.column_attrs
    ):
        yield f"{name} has expressions, which the database computes"
    for column in {*mapper.local_table.c} - {*mapper.columns}:
        if column.default is not None or column.onupdate is not None:
            yield f"{name} does not map {column.name}, which has a default"


def construct_obstacle(mapper: Mapper[Any]) -> str | None:
    """Say why objects have to be made by calling their class, or None if they need not."""
    model, manager = mapper.class_, mapper.class_manager
    is_plain = manager.original_init is mapper.registry.constructor
    if not is_plain or len(manager.dispatch.init) > 1:  # one is the mapper's own
        return f"{model.__name__} has a constructor of its own"
    return set_obstacle(mapper, [item.key for item in mapper.column_attrs])


def set_obstacle(mapper: Mapper[Any], fields: Iterable[str]) -> str | None:
    """Say why fields have to be set one by one, or None if nobody but a rule listens to it."""
    for field in fields:
        item = mapper.column_attrs[field]
        if len(item.class_attribute.dispatch.set) != (field in rules_of(mapper.class_)):
            return f"somebody listens to what {item} is set to"
    return None


def session_obstacle(*, writes: bool) -> str | None:
    """Say who listens to all sessions and has to see everything, or None if nobody does."""
    return _obstacle_of(_heard, writes=writes)


def listeners_obstacle(session: Session, *, writes: bool) -> str | None:
    """Say who listens to a session and has to see everything, or None if nobody does."""
    return _obstacle_of(session.dispatch, writes=writes)


def _obstacle_of(dispatch: Any, *, writes: bool) -> str | None:
    if not writes and _our_readers == (
        len(dispatch.do_orm_execute),
        len(dispatch.loaded_as_persistent),
        len(dispatch.persistent_to_detached),
        len(dispatch.after_begin),
    ):
        return None  # nearly always
    for name in (*WRITE_EVENTS, "after_begin") if writes else READ_EVENTS:
        if len(getattr(dispatch, name)) != _ours[name]:
            return f"somebody listens to {name} of sessions"
    return None


def _obstacles_of_class(mapper: Mapper[Any]) -> Iterator[str]:
    name = mapper.class_.__name__
    if mapper.polymorphic_on is not None or mapper.inherits is not None:
        yield f"{name} is part of an inheritance"
    if len(mapper.tables) != 1:
        yield f"{name} lies in several tables"
    if mapper.composites:
        yield f"{name} has composites"


def _obstacles(mapper: Mapper[Any]) -> Iterator[str]:
    name = mapper.class_.__name__
    yield from _obstacles_of_class(mapper)
    for attribute in mapper.column_attrs:
        if attribute.deferred:
            yield f"{name}.{attribute.key} is deferred"
        if len(attribute.columns) != 1:
            yield f"{name}.{attribute.key} is several columns"
    for relationship in mapper.relationships:
        if relationship.lazy not in LOADED_LATER:
            yield f"{name}.{relationship.key} is always loaded"
