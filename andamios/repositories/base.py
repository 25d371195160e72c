"""What every repository can do, and what it knows: its model and where it works."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from andamios.core.engine import AndamiosEngine
from andamios.errors import ConfigurationError
from andamios.plans import writes
from andamios.plans.cache import plans_of
from andamios.plans.forms import UnplannableError
from andamios.queries.builder import QueryBuilder
from andamios.queries.fields import key_attributes, mapper_of
from andamios.queries.scope import read, write_scope
from andamios.queries.short import reader_of_objects
from andamios.repositories import reading, removing, saving
from andamios.repositories.keeping import kept_on_failure

if TYPE_CHECKING:
    import builtins

    from andamios.queries.filters import Filters
    from andamios.queries.scope import Bind

__all__ = ["BaseRepository", "IRepository", "listed"]

T = TypeVar("T")


def listed(items: Any) -> tuple[Any, ...]:
    """Give one or several items as a tuple."""
    return tuple(items) if isinstance(items, list | tuple) else (items,)


class IRepository(ABC, Generic[T]):
    """
    The five methods that code may rely on, whatever stands behind them.

    Example:
        >>> from andamios import IRepository
        >>> sorted(IRepository.__abstractmethods__)
        ['create', 'delete', 'get_by_id', 'list', 'update']
    """

    @abstractmethod
    async def get_by_id(self, id: Any) -> T | None:  # noqa: A002  the contract's word
        """Give the object with this key, or None."""

    @abstractmethod
    async def create(self, entity: T) -> T:
        """Store a new object."""

    @abstractmethod
    async def update(self, entity: T) -> T:
        """Store the changes of an object."""

    @abstractmethod
    async def delete(self, id: Any) -> bool:  # noqa: A002
        """Delete the object with this key; say whether there was one."""

    @abstractmethod
    async def list(self, filters: Filters = None) -> builtins.list[T]:
        """Give what fits, or everything."""


class BaseRepository(IRepository[T]):
    """
    Reading and writing objects of one model.

    The model comes from the type argument: ``class UserRepository(BaseRepository[User])``,
    or ``BaseRepository[User](session)`` without a class of its own.

    Args:
        bind: A session: everything happens in its transaction, and nothing is committed
            here. An engine: each call stands alone, commits, and gives objects that
            belong to no session. Nothing: the session of this task.

    Raises:
        ConfigurationError: The class has no model.

    Example:
        >>> import andamios
        >>> from sqlalchemy import String
        >>> from sqlalchemy.orm import mapped_column
        >>> from andamios import AndamiosEngine, BaseModel, BaseRepository
        >>> class Crate(BaseModel):
        ...     label = mapped_column(String(50))
        >>> async def main() -> Crate | None:
        ...     async with AndamiosEngine("sqlite://") as engine:
        ...         await engine.create_all(BaseModel)
        ...         crates = BaseRepository[Crate](engine)
        ...         crate = await crates.create(Crate(label="fragile"))
        ...         return await crates.get_by_id(crate.id)
        >>> andamios.run(main())
        Crate(id=1, label='fragile')
    """

    model: type[T]

    _bound: ClassVar[dict[tuple[type[Any], type[Any]], type[Any]]] = {}

    def __class_getitem__(cls, item: Any) -> Any:
        """Bind the class to a model, so that the result needs no subclass."""
        alias = super().__class_getitem__(item)  # type: ignore[misc]  # Generic has it
        if not isinstance(item, type):
            return alias
        bound = cls._bound.get((cls, item))
        if bound is None:
            members = {"model": item, "__module__": cls.__module__, "__doc__": cls.__doc__}
            bound = type(f"{cls.__name__}[{item.__name__}]", (cls,), members)
            cls._bound[cls, item] = bound
        return bound

    def __init__(self, bind: Bind = None) -> None:
        if getattr(self, "model", None) is None:
            name = type(self).__name__
            raise ConfigurationError(
                f"{name} has no model. Name it: class UserRepository({name}[User]), or "
                f"{name}[User](session)."
            )
        mapper_of(self.model)
        self._bind = bind

    def query(self) -> QueryBuilder[T]:
        """Begin a query on the model, where the repository works."""
        return QueryBuilder(self.model, self._bind)

    async def get_by_id(self, id: Any, *, load: Any = ()) -> T | None:  # noqa: A002
        """
        Give the object with this key, or None.

        Args:
            id: The key; of several columns, a tuple in their order.
            load: Relationships to load along, one or several, as in ``QueryBuilder.load``.

        Raises:
            DataError: A key of the wrong type.
        """
        key = reading.checked_key(self.model, id)
        if listed(load):
            attributes = key_attributes(self.model)
            same = {each.key: part for each, part in zip(attributes, key, strict=True)}
            return await self._selection(same, load=load).one_or_none()
        if (short := reader_of_objects(self._bind, self.model)) is not None:
            try:
                found: T | None = await short.get(self.model, key)
            except UnplannableError:
                pass
            else:
                return found
        return await read(
            self._bind, self.model, lambda session: reading.get(session, self.model, key)
        )

    async def create(self, entity: T) -> T:
        """
        Store a new object.

        Returns:
            The same object, with what the database filled in.

        Raises:
            DuplicateError: A unique value or the key is taken.
        """
        saving.require_new(self.model, entity)
        if isinstance(self._bind, AndamiosEngine):
            with suppress(UnplannableError):
                await writes.insert(plans_of(self._bind), entity)
                return entity
        async with write_scope(self._bind, self.model) as session:
            return await saving.create(session, entity)

    async def update(self, entity: T) -> T:
        """
        Store the changes of an object.

        When that is refused, one of the session has the values of its row again, and one
        that belongs to none is as it was.

        Args:
            entity: One of the session, one that belongs to none, or a new one that has the
                key of a row and the values to set.

        Returns:
            The object, as it is stored.

        Raises:
            NotFoundError: There is no such row.
            StaleVersionError: Somebody else changed the row first.
        """
        saving.require_kind(self.model, entity)
        if isinstance(self._bind, AndamiosEngine):
            with suppress(UnplannableError):
                if await writes.update(plans_of(self._bind), entity):
                    return entity
        with kept_on_failure([entity]):
            async with write_scope(self._bind, self.model, changed=[entity]) as session:
                return await saving.update(session, entity)

    async def delete(self, id: Any) -> bool:  # noqa: A002
        """
        Delete the object with this key; softly, where the model says so.

        Returns:
            Whether there was one.

        Raises:
            ForeignKeyError: Other rows refer to it.
        """
        key = reading.checked_key(self.model, id)
        if isinstance(self._bind, AndamiosEngine):
            with suppress(UnplannableError):
                return await writes.delete(plans_of(self._bind), self.model, key)
        async with write_scope(self._bind, self.model) as session:
            return await removing.delete(session, self.model, key)

    async def list(
        self,
        filters: Filters = None,
        *,
        order_by: Any = (),
        limit: int | None = None,
        load: Any = (),
    ) -> builtins.list[T]:
        """
        Give what fits, or everything.

        Args:
            filters: A dict such as ``{"age__gte": 18, "profile.city": "Lima"}``, a
                FilterBuilder, or SQLAlchemy expressions.
            order_by: Expressions or names, as in ``QueryBuilder.order_by``, one or several.
            limit: How many at most.
            load: As in ``get_by_id``.

        Raises:
            UnknownFieldError: A field or an operator that the model does not have.
            DataError: A value of the wrong type.
        """
        return await self._selection(filters, order_by=order_by, limit=limit, load=load).execute()

    def _selection(
        self, filters: Filters, *, order_by: Any = (), limit: int | None = None, load: Any = ()
    ) -> QueryBuilder[T]:
        query = self.query()
        if filters is not None:
            query = query.filter(filters)
        if order := listed(order_by):
            query = query.order_by(*order)
        if loads := listed(load):
            query = query.load(*loads)
        return query if limit is None else query.limit(limit)
