"""The base classes of models: what the data is."""

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData, Table, event, inspect
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Mapper,
    QueryableAttribute,
    declared_attr,
    mapped_column,
    registry,
)

from andamios.models.fields import check_fields
from andamios.models.keys import uuid7
from andamios.models.loading import explain_lazy_loads, load_attributes
from andamios.models.tables import NAMING_CONVENTION, make_table, snake_case
from andamios.models.types import resolve_type

__all__ = ["BaseModel", "SoftDeleteModel", "TimestampedModel", "UUIDModel"]

SHORT = 60
"""Characters of a value that ``repr`` shows."""


class BaseModel(AsyncAttrs, DeclarativeBase):
    """
    The base of models.

    The table is named after the class, in snake case. A 64-bit ``id`` is the key, unless
    the class maps another one. Types mean the same on every backend
    (:mod:`andamios.models.types`), and rules in annotations are checked
    (:mod:`andamios.models.fields`).

    ``class MyBase(BaseModel, DeclarativeBase)`` is a base with tables and names of its own.

    Raises:
        FieldValidationError: A value breaks a rule of its annotation.
        LazyLoadError: An attribute was read that is not loaded.

    Example:
        >>> from typing import Annotated
        >>> from annotated_types import Ge
        >>> from sqlalchemy.orm import Mapped
        >>> from andamios import BaseModel
        >>> class Runway(BaseModel):
        ...     length: Mapped[Annotated[int, Ge(0)]]
        >>> Runway(length=3400)
        Runway(length=3400)
        >>> Runway(length=-1)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        andamios.errors.FieldValidationError: Runway.length: Input should be greater than ...
    """

    metadata = MetaData(naming_convention=NAMING_CONVENTION)

    if TYPE_CHECKING:
        id: Mapped[Any]

    def __init_subclass__(cls, **options: Any) -> None:
        """Give a base of one's own the names of constraints, and the types."""
        is_base = DeclarativeBase in cls.__bases__
        if is_base and "registry" not in vars(cls):
            # One that is inherited would be shared, with all the class names in it.
            own = vars(cls).get("metadata")
            cls.metadata = MetaData(naming_convention=NAMING_CONVENTION) if own is None else own
            cls.registry = registry(metadata=cls.metadata)
        super().__init_subclass__(**options)
        if is_base:
            # Types belong to a registry, and a base has its own.
            event.listen(cls, "resolve_type_annotation", resolve_type)

    @declared_attr.directive
    @classmethod
    def __tablename__(cls) -> str | None:
        """Name the table after the class."""
        return snake_case(cls.__name__)

    @classmethod
    def __table_cls__(
        cls, name: str, metadata: MetaData, *items: Any, **options: Any
    ) -> Table | None:
        """Build the table; SQLAlchemy's hook."""
        return make_table(cls, name, metadata, *items, **options)

    async def load(self, *attributes: QueryableAttribute[Any], peers: bool = False) -> None:
        """
        Load relationships or deferred columns of this object, inside its session.

        Args:
            attributes: For instance ``User.posts``.
            peers: Load them for every object of this class that came by the same statement,
                all at once.

        Raises:
            LazyLoadError: The object belongs to no open session.
        """
        await load_attributes(self, attributes, peers=peers)

    def to_dict(self) -> dict[str, Any]:
        """Give the columns that are loaded, by attribute name; relationships are left out."""
        loaded = self.__dict__
        columns = inspect(type(self)).column_attrs
        return {column.key: loaded[column.key] for column in columns if column.key in loaded}

    def __repr__(self) -> str:
        columns = inspect(type(self)).column_attrs
        shown = ", ".join(
            f"{key}={_shown(columns[key], value)}" for key, value in self.to_dict().items()
        )
        return f"{type(self).__name__}({shown})"


def _shown(attribute: Any, value: Any) -> str:
    if getattr(attribute.columns[0], "info", {}).get("secret"):
        return "***"
    text = repr(value)
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def _share_table(_mapper: Mapper[Any], model: type[Any]) -> None:
    """Let a class without a table of its own show its parent's, as SQLAlchemy's classes do."""
    if vars(model).get("__table__", model) is None:
        del model.__table__


event.listen(BaseModel, "resolve_type_annotation", resolve_type)
event.listen(BaseModel, "after_mapper_constructed", _share_table, propagate=True)
event.listen(BaseModel, "attribute_instrument", explain_lazy_loads, propagate=True)
event.listen(BaseModel, "mapper_configured", check_fields, propagate=True)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class UUIDModel(BaseModel):
    """
    A model whose key is a UUID of version 7, made by the client and sorted by time.

    Example:
        >>> from andamios.models import UUIDModel
        >>> class Ticket(UUIDModel):
        ...     pass
        >>> Ticket.__table__.c.id.type
        Uuid()
    """

    __abstract__ = True

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)


class TimestampedModel(BaseModel):
    """
    A model with ``created_at`` and ``updated_at``, kept by every write, also set-based ones.

    Example:
        >>> from andamios import TimestampedModel
        >>> class Note(TimestampedModel):
        ...     pass
        >>> sorted(Note.__table__.c.keys())
        ['created_at', 'id', 'updated_at']
    """

    __abstract__ = True

    created_at: Mapped[dt.datetime] = mapped_column(default=_now, sort_order=900)
    updated_at: Mapped[dt.datetime] = mapped_column(default=_now, onupdate=_now, sort_order=901)


class SoftDeleteModel(TimestampedModel):
    """
    A model whose rows are marked as deleted, and then invisible, instead of removed.

    ``session.delete()``, repositories and set-based deletes mark; ``include_deleted()``
    shows marked rows again (:mod:`andamios.models.soft_delete`).

    Example:
        >>> from andamios import SoftDeleteModel
        >>> class Draft(SoftDeleteModel):
        ...     pass
        >>> Draft().is_deleted
        False
    """

    __abstract__ = True

    deleted_at: Mapped[dt.datetime | None] = mapped_column(index=True, sort_order=902)

    @property
    def is_deleted(self) -> bool:
        """Whether the row is marked as deleted."""
        return self.deleted_at is not None
