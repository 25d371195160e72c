"""Paging by number: a slice of the results, and how many there are in all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from andamios.errors import QueryError
from andamios.queries.compose import counted, finished, source_of
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
    items, total = await _read(session, spec.but(limit=size, offset=offset), spec)
    if total is None:  # a page past the end has no row to tell it
        total = await count(session, spec) if offset else 0
    return Page(items, total, number, size)


async def _read(
    session: AsyncSession, spec: QuerySpec, whole: QuerySpec
) -> tuple[list[Any], int | None]:
    """Read a page and the total in one round trip; the database counts once, not for each row."""
    dialect = dialect_of(session, spec)
    source = source_of(spec, tie_broken(spec, order_keys(spec)))
    statement = source.statement.order_by(*placed(source.keys, dialect))
    width = len(statement.column_descriptions)
    total = counted(whole, dialect).scalar_subquery().label("page_total")
    rows = await session.execute(finished(spec, statement.add_columns(total)))
    result = (rows if spec.gives_rows else rows.unique()).freeze()
    first = result().first()
    items = result().columns(*range(width)).all() if spec.gives_rows else result().scalars().all()
    return list(items), None if first is None else first[width]
