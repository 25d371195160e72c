"""
Schemas made from models: what one sends to create or change an object, and what one gets.

A column's type and rules come from the model's annotation, and where it has none, from the
column. What the library keeps itself (generated keys, versions, timestamps, authors) is
read and not written. A key says which of the nested objects an update means, and is never
changed. Rules guard what comes in; what is stored already is shown as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

import pydantic
import sqlalchemy as sa
import sqlalchemy.orm as sa_orm

from andamios.models.base import SoftDeleteModel, TimestampedModel
from andamios.models.fields import annotations_of, is_rule
from andamios.models.mixins import AuditMixin
from andamios.models.types import UTCDateTime
from andamios.queries.fields import key_attributes, mapper_of
from andamios.queries.values import python_type

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

__all__ = [
    "Kind",
    "Schema",
    "SchemaMaker",
    "foreign_key",
    "implied",
    "is_left_out",
    "kept_names",
    "key_names",
    "required_names",
]

Kind: TypeAlias = Literal["Create", "Update", "Read"]

KEEPERS = (TimestampedModel, SoftDeleteModel, AuditMixin)
"""Classes whose own columns are written by nobody but them."""


class Schema(pydantic.BaseModel):
    """The parent of all schemas that are made: binary values travel as base64."""

    model_config = pydantic.ConfigDict(
        from_attributes=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="strings",
    )


def left_out() -> None:
    """Stand for a value that was not sent, and that the model or the database chooses."""


def is_left_out(data: pydantic.BaseModel, name: str) -> bool:
    """Whether a field was not sent and has no default that the schema knows."""
    is_chosen_later = type(data).model_fields[name].default_factory is left_out
    return is_chosen_later and name not in data.model_fields_set


@dataclass(frozen=True)
class SchemaMaker:
    """
    Makes the schemas of one adapter.

    Args:
        name: What the names of the schemas begin with.
        relationships: Those that are nested.
        exclude: Names of fields of the adapter's own model that are left out.
    """

    name: str
    relationships: tuple[sa_orm.RelationshipProperty[Any], ...] = ()
    exclude: frozenset[str] = frozenset()

    def make(self, kind: Kind, model: type[Any]) -> type[pydantic.BaseModel]:
        """Make a schema of the adapter's own model."""
        return self._make(kind, _Place(model, self.name, exclude=self.exclude))

    def _make(self, kind: Kind, place: _Place) -> type[pydantic.BaseModel]:
        fields = dict(_column_fields(kind, place))
        if kind != "Read":
            # An object beside it says what the foreign key would.
            for item in self._nested(kind, place):
                _make_optional(fields, foreign_key(item))
        for item in self._nested(kind, place):
            fields[item.key] = self._relationship_field(kind, place, item)
        name, module = f"{place.name}{kind}", place.model.__module__
        definitions: dict[str, Any] = fields
        return pydantic.create_model(name, __base__=Schema, __module__=module, **definitions)

    def _nested(self, kind: Kind, place: _Place) -> Iterator[sa_orm.RelationshipProperty[Any]]:
        """Find the relationships to show; one that leads back is followed no further."""
        if place.is_end:
            return
        came = place.came
        for item in self.relationships:
            is_way_back = came is not None and came.back_populates == item.key
            is_own = issubclass(place.model, item.parent.class_)
            if is_own and item.key not in place.exclude and not (is_way_back and kind != "Read"):
                yield item

    def _relationship_field(
        self, kind: Kind, place: _Place, item: sa_orm.RelationshipProperty[Any]
    ) -> tuple[Any, Any]:
        inside = place.behind(item)
        if kind != "Read":
            inside.exclude |= implied(item)
        is_plain = not inside.is_end and not [*self._nested(kind, inside)] and not inside.exclude
        if is_plain and kind != "Update":  # which has keys here, and none where it is outermost
            inside.name = inside.model.__name__
        found: Any = self._make(kind, inside)
        is_optional = item.direction is not sa_orm.MANYTOONE or any(
            column.nullable for column in item.local_columns
        )
        annotation = list[found] if item.uselist else found | None if is_optional else found
        return annotation, ... if kind == "Read" else pydantic.Field(default_factory=left_out)


@dataclass
class _Place:
    """Where a schema is: which model, and which way led there."""

    model: type[Any]
    name: str
    exclude: frozenset[str] = frozenset()
    path: tuple[type[Any], ...] = ()
    came: sa_orm.RelationshipProperty[Any] | None = None
    is_end: bool = field(default=False)

    def behind(self, item: sa_orm.RelationshipProperty[Any]) -> _Place:
        model = item.mapper.class_
        path = (*self.path, self.model)
        return _Place(
            model, f"{self.name}{model.__name__}", path=path, came=item, is_end=model in path
        )


def _column_fields(kind: Kind, place: _Place) -> Iterator[tuple[str, tuple[Any, Any]]]:
    annotations = annotations_of(place.model)
    left = place.exclude | _unwritten(kind, place)
    for attribute in mapper_of(place.model).column_attrs:
        name, column = attribute.key, attribute.columns[0]
        is_secret = kind == "Read" and _is_secret(column)
        if name in left or is_secret or name.startswith("_"):
            continue
        annotation = annotations.get(name, _type_of(column))
        if kind == "Read":
            yield name, (_nullable(_without_rules(annotation), column), _field(column, ...))
        else:
            default = left_out if kind == "Update" else _default(column)
            yield name, (_guarded(_nullable(annotation, column), column), _field(column, default))


