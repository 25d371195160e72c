"""
Between mapped objects and pydantic models. Named for the library.

Schemas are made in ``schemas``, and objects in ``entities``.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pydantic

from andamios.errors import ConfigurationError, DataError, LazyLoadError
from andamios.integrations.entities import apply, build
from andamios.integrations.loaded import Loaded
from andamios.integrations.schemas import SchemaMaker
from andamios.queries.fields import field, mapper_of, relationship_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import sqlalchemy.orm as sa_orm

__all__ = ["PydanticModelAdapter"]

T = TypeVar("T")


class PydanticModelAdapter(Generic[T]):
    """
    Turns objects of one mapped class into pydantic models and back.

    Args:
        model: The mapped class.
        read: What :meth:`to_pydantic` gives; default: a schema of all columns but secret
            ones (``mapped_column(info={"secret": True})``).
        relationships: Nested in the schemas that are made, as in ``User.posts``,
            ``Post.comments``; one that leads back to where it came from ends there.
        exclude: Names of fields that no schema has, and that are never set.
        name: What the names of the schemas begin with; default: the model's.

    Raises:
        ConfigurationError: ``model`` is no mapped class.
        UnknownFieldError: ``exclude`` names a field that it does not have.

    Example:
        >>> from sqlalchemy import String
        >>> from sqlalchemy.orm import mapped_column
        >>> from andamios import BaseModel
        >>> from andamios.integrations.pydantic import PydanticModelAdapter
        >>> class Sailor(BaseModel):
        ...     name = mapped_column(String(50), nullable=False)
        >>> sailors = PydanticModelAdapter(Sailor)
        >>> sailor = sailors.from_pydantic(sailors.create_schema(name="Grace"))
        >>> sailor.id = 1
        >>> sailors.to_pydantic(sailor)
        SailorRead(id=1, name='Grace')
    """

    def __init__(
        self,
        model: type[T],
        *,
        read: type[pydantic.BaseModel] | None = None,
        relationships: Iterable[Any] = (),
        exclude: Iterable[str] = (),
        name: str | None = None,
    ) -> None:
        mapper_of(model)
        self.model = model
        self._read = read
        self._exclude = frozenset(exclude)
        for each in self._exclude:
            field(model, each)
        nested = tuple(map(_relationship, relationships))
        self._maker = SchemaMaker(name or model.__name__, nested, self._exclude)

    @cached_property
    def create_schema(self) -> type[pydantic.BaseModel]:
        """What one sends to create an object: without what is made for it."""
        return self._maker.make("Create", self.model)

    @cached_property
    def update_schema(self) -> type[pydantic.BaseModel]:
        """
        What one sends to change an object: any part of it but its key.

        What is nested has its key, by which one says which of the present objects is meant.
        """
        return self._maker.make("Update", self.model)

    @cached_property
    def read_schema(self) -> type[pydantic.BaseModel]:
        """What one gets to see of an object."""
        return self._read or self._maker.make("Read", self.model)

    def to_pydantic(self, entity: T) -> pydantic.BaseModel:
        """
        Show an object by the read schema; nothing is loaded for it.

        Raises:
            LazyLoadError: A field of the schema is not loaded.
            DataError: It is an object of another class.
        """
        self._require_kind(entity)
        missing: list[LazyLoadError] = []
        try:
            return self.read_schema.model_validate(Loaded(entity, missing), from_attributes=True)
        except pydantic.ValidationError:
            if missing:
                raise missing[0] from None
            raise

    def from_pydantic(self, data: pydantic.BaseModel) -> T:
        """
        Make a new object, with new objects for what is nested.

        Args:
            data: Any pydantic model whose fields have the names of the object's.

        Raises:
            UnknownFieldError: It has a field that the class does not have.
            FieldValidationError: A value breaks a rule of the class.
        """
        return build(self.model, data, self._exclude)

    def apply(self, entity: T, data: pydantic.BaseModel) -> T:
        """
        Set on an object what was sent, and leave alone what was not.

        A relationship that was sent has afterwards what was sent: nested objects with the
        key of a present one change that one, others are new, and those that are missing go.
        A new one needs what the create schema asks for, and is given its key, unless that is
        one that people choose.

        Args:
            entity: The object; its own values are unchanged when a value is refused.
            data: An update schema, or any pydantic model.

        Returns:
            The same object.

        Raises:
            UnknownFieldError: A field was sent that the class does not have.
            FieldValidationError: A value breaks a rule of the class; a nested object has a
                generated key that is not there, or is new and lacks a value.
            LazyLoadError: A relationship was sent that is not loaded.
        """
        self._require_kind(entity)
        apply(entity, data, self._exclude)
        return entity

    def __repr__(self) -> str:
        return f"PydanticModelAdapter({self.model.__name__})"

    def _require_kind(self, entity: Any) -> None:
        if not isinstance(entity, self.model):
            raise DataError(
                f"This adapter is for {self.model.__name__}, not {type(entity).__name__}"
            )


def _relationship(attribute: Any) -> sa_orm.RelationshipProperty[Any]:
    found = relationship_of(attribute)
    if found is None:
        raise ConfigurationError(f"{attribute} is no relationship. Give, for instance, User.posts.")
    return found
