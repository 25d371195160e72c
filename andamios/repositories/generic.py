"""
The repository for reading and writing with everything there is.

It has more public methods than a class here usually has: each says in one word what would
otherwise take a session, a savepoint and a batch loop. The work is done in ``bulk``,
``saving``, ``removing`` and in the queries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from andamios.queries.scope import require_session, write_scope
from andamios.repositories import bulk, reading, removing
from andamios.repositories.keeping import kept_on_failure
from andamios.repositories.selecting import SelectingRepository

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Mapping

    from andamios.queries.filters import Filters
    from andamios.repositories.bulk import Returning, Rows

__all__ = ["GenericRepository"]

T = TypeVar("T")


class GenericRepository(SelectingRepository[T]):
    """
    Everything one does with the objects of a model.

    Example:
        >>> import andamios
        >>> from sqlalchemy import Integer
        >>> from sqlalchemy.orm import mapped_column
        >>> from andamios import AndamiosEngine, BaseModel, GenericRepository
        >>> class Tram(BaseModel):
        ...     line = mapped_column(Integer)
        >>> class TramRepository(GenericRepository[Tram]):
        ...     async def on_line(self, line: int) -> list[Tram]:
        ...         return await self.list({"line": line})
        >>> async def main() -> int:
        ...     async with AndamiosEngine("sqlite://") as engine:
        ...         await engine.create_all(BaseModel)
        ...         trams = TramRepository(engine)
        ...         await trams.create_many({"line": number % 3} for number in range(9))
        ...         return len(await trams.on_line(2))
        >>> andamios.run(main())
        3
    """

    async def lock(self, filters: Filters = None, *, skip_locked: bool = False) -> builtins.list[T]:
        """
        Give what fits, locked until the transaction ends and as it is now.

        Args:
            filters: As in ``list``.
            skip_locked: Leave out rows that somebody else has locked.

        Raises:
            ConfigurationError: The repository is bound to an engine.
        """
        require_session(self._bind, "lock()")
        return await self.query().filter(filters).for_update(skip_locked=skip_locked).execute()

    @overload
    async def create_many(
        self,
        rows: Rows,
        *,
        batch: int = ...,
        progress: Callable[[int], object] | None = ...,
        returning: None = ...,
    ) -> int: ...

    @overload
    async def create_many(
        self,
        rows: Rows,
        *,
        batch: int = ...,
        progress: Callable[[int], object] | None = ...,
        returning: Literal["entities"],
    ) -> builtins.list[T]: ...

    @overload
    async def create_many(
        self,
        rows: Rows,
        *,
        batch: int = ...,
        progress: Callable[[int], object] | None = ...,
        returning: Literal["keys"],
    ) -> builtins.list[Any]: ...

    async def create_many(
        self,
        rows: Rows,
        *,
        batch: int = 1000,
        progress: Callable[[int], object] | None = None,
        returning: Returning | None = None,
    ) -> int | builtins.list[Any]:
        """
        Store new rows, all or none.

        Args:
            rows: Dicts by field name, which is faster, or objects; any iterable, also an
                asynchronous one. No more than a batch of it is held in memory.
            batch: Rows in one statement.
            progress: Called with the number of rows so far, after each batch.
            returning: ``"keys"`` or ``"entities"`` gives those instead of the number.

        Returns:
            How many rows there were, or what ``returning`` asks for, in the order of rows.

        Raises:
            UnknownFieldError: A dict has a field that the model does not have.
            DuplicateError: A unique value or a key is taken.
        """
        parts = bulk.batches(rows, batch)
        bulk.require_returning(returning)
        progress = progress or int
        async with write_scope(self._bind, self.model) as session:
            if returning is None:
                return await bulk.insert_all(session, self.model, parts, progress)
            entities = await bulk.insert_returning(session, self.model, parts, progress)
            return entities if returning == "entities" else [*map(reading.key_of, entities)]

    async def update_many(self, rows: Rows, *, batch: int = 1000) -> int:
        """
        Store different values in many rows, all or none.

        Args:
            rows: Dicts with the key and the values to set, or objects. A version among
                them is compared.
            batch: Rows that are read and written at a time.

        Returns:
            How many rows there were.

        Raises:
            NotFoundError: A row is missing.
            StaleVersionError: Somebody else changed a row first.
        """
        parts = bulk.batches(rows, batch)
        entities = rows if isinstance(rows, list | tuple) else ()
        with kept_on_failure(entities):
            async with write_scope(self._bind, self.model, changed=entities) as session:
                return await bulk.update_all(session, self.model, parts)

    async def update_where(
        self, filters: Filters, values: Mapping[Any, Any], *, unscoped: bool = False
    ) -> int:
        """
        Set the same values in every row that fits, by one statement.

        Args:
            filters: As in ``list``.
            values: By field name; SQL expressions may refer to the row.
            unscoped: Whether an empty filter means every row.

        Returns:
            How many rows fit.

        Raises:
            UnscopedWriteError: The filter is empty.
        """
        query = self.query().filter(filters)
        return await (query.unscoped() if unscoped else query).update(values)

    async def delete_where(self, filters: Filters, *, unscoped: bool = False) -> int:
        """
        Delete every row that fits, by one statement; softly, where the model says so.

        Args:
            filters: As in ``list``.
            unscoped: Whether an empty filter means every row.

        Returns:
            How many rows were deleted.

        Raises:
            UnscopedWriteError: The filter is empty.
        """
        query = self.query().filter(filters)
        return await (query.unscoped() if unscoped else query).delete()

    async def restore(self, id: Any) -> bool:  # noqa: A002
        """
        Bring back what was softly deleted.

        Returns:
            Whether there was such an object.

        Raises:
            ConfigurationError: The model is no SoftDeleteModel.
        """
        key = reading.checked_key(self.model, id)
        async with write_scope(self._bind, self.model) as session:
            return await removing.restore(session, self.model, key)

    async def hard_delete(self, id: Any) -> bool:  # noqa: A002
        """
        Delete for good, also what is softly deleted.

        Returns:
            Whether there was such an object.
        """
        key = reading.checked_key(self.model, id)
        async with write_scope(self._bind, self.model) as session:
            return await removing.remove(session, self.model, key)
