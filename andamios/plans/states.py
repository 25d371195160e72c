"""
The state of a loaded object, made when somebody first asks for it.

SQLAlchemy gives each object a state: its key, its session, what was changed. Making one takes
longer than filling the object, and most objects that are read on their own are looked at and
dropped. So theirs is made late: reading attributes needs none, and whatever else is done with an
object asks for it first. Then the object is what it would have been from the beginning, a
detached one with its key.

An object without a state is told from one that was never loaded by its columns, all of which are
there. A copy of it, or one that was pickled, has all of them too, and so is another object of the
same row.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from andamios.models.base import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STATE", "has_late_state", "names_of", "state_maker"]

STATE = "_sa_instance_state"
"""Where SQLAlchemy keeps the state of an object."""

_names: weakref.WeakKeyDictionary[type[Any], tuple[frozenset[str], tuple[str, ...]]] = (
    weakref.WeakKeyDictionary()
)


def state_maker(mapper: Any) -> Callable[[object], Any]:
    """Give what makes the states of objects that were loaded and belong to no session."""
    manager, identity, keys = mapper.class_manager, mapper.base_mapper.class_, names_of(mapper)[1]
    construct = manager._state_constructor  # noqa: SLF001

    def make(entity: object) -> Any:
        values = entity.__dict__
        state = values[STATE] = construct(entity, manager)
        state.key = (identity, tuple([values[key] for key in keys]), None)
        return state

    return make


def has_late_state(model: type[Any]) -> bool:
    """Whether objects of a model may be without a state."""
    return issubclass(model, BaseModel)


class LateState:
    """Found by whoever asks an object for a state that it does not have yet."""

    def __get__(self, entity: object | None, model: type[Any]) -> Any:
        """
        Make the state of a loaded object.

        Raises:
            AttributeError: It was not loaded.
        """
        values = getattr(entity, "__dict__", None)
        if values:
            mapper = inspect(model, raiseerr=False)
            if mapper is not None and values.keys() >= names_of(mapper)[0]:
                return state_maker(mapper)(entity)
        raise AttributeError(STATE)


def names_of(mapper: Any) -> tuple[frozenset[str], tuple[str, ...]]:
    """Give the names of the attributes that are columns, and of those that are the key."""
    found = _names.get(mapper.class_)
    if found is None:
        columns = frozenset(attribute.key for attribute in mapper.column_attrs)
        keys = tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)
        found = _names[mapper.class_] = (columns, keys)
    return found


setattr(BaseModel, STATE, LateState())
