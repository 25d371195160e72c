"""
The repository for reading and writing with everything there is.

It has more public methods than a class here usually has: each says in one word what would
otherwise take a session, a savepoint and a batch loop. The work is done in ``bulk``,
``saving``, ``upserting``, ``racing``, ``removing`` and in the queries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from andamios.queries.scope import read, require_session, stands_alone, write_scope
from andamios.queries.writing import written_values
from andamios.repositories import bulk, racing, reading, removing, upserting
from andamios.repositories.keeping import kept_on_failure
from andamios.repositories.selecting import SelectingRepository
from andamios.repositories.unique_keys import key_on

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Mapping, Sequence

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

    async def lock(
        self,
        filters: Filters = None,
        *,
        order_by: Any = (),
        limit: int | None = None,
        skip_locked: bool = False,
        nowait: bool = False,
    ) -> builtins.list[T]:
        """
        Give what fits, locked until the transaction ends and as it is now.

        Args:
            filters: As in ``list``.
            order_by: As in ``list``.
            limit: How many at most.
            skip_locked: Leave out rows that somebody else has locked.
            nowait: Do not wait for them.

        Raises:
            ConfigurationError: The repository is bound to an engine.
            DeadlockError: Somebody else has locked a row, and ``nowait`` was asked for.
        """
        require_session(self._bind, "lock()")
        query = self._selection(filters, order_by=order_by, limit=limit)
        return await query.for_update(skip_locked=skip_locked, nowait=nowait).execute()

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
        parts = bulk.Batches(rows, batch)
        bulk.require_returning(returning)
        async with write_scope(self._bind, self.model) as session:
            if returning is None:
                return await bulk.insert_all(session, self.model, parts, progress)
            is_alone = returning == "keys" or stands_alone(self._bind)
            kept: bulk.Kept = returning if is_alone else "members"
            return await bulk.insert_returning(session, self.model, parts, progress, kept)

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
        parts = bulk.Batches(rows, batch)
        entities = bulk.objects_of(rows)
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

    async def upsert(self, values: Mapping[Any, Any] | T, *, on: Sequence[Any] | str) -> T:
        """
        Store a new row, or set these values in the row that has the same unique key.

        Only a row that matches ``on`` is updated, and a softly deleted one is none. A version
        among the values is compared. Set-based: entity hooks are not called.

        Args:
            values: By field name, the key included; or an object that no session has.
            on: The fields of the primary key, or of a unique constraint or index.

        Returns:
            The object, as it is stored.

        Raises:
            ConfigurationError: ``on`` is no unique key; the message names those there are.
            DuplicateError: A row is in the way on another key, or one that is softly deleted.
            DataError: A part of the key is None, which equals nothing.
            StaleVersionError: The row has another version, or is gone.

        Example:
            ``await users.upsert({"email": "ana@example.org", "name": "Ana"}, on=["email"])``
        """
        key = key_on(self.model, on)
        row = upserting.row_of(self.model, values, key)

        async def once() -> T:
            async with write_scope(self._bind, self.model) as session:
                return await upserting.upsert(session, self.model, row, key)

        return await racing.repeated(self._bind, once)

    async def upsert_many(
        self,
        rows: Rows,
        *,
        on: Sequence[Any] | str,
        batch: int = 1000,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """
        Upsert many rows, all or none; of those with the same key, later values win.

        Args:
            rows: As in ``upsert``; any iterable, also an asynchronous one. No more than a
                batch of it is held in memory.
            on: As in ``upsert``.
            batch: Rows that are written at a time.
            progress: Called with the number of rows so far, after each batch.

        Returns:
            How many rows there were.

        Raises:
            DuplicateError: As in ``upsert``, like all its errors.
            DeadlockError: Others wrote the same rows in another order.
        """
        key = key_on(self.model, on)
        parts = bulk.Batches(rows, batch)
        async with write_scope(self._bind, self.model) as session:
            return await upserting.upsert_all(session, self.model, parts, key, progress or int)

    async def get_or_create(
        self, filters: Mapping[Any, Any], defaults: Mapping[Any, Any] | None = None
    ) -> tuple[T, bool]:
        """
        Give the object with these values, or store it, however many try at the same time.

        Args:
            filters: Equalities on columns, ``{"email": "ana@example.org"}``, with a whole
                unique key among them.
            defaults: What a new object gets besides.

        Returns:
            The object, and whether it was created here.

        Raises:
            ConfigurationError: The filters hold no unique key.
            DuplicateError: A new object would collide on a key outside of the filters.
            SerializationError: Inside a snapshot of PostgreSQL's: somebody else was faster.
        """
        sought = racing.wanted(self.model, filters, defaults)
        values = written_values(self.model, defaults) if defaults else {}
        reads_first = not (stands_alone(self._bind) or racing.is_unread(self._bind, self.model))
        if stands_alone(self._bind):  # most often it is there, and reading locks nothing
            found = await read(self._bind, self.model, lambda s: racing.find(s, sought))
            if found is not None:
                return found, False

        async def once() -> tuple[T, bool]:
            async with write_scope(self._bind, self.model) as session:
                return await racing.get_or_create(session, sought, values, reads_first=reads_first)

        return await racing.repeated(self._bind, once)

    async def update_or_create(
        self, filters: Mapping[Any, Any], values: Mapping[Any, Any]
    ) -> tuple[T, bool]:
        """
        Set values on the object that ``filters`` find, locked; or store it with both.

        Unlike ``upsert`` this works with objects: hooks are called, and what is equal
        already is not written.

        Args:
            filters: As in ``get_or_create``.
            values: What the object gets; a version among them is compared.

        Returns:
            The object, and whether it was created here.

        Raises:
            ConfigurationError: The filters hold no unique key.
            DuplicateError: Another row is in the way.
            StaleVersionError: The row has another version, or is gone.
            DeadlockError: In a transaction of your own: others did the same; run it again.
        """
        sought = racing.wanted(self.model, filters, values)
        changes = written_values(self.model, values) if values else {}

        async def once() -> tuple[T, bool]:
            async with write_scope(self._bind, self.model) as session:
                return await racing.update_or_create(session, sought, changes)

        return await racing.repeated(self._bind, once)

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
