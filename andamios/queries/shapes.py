"""
What a pydantic model wants of a mapped class, so that a query reads that and no more.

Fields are looked for by name. Those that are columns come by one SELECT of these columns;
a field whose type holds another pydantic model is a relationship, which is loaded along.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import pydantic
import sqlalchemy.orm as sa_orm

from andamios.errors import ConfigurationError, QueryError
from andamios.queries.fields import mapper_of, relationship_of, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic.fields import FieldInfo

__all__ = ["Shape", "models_of", "shape_of"]

M = TypeVar("M", bound=pydantic.BaseModel)


@dataclass(frozen=True, slots=True)
class Shape:
    """
    The attributes that fields want, by field.

    Columns come by a SELECT of them; relationships have shapes of their own; others are
    properties and hybrids, which need an object.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    relationships: dict[str, tuple[Any, Shape]] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)

    @property
    def is_flat(self) -> bool:
        """Whether columns are all."""
        return not self.relationships and not self.others

    def options(self) -> list[Any]:
        """Give loader options for what objects come without, and what lies behind them."""
        wanted = self.columns.values()
        options: list[Any] = [sa_orm.undefer(each) for each in wanted if each.property.deferred]
        for attribute, inside in self.relationships.values():
            load = sa_orm.selectinload if attribute.property.uselist else sa_orm.joinedload
            options.append(load(attribute).options(*inside.options()))
        return options

    def of(self, entity: Any) -> dict[str, Any]:
        """Read an object, which has everything loaded."""
        found = {name: getattr(entity, each.key) for name, each in self.columns.items()}
        found |= {name: getattr(entity, key) for name, key in self.others.items()}
        for name, (attribute, inside) in self.relationships.items():
            value = getattr(entity, attribute.key)
            if attribute.property.uselist:
                found[name] = [inside.of(each) for each in value]
            else:
                found[name] = None if value is None else inside.of(value)
        return found


def shape_of(
    model: type[Any], schema: type[pydantic.BaseModel], within: tuple[type[Any], ...] = ()
) -> Shape:
    """
    Find out what a pydantic model wants.

    Args:
        model: The mapped class.
        schema: The pydantic model.
        within: Those that it stands in.

    Raises:
        ConfigurationError: It contains itself, so that there is no end to it.
        QueryError: It is no pydantic model.
        UnknownFieldError: It requires a field that the mapped class does not have.
    """
    if not issubclass(schema, pydantic.BaseModel):
        raise QueryError(f"as_models() takes a pydantic model, not {schema!r:.60}")
    if schema in within:
        raise ConfigurationError(
            f"{schema.__name__} contains itself, and as_models() cannot know how deep to read."
        )
    shape = Shape()
    # Types of models that were defined after it are texts until now.
    schema.model_rebuild(raise_errors=False)
    for name, info in schema.model_fields.items():
        attribute = _attribute(model, name, info)
        relationship = relationship_of(attribute)
        if relationship is not None:
            inside = _inner_schema(schema, name, info)
            target = relationship.mapper.class_
            shape.relationships[name] = attribute, shape_of(target, inside, (*within, schema))
        elif attribute is not None and attribute.key in mapper_of(model).column_attrs:
            shape.columns[name] = attribute
        elif attribute is not None or hasattr(model, name):
            shape.others[name] = name
        elif info.is_required():
            raise unknown("field", name, mapper_of(model).all_orm_descriptors.keys(), model)
    return shape


def models_of(schema: type[M], rows: Iterable[Mapping[str, Any]]) -> list[M]:
    """
    Build models from the values of their fields, by the fields' own names.

    Raises:
        QueryError: A value is none of its field. It came from the database, so that no client
            is to blame, as it would be for a FieldValidationError.
    """
    try:
        return [schema.model_validate(row, by_alias=False, by_name=True) for row in rows]
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise QueryError(
            f"A result does not fit {schema.__name__}.{place}: {first['msg']}. (A related row that "
            "is softly deleted is None.)"
        ) from None


def _attribute(model: type[Any], name: str, info: FieldInfo) -> Any:
    known = mapper_of(model).all_orm_descriptors
    for each in (name, info.validation_alias, info.alias):
        if isinstance(each, str) and each in known:
            return getattr(model, each)
    return None


def _inner_schema(
    schema: type[pydantic.BaseModel], name: str, info: FieldInfo
) -> type[pydantic.BaseModel]:
    for kind in _parts(info.annotation):
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            return kind
    raise ConfigurationError(
        f"{schema.__name__}.{name} is a relationship of the mapped class; its type has to hold a "
        "pydantic model, such as list[PostRead]."
    )


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)
