"""Objects from schemas: new ones, and changes of those that are there."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import pydantic
import sqlalchemy as sa

from andamios.errors import ConfigurationError, FieldValidationError, LazyLoadError
from andamios.integrations.schemas import (
    foreign_key,
    implied,
    is_left_out,
    kept_names,
    key_names,
    required_names,
)
from andamios.models.fields import checked_values
from andamios.queries.fields import mapper_of, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    import sqlalchemy.orm as sa_orm

    Relationship = sa_orm.RelationshipProperty[Any]

__all__ = ["apply", "build"]

T = TypeVar("T")

JSON = pydantic.TypeAdapter[Any](Any)


def build(model: type[T], data: pydantic.BaseModel, exclude: frozenset[str] = frozenset()) -> T:
    """
    Make a new object, with new objects for what is nested.

    Args:
        model: The mapped class.
        data: What was sent; what was not has the default of the schema, if there is one.
        exclude: Fields that are not for the object.
    """
    names = [name for name in type(data).model_fields if not is_left_out(data, name)]
    values, related = _split(model, data, [name for name in names if name not in exclude])
    for name, (relationship, sent) in related.items():
        target = relationship.mapper.class_
        if relationship.uselist:
            values[name] = _collection(relationship, [build(target, item) for item in sent or ()])
        elif sent is not None:
            values[name] = build(target, sent)
    return _construct(model, values)


def apply(entity: Any, data: pydantic.BaseModel, exclude: frozenset[str] = frozenset()) -> None:
    """
    Set on an object what was sent.

    Args:
        entity: A mapped object.
        data: What was sent.
        exclude: Fields that are not for the object.
    """
    names = [name for name in type(data).model_fields if name in data.model_fields_set]
    model = type(entity)
    values, related = _split(model, data, [name for name in names if name not in exclude])
    checked = checked_values(model, values)
    present = {name: _present(entity, name, item) for name, (item, _) in related.items()}
    merged = {
        name: _merged(relationship, present[name], sent)
        for name, (relationship, sent) in related.items()
    }
    for name, value in {**checked, **merged}.items():
        setattr(entity, name, value)


def _split(
    model: type[Any], data: pydantic.BaseModel, names: list[str]
) -> tuple[dict[str, Any], dict[str, tuple[Relationship, Any]]]:
    """Part columns from relationships."""
    mapper = mapper_of(model)
    values: dict[str, Any] = {}
    related: dict[str, tuple[Relationship, Any]] = {}
    for name in names:
        if name in mapper.relationships:
            related[name] = (mapper.relationships[name], getattr(data, name))
        elif name not in mapper.all_orm_descriptors:
            raise unknown("field", name, mapper.all_orm_descriptors.keys(), model)
        elif _is_written(mapper, name):
            values[name] = _value(mapper, name, getattr(data, name))
    return values, related


def _is_written(mapper: sa_orm.Mapper[Any], name: str) -> bool:
    """Whether a field is stored; an SQL expression or a hybrid is only read."""
    found = mapper.column_attrs.get(name)
    if found is None:
        return name in mapper.attrs
    return isinstance(found.columns[0], sa.Column) and found.columns[0].computed is None


def _value(mapper: sa_orm.Mapper[Any], name: str, value: Any) -> Any:
    found = mapper.column_attrs.get(name)
    is_document = found is not None and isinstance(found.columns[0].type, sa.JSON)
    return JSON.dump_python(value, mode="json") if is_document else value


def _construct(model: type[T], values: dict[str, Any]) -> T:
    """Call the class as one would, and set what its constructor does not take."""
    parameters = inspect.signature(model).parameters
    takes_all = any(item.kind is item.VAR_KEYWORD for item in parameters.values())
    taken = {name for name in values if takes_all or name in parameters}
    entity = model(**{name: values[name] for name in taken})
    for name in values.keys() - taken:
        setattr(entity, name, values[name])
    return entity


def _collection(relationship: Relationship, items: Iterable[Any]) -> Any:
    kind: Any = relationship.collection_class or list
    if kind is not list and kind is not set:
        raise ConfigurationError(
            f"{relationship} is a collection of its own kind; only lists and sets can be set here."
        )
    return kind(items)


def _present(entity: Any, name: str, relationship: Relationship) -> list[Any]:
    """Give the objects that a relationship has now."""
    state: Any = sa.inspect(entity)
    if state.key is not None and name not in state.dict:
        raise LazyLoadError(type(entity).__name__, name)
    found = getattr(entity, name)
    if not relationship.uselist:
        return [] if found is None else [found]
    return list(found)


def _merged(relationship: Relationship, present: list[Any], sent: Any) -> Any:
    """Find for each item the object that it means, or make one, before the first is changed."""
    target = relationship.mapper.class_
    keys = sorted(key_names(target) - implied(relationship))
    known = {key: item for item in present if None not in (key := _key(item, keys))}
    items = sent or () if relationship.uselist else [] if sent is None else [sent]
    pairs = [(item, known.pop(_key(item, keys), None)) for item in items]
    for item, found in pairs:
        if found is None:
            _require_new(target, item)
    result = [_changed(target, item, found, frozenset(keys)) for item, found in pairs]
    if relationship.uselist:
        return _collection(relationship, result)
    return next(iter(result), None)


def _key(item: Any, names: list[str]) -> tuple[Any, ...]:
    return tuple(getattr(item, name, None) for name in names)


def _changed(target: type[Any], item: pydantic.BaseModel, found: Any, keys: frozenset[str]) -> Any:
    if found is None:
        return build(target, item)
    apply(found, item, keys)
    return found


def _require_new(target: type[Any], item: pydantic.BaseModel) -> None:
    """Refuse what a create schema would: a key that is not there, or too little."""
    for name in sorted(key_names(target) & kept_names(target)):
        if name in item.model_fields_set and getattr(item, name) is not None:
            rule = "no object with this key is here, or it was sent twice"
            raise FieldValidationError(target.__name__, name, rule, getattr(item, name))
    fields = type(item).model_fields
    needed = required_names(target) & fields.keys()
    for name, relationship in mapper_of(target).relationships.items():
        if name not in item.model_fields_set or not (sent := getattr(item, name)):
            continue
        needed -= foreign_key(relationship)
        for inside in sent if relationship.uselist else [sent]:
            _require_new(relationship.mapper.class_, inside)
    for name in sorted(needed):
        if is_left_out(item, name):
            raise FieldValidationError(target.__name__, name, "a new one needs it")
