"""An object as a schema sees it: what is loaded, and an error that says what is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
import sqlalchemy.orm as sa_orm

from andamios.errors import LazyLoadError

__all__ = ["Loaded"]


class Loaded:
    """
    Stands for a mapped object while pydantic reads it.

    Pydantic turns what an attribute raises into a text, so that the error is kept here.

    Args:
        entity: The object.
        missing: Takes the errors for attributes that are not loaded.
    """

    __slots__ = ("_entity", "_missing")

    def __init__(self, entity: object, missing: list[LazyLoadError]) -> None:
        self._entity = entity
        self._missing = missing

    def __getattr__(self, name: str) -> Any:
        """Read an attribute without ever loading it."""
        state: sa_orm.InstanceState[Any] = sa.inspect(self._entity, raiseerr=True)
        try:
            _require_loaded(state, name)
            value = getattr(self._entity, name)
        except LazyLoadError as error:
            self._missing.append(error)
            raise
        return self._wrapped(value) if name in state.mapper.relationships else value

    def _wrapped(self, value: Any) -> Any:
        if value is None:
            return None
        if sa.inspect(value, raiseerr=False) is not None:
            return Loaded(value, self._missing)
        items = value.values() if isinstance(value, Mapping) else value
        return [Loaded(item, self._missing) for item in items]


def _require_loaded(state: sa_orm.InstanceState[Any], name: str) -> None:
    """Refuse what has a value in the database that is not here; a new object has none."""
    if state.key is None or name in state.dict:
        return
    column = state.mapper.column_attrs.get(name)
    # A column that was never set was stored as NULL, which reading it gives without a load.
    waits = name in state.expired_attributes or name in state.callables
    is_deferred = column is not None and column.deferred
    if waits or is_deferred or name in state.mapper.relationships:
        raise LazyLoadError(state.class_.__name__, name)
