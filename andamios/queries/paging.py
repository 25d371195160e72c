"""Paging by number: a slice of the results, and how many there are in all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from andamios.errors import QueryError
from andamios.queries.compose import finished, source_of
from andamios.queries.ordering import order_keys, placed, tie_broken
from andamios.queries.pages import Page
from andamios.queries.reading import count, dialect_of
from andamios.queries.values import whole_number

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.queries.spec import QuerySpec

__all__ = ["page"]


async def page(session: AsyncSession, spec: QuerySpec, number: int, size: int) -> Page[Any]:
    """
    Give one page and the total.

    Args:
        session: Where to read.
        spec: The query; its order is made total, so that no result is on two pages.
        number: Which page, from 1; one past the end is empty.
        size: Results on a page.

    Raises:
        QueryError: A number or size below 1, or a query with a limit of its own.
    """
    if spec.is_sliced:
        raise QueryError("page() sets the limit itself; take limit() and offset() away")
    whole_number("size", size, least=1)
    offset = (whole_number("number", number, least=1) - 1) * size
    items = await _items(session, replace(spec, limit=size, offset=offset))
    # A page that is begun and not full is the last one, and tells the total itself.
    is_last = len(items) < size and bool(items or not offset)
    total = offset + len(items) if is_last else await count(session, spec)
    return Page(items, total, number, size)


async def _items(session: AsyncSession, spec: QuerySpec) -> list[Any]:
    source = source_of(spec, tie_broken(spec, order_keys(spec)))
    statement = source.statement.order_by(*placed(source.keys, dialect_of(session, spec)))
    result = await session.execute(finished(spec, statement))
    return list(result.all() if spec.gives_rows else result.scalars().unique().all())