def _unwritten(kind: Kind, place: _Place) -> frozenset[str]:
    if kind == "Read":
        return frozenset()
    kept = kept_names(place.model)
    if kind == "Create":
        return kept
    keys = key_names(place.model)
    return kept | keys if place.came is None else kept - keys


def key_names(model: type[Any]) -> frozenset[str]:
    """Give the fields that are the key of a model."""
    return frozenset(attribute.key for attribute in key_attributes(model))


def kept_names(model: type[Any]) -> frozenset[str]:
    """Give the fields of a model that a new object has without being told."""
    return frozenset(_kept(model))


def required_names(model: type[Any]) -> frozenset[str]:
    """Give the fields of a model that a new object must be told."""
    kept = kept_names(model)
    columns = {item.key: item.columns[0] for item in mapper_of(model).column_attrs}
    return frozenset(
        name for name, column in columns.items() if name not in kept and _default(column) is ...
    )


def foreign_key(item: sa_orm.RelationshipProperty[Any]) -> frozenset[str]:
    """Give the fields of an object that the nested object says, if it is what they refer to."""
    if item.direction is not sa_orm.MANYTOONE:
        return frozenset()  # its key is this object's own
    return _names(item.parent.class_, item.local_columns)


def implied(item: sa_orm.RelationshipProperty[Any]) -> frozenset[str]:
    """Give the fields of a nested object that the object around it says: its foreign key."""
    if item.direction is sa_orm.MANYTOONE:
        return frozenset()
    return _names(item.mapper.class_, item.remote_side)


def _kept(model: type[Any]) -> Iterator[str]:
    """Find the columns that nobody writes by hand."""
    mapper = mapper_of(model)
    for keeper in KEEPERS:
        if issubclass(model, keeper):
            yield from annotations_of(keeper)
    chosen = {mapper.version_id_col, mapper.polymorphic_on}
    for attribute in mapper.column_attrs:
        is_chosen = not chosen.isdisjoint(attribute.columns)
        if is_chosen or any(map(_is_generated, attribute.columns)):
            yield attribute.key


def _is_generated(column: Any) -> bool:
    if not isinstance(column, sa.Column) or column.computed is not None:
        return True
    if column.primary_key:
        is_counted = column.table.autoincrement_column is column
        return is_counted or column.default is not None or column.server_default is not None
    return column.onupdate is not None


def _names(model: type[Any], columns: Any) -> frozenset[str]:
    mapper = mapper_of(model)
    mine = {column: item.key for item in mapper.column_attrs for column in item.columns}
    return frozenset(mine[column] for column in columns if column in mine)


def _make_optional(fields: dict[str, tuple[Any, Any]], names: frozenset[str]) -> None:
    for name in names & fields.keys():
        fields[name] = (fields[name][0], pydantic.Field(default_factory=left_out))


def _is_secret(column: Any) -> bool:
    return isinstance(column, sa.Column) and bool(column.info.get("secret"))


def _default(column: Any) -> Any:
    """Give a column's default: a value, ``left_out`` for what is chosen later, or none."""
    if column.default is not None and column.default.is_scalar:
        return column.default.arg
    if column.default is not None or column.server_default is not None or column.nullable:
        return left_out
    return ...


def _field(column: Any, default: Any) -> Any:
    options: dict[str, Any] = {
        "description": getattr(column, "doc", None) or getattr(column, "comment", None)
    }
    if default is left_out:
        return pydantic.Field(default_factory=left_out, **options)
    return pydantic.Field(default, **options)


def _type_of(column: Any) -> Any:
    found = python_type(column.type)
    return Any if found is None else found


def _nullable(annotation: Any, column: Any) -> Any:
    is_nullable = getattr(column, "nullable", True)
    return annotation | None if is_nullable and annotation is not Any else annotation


def _without_rules(annotation: Any) -> Any:
    origin = get_origin(annotation)
    if origin is Annotated:
        plain = _without_rules(get_args(annotation)[0])
        rest = [item for item in annotation.__metadata__ if not is_rule(item)]
        return reduce(lambda inner, item: Annotated[inner, item], rest, plain)
    if origin in {Union, UnionType}:
        return reduce(or_, map(_without_rules, get_args(annotation)))
    return annotation


def _guarded(annotation: Any, column: Any) -> Any:
    """Add what the column itself cannot hold to the rules."""
    kind = column.type
    if isinstance(kind, UTCDateTime):
        return Annotated[annotation, pydantic.AfterValidator(_require_zone)]
    if isinstance(kind, sa.Enum):
        return annotation
    if isinstance(kind, sa.String) and kind.length:
        return Annotated[annotation, pydantic.Field(max_length=kind.length)]
    if isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float) and kind.precision:
        digits = pydantic.Field(max_digits=kind.precision, decimal_places=kind.scale)
        return Annotated[annotation, digits]
    return annotation


def _require_zone(value: dt.datetime | None) -> dt.datetime | None:
    if value is not None and value.tzinfo is None:
        raise ValueError("a datetime without a time zone says no moment")
    return value
