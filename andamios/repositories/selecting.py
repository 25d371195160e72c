"""The reading methods that the generic and the read-only repository share."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from andamios.errors import NotFoundError
from andamios.plans.forms import UnplannableError
from andamios.queries.filters import conditions_of
from andamios.queries.loading import Load, loader_options
from andamios.queries.reading import single
from andamios.queries.scope import read
from andamios.queries.short import reader_of_objects
from andamios.repositories import reading
from andamios.repositories.base import BaseRepository, listed

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncGenerator, Iterable

    from andamios.queries.filters import Filters
    from andamios.queries.pages import CursorPage, Page

__all__ = ["SelectingRepository"]

T = TypeVar("T")


class SelectingRepository(BaseRepository[T]):
    """A repository with every way to read; use GenericRepository or ReadOnlyRepository."""

    async def get_one(self, id: Any, *, load: Any = ()) -> T:  # noqa: A002
        """
        Give the object with this key.

        Args:
            id: As in ``get_by_id``.
            load: As in ``get_by_id``.

        Raises:
            NotFoundError: There is none.
        """
        found = await self.get_by_id(id, load=load)
        if found is None:
            raise NotFoundError(f"There is no {self.model.__name__} with the key {id}.")
        return found

    async def get_many(self, ids: Iterable[Any], *, load: Any = ()) -> builtins.list[T]:
        """
        Give the objects with these keys, by one statement.

        Args:
            ids: Keys; repeated ones count once.
            load: As in ``get_by_id``.

        Returns:
            The objects in the order of their keys; missing ones are left out.
        """
        keys = [reading.checked_key(self.model, id) for id in ids]  # noqa: A001
        short = None if listed(load) else reader_of_objects(self._bind, self.model)
        if short is not None:
            with suppress(UnplannableError):
                return await reading.get_many(short, self.model, keys)
        options = loader_options(self.model, map(Load, listed(load)))
        return await read(
            self._bind, self.model, lambda s: reading.get_many(s, self.model, keys, options)
        )

    async def find_one(self, filters: Filters, *, load: Any = ()) -> T | None:
        """
        Give the only object that fits, or None.

        Args:
            filters: As in ``list``.
            load: As in ``get_by_id``.

        Raises:
            MultipleFoundError: Several fit.
        """
        is_plain = type(self).query is BaseRepository.query and not listed(load)
        short = reader_of_objects(self._bind, self.model) if is_plain else None
        if short is not None:
            conditions = conditions_of(self.model, filters)
            with suppress(UnplannableError):
                found = await short.find(self.model, conditions, limit=2)
                only: T | None = single(self.model, found)
                return only
        return await self._selection(filters, load=load).one_or_none()

    async def exists(self, filters: Filters = None) -> bool:
        """Whether anything fits."""
        return await self.query().filter(filters).exists()

    async def count(self, filters: Filters = None) -> int:
        """Count what fits."""
        return await self.query().filter(filters).count()

    async def page(
        self,
        number: int = 1,
        size: int = 50,
        *,
        filters: Filters = None,
        order_by: Any = (),
        load: Any = (),
    ) -> Page[T]:
        """
        Give one page, with the total.

        Args:
            number: Which page, from 1.
            size: Objects on a page.
            filters: As in ``list``.
            order_by: As in ``list``; the key comes last.
            load: As in ``get_by_id``.
        """
        return await self._selection(filters, order_by=order_by, load=load).page(number, size)

    async def page_after(
        self,
        cursor: str | None = None,
        size: int = 50,
        *,
        filters: Filters = None,
        order_by: Any = (),
        load: Any = (),
    ) -> CursorPage[T]:
        """
        Give the page at a cursor.

        Args:
            cursor: ``next`` or ``previous`` of an earlier page; None is the beginning.
            size: Objects on a page.
            filters: As in ``list``.
            order_by: As in ``page``.
            load: As in ``get_by_id``.
        """
        query = self._selection(filters, order_by=order_by, load=load)
        return await query.page_after(cursor, size)

    def stream(self, filters: Filters = None, batch: int = 1000) -> AsyncGenerator[T, None]:
        """
        Give what fits one by one as it arrives, in constant memory.

        Args:
            filters: As in ``list``.
            batch: How many are fetched at a time.
        """
        return self.query().filter(filters).stream(batch)
