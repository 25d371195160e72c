"""
Objects of models as plain data, and back, without a database.

An object is stored as its loaded columns and its loaded relationships; whatever was not
loaded is not loaded afterwards either. It comes back as one that belongs to no session.
"""

from __future__ import annotations

import hashlib
import sys
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import sqlalchemy.orm as sa_orm
from sqlalchemy.orm.attributes import set_committed_value

from andamios.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.types import TypeEngine

__all__ = ["Parts", "fingerprint", "is_entity", "is_lone", "rebuilt", "taken_apart", "type_name"]

Parts = tuple[str, str, dict[str, Any], dict[str, Any]]
"""Name of the class, fingerprint of its columns, columns, relationships."""

_fingerprints: weakref.WeakKeyDictionary[sa_orm.Mapper[Any], str] = weakref.WeakKeyDictionary()
_type_names: weakref.WeakKeyDictionary[TypeEngine[Any], str] = weakref.WeakKeyDictionary()
_classes: weakref.WeakValueDictionary[str, type[Any]] = weakref.WeakValueDictionary()


def is_entity(value: object) -> bool:
    """Whether a value is an object of a mapped class."""
    return isinstance(sa.inspect(value, raiseerr=False), sa_orm.InstanceState)


def is_lone(entity: Any) -> bool:
    """Whether no relationship of an object is loaded."""
    state: Any = sa.inspect(entity)
    return not any(name in state.dict for name in state.mapper.relationships.keys())  # noqa: SIM118


def fingerprint(mapper: sa_orm.Mapper[Any]) -> str:
    """
    Sum up the columns of a model, so that what another version of it stored is not read.

    Args:
        mapper: The model's.
    """
    found = _fingerprints.get(mapper)
    if found is None:
        columns = [
            (attribute.key, *(f"{column}:{type_name(column.type)}" for column in attribute.columns))
            for attribute in mapper.column_attrs
        ]
        text = repr((sorted(columns), sorted(mapper.relationships.keys())))
        found = _fingerprints[mapper] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found


def type_name(kind: TypeEngine[Any]) -> str:
    """Name a type of SQLAlchemy with its arguments, the same in each process."""
    found = _type_names.get(kind)
    if found is None:
        owner = type(kind)
        found = _type_names[kind] = f"{owner.__module__}.{owner.__qualname__}:{kind!r}"
    return found


def taken_apart(entity: Any) -> Parts:
    """
    Give what is loaded of an object.

    Raises:
        CacheError: The object has no row.
    """
    state: Any = sa.inspect(entity)
    mapper = state.mapper
    if not state.has_identity:
        raise CacheError(
            f"This {type(entity).__name__} has no row yet; only stored objects can be cached."
        )
    loaded = state.dict
    columns = {name: loaded[name] for name in mapper.column_attrs.keys() if name in loaded}  # noqa: SIM118
    relationships = {
        name: _members(loaded[name])
        for name in mapper.relationships.keys()  # noqa: SIM118  no dict
        if name in loaded
    }
    return _name(mapper.class_), fingerprint(mapper), columns, relationships


def rebuilt(parts: list[Parts], decode: Callable[[Any, list[Any]], Any]) -> list[Any]:
    """
    Build objects again.

    Args:
        parts: Of each object.
        decode: Gives the value for a stored one; called with the objects too.

    Raises:
        LookupError: A class is not there, or has other columns now.
    """
    mappers = [_mapper(name, known) for name, known, _columns, _others in parts]
    entities = [mapper.class_manager.new_instance() for mapper in mappers]
    for entity, (_name, _known, columns, relationships) in zip(entities, parts, strict=True):
        for key, value in {**columns, **relationships}.items():
            set_committed_value(entity, key, decode(value, entities))
    for entity in entities:
        sa_orm.make_transient_to_detached(entity)
    return entities


def _members(value: Any) -> Any:
    if value is None or is_entity(value):
        return value
    return list(value.values() if isinstance(value, Mapping) else value)


def _name(model: type[Any]) -> str:
    name = f"{model.__module__}:{model.__qualname__}"
    _classes[name] = model
    return name


def _mapper(name: str, known: str) -> sa_orm.Mapper[Any]:
    model = _classes.get(name) or _imported(name)
    mapper = sa.inspect(model, raiseerr=False)
    if not isinstance(mapper, sa_orm.Mapper) or fingerprint(mapper) != known:
        raise LookupError(name)
    return mapper


def _imported(name: str) -> Any:
    """Look among what is imported; a stored name must not make anything run."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found
