"""The fields of a model by name: finding one, and saying which was meant when there is none."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import sqlalchemy.orm as sa_orm

from andamios.errors import ConfigurationError, UnknownFieldError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "column_keys",
    "element_of",
    "field",
    "key_attributes",
    "key_condition",
    "loaded_columns",
    "mapper_of",
    "relationship_of",
    "unknown",
]

# What a mapper is asked for with every call, and does not remember itself.
_keys: weakref.WeakKeyDictionary[type[Any], tuple[Any, ...]] = weakref.WeakKeyDictionary()
_names: weakref.WeakKeyDictionary[type[Any], tuple[str, ...]] = weakref.WeakKeyDictionary()
_columns: weakref.WeakKeyDictionary[type[Any], list[Any]] = weakref.WeakKeyDictionary()


def mapper_of(model: Any) -> sa_orm.Mapper[Any]:
    """
    Give the mapper of a mapped class.

    Raises:
        ConfigurationError: It is something else.
    """
    mapper = sa.inspect(model, raiseerr=False)
    if not isinstance(mapper, sa_orm.Mapper):
        name = model.__name__ if isinstance(model, type) else repr(model)
        raise ConfigurationError(
            f"{name} is no mapped class. Give a class with a table, such as a child of BaseModel."
        )
    return mapper


def field(model: type[Any], name: str) -> Any:
    """
    Give a model's attribute: a column, a relationship, or what else the model maps.

    Raises:
        UnknownFieldError: There is none of that name; the nearest one is suggested.
    """
    fields = mapper_of(model).all_orm_descriptors
    if name not in fields:
        raise unknown("field", name, fields.keys(), model)
    return getattr(model, name)


def relationship_of(attribute: Any) -> sa_orm.RelationshipProperty[Any] | None:
    """Give the relationship behind an attribute, or None for anything else."""
    try:
        found = getattr(attribute, "property", None)
    except NotImplementedError:  # a hybrid with a comparator of its own
        return None
    return found if isinstance(found, sa_orm.RelationshipProperty) else None


def element_of(item: Any) -> Any:
    """Give the SQL expression behind an attribute; an expression comes back as it is."""
    return item.__clause_element__() if hasattr(item, "__clause_element__") else item


def key_attributes(model: type[Any]) -> tuple[Any, ...]:
    """Give the attributes that are the primary key, in the order of the key."""
    found = _keys.get(model)
    if found is None:
        mapper = mapper_of(model)
        found = _keys[model] = tuple(
            mapper.get_property_by_column(column).class_attribute for column in mapper.primary_key
        )
    return found


def column_keys(model: type[Any]) -> tuple[str, ...]:
    """Give the names of the attributes that are columns; expressions, nobody can write to."""
    found = _names.get(model)
    if found is None:
        attributes = mapper_of(model).column_attrs
        found = _names[model] = tuple(
            item.key for item in attributes if isinstance(item.columns[0], sa.Column)
        )
    return found


def key_condition(model: type[Any], keys: Sequence[Sequence[Any]]) -> sa.ColumnElement[bool]:
    """
    Build the condition that finds rows by their keys.

    Args:
        model: The mapped class.
        keys: All parts of each key.
    """
    attributes = key_attributes(model)
    if len(attributes) == 1:
        single: sa.ColumnElement[bool] = attributes[0].in_([key[0] for key in keys])
        return single
    return sa.tuple_(*attributes).in_(keys)


def loaded_columns(model: type[Any]) -> list[Any]:
    """Give the columns that come with an object, which deferred ones do not."""
    found = _columns.get(model)
    if found is None:
        columns = mapper_of(model).column_attrs
        found = _columns[model] = [item.class_attribute for item in columns if not item.deferred]
    return found


def unknown(what: str, name: str, known: Iterable[str], model: type[Any]) -> UnknownFieldError:
    """Build the error for a name that a model does not have."""
    import difflib  # noqa: PLC0415  only errors need it

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    advice = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names)}."
    return UnknownFieldError(f"{model.__name__} has no {what} {name!r}. {advice}")
