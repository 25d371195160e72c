"""
Paging by position: a page begins behind the last result of the one before.

However deep the page, the database reads only that page, and rows that come or go
meanwhile shift nothing. The order is made total by the key. A result comes after a
position when it is larger in the first key in which they differ; NULLs have their place
in the order and are found there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.errors import QueryError
from andamios.queries.compose import finished, source_of
from andamios.queries.cursors import Position, decode, encode
from andamios.queries.ordering import order_keys, placed, tie_broken
from andamios.queries.pages import CursorPage
from andamios.queries.reading import dialect_of
from andamios.queries.values import whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.queries.ordering import OrderKey
    from andamios.queries.spec import QuerySpec

__all__ = ["Order", "behind", "page_after", "rows_behind", "total_order"]


@dataclass(frozen=True, slots=True)
class Order:
    """A total order, and the text that cursors of it are signed with."""

    keys: tuple[OrderKey, ...]
    text: str


async def page_after(
    session: AsyncSession, spec: QuerySpec, cursor: str | None, size: int
) -> CursorPage[Any]:
    """
    Give the page at a cursor.

    Args:
        session: Where to read.
        spec: The query.
        cursor: From an earlier page of the same query; None is the beginning.
        size: Results on a page.

    Raises:
        QueryError: The cursor is not valid, or the query cannot be paged like this.
    """
    _require_keys(spec)
    whole_number("size", size, least=1)
    order = total_order(spec)
    types = [key.expression.type for key in order.keys]
    position = None if cursor is None else decode(cursor, order.text, types)
    rows = await rows_behind(session, spec.but(limit=size + 1), order, position)
    return _page(rows, order, position, size)


def behind(keys: Sequence[OrderKey], position: Position) -> sa.ColumnElement[bool]:
    """
    Build the condition for what comes behind a position.

    Args:
        keys: The order, in the direction of reading.
        position: Its values, one for each key.
    """
    pairs = list(zip(keys, position.values, strict=True))
    choices = [
        sa.and_(*(_same(*pair) for pair in pairs[:depth]), _after(*pairs[depth]))
        for depth in range(len(pairs))
    ]
    if position.inclusive:
        choices.append(sa.and_(*(_same(*pair) for pair in pairs)))
    return sa.and_(_bound(*pairs[0]), sa.or_(*choices))


def _require_keys(spec: QuerySpec) -> None:
    if spec.is_sliced:
        raise QueryError("page_after() sets the limit itself; take limit() and offset() away")
    if spec.gives_rows and (spec.is_grouped or spec.is_distinct):
        raise QueryError("page_after() needs rows with a key; page groups with page(number, size)")


def total_order(spec: QuerySpec) -> Order:
    """
    Give the order of a query, made total.

    Raises:
        QueryError: It is a text, of which no value can be read.
    """
    keys = tie_broken(spec, order_keys(spec))
    if any(isinstance(key.expression, sa.TextClause) for key in keys):
        raise QueryError(
            "An order in text() has no values to go on from; order by expressions or names"
        )
    mapper_name = f"{spec.model.__module__}.{spec.model.__qualname__}"
    return Order(keys, "|".join([mapper_name, *(key.name for key in keys)]))


async def rows_behind(
    session: AsyncSession, spec: QuerySpec, order: Order, position: Position | None
) -> list[tuple[Any, tuple[Any, ...]]]:
    """
    Read the results behind a position, each with the values that it is ordered by.

    Args:
        session: Where to read.
        spec: The query; its limit says how many.
        order: The total order of the query.
        position: None is the beginning.
    """
    source = source_of(spec, order.keys)
    keys, statement = source.keys, source.statement
    if position is not None and position.backwards:
        keys = tuple(key.reversed() for key in keys)
    if position is not None:
        statement = statement.where(behind(keys, position))
    width = len(statement.column_descriptions)
    labels = (key.expression.label(f"order_key_{i}") for i, key in enumerate(source.keys))
    statement = statement.add_columns(*labels)
    statement = statement.order_by(*placed(keys, dialect_of(session, spec)))
    rows = await session.execute(finished(spec, statement))
    result = (rows if spec.gives_rows else rows.unique()).freeze()
    values = [tuple(row[width:]) for row in result()]
    items = result().columns(*range(width)).all() if spec.gives_rows else result().scalars().all()
    return list(zip(items, values, strict=True))


def _page(
    rows: list[tuple[Any, tuple[Any, ...]]], order: Order, position: Position | None, size: int
) -> CursorPage[Any]:
    has_more, rows = len(rows) > size, rows[:size]
    backwards = position is not None and position.backwards
    if backwards:
        rows.reverse()
    has_previous, has_next = (has_more, True) if backwards else (position is not None, has_more)
    if rows:
        first, last = Position(rows[0][1], backwards=True), Position(rows[-1][1])
    else:
        # Everything on this side is gone: turn around where we stand.
        values = position.values if position else ()
        inclusive = position is not None and not position.inclusive
        first = Position(values, backwards=True, inclusive=inclusive)
        last = Position(values, inclusive=inclusive)
    return CursorPage(
        [item for item, _ in rows],
        next=encode(last, order.text) if has_next else None,
        previous=encode(first, order.text) if has_previous else None,
    )


def _bound(key: OrderKey, value: Any) -> sa.ColumnElement[bool]:
    """Repeat what the first key says alone, which an index can use."""
    if value is None or (key.is_nullable and not key.nulls_first):
        return sa.true()
    expression, operand = key.expression, _bind(key, value)
    bound: sa.ColumnElement[bool] = (
        expression <= operand if key.descending else expression >= operand
    )
    return bound


def _after(key: OrderKey, value: Any) -> sa.ColumnElement[bool]:
    expression = key.expression
    if value is None:
        is_later: sa.ColumnElement[bool] = expression.is_not(None)
        return is_later if key.nulls_first else sa.false()
    operand = _bind(key, value)
    larger: sa.ColumnElement[bool] = (
        expression < operand if key.descending else expression > operand
    )
    if key.is_nullable and not key.nulls_first:
        return sa.or_(larger, expression.is_(None))
    return larger


def _same(key: OrderKey, value: Any) -> sa.ColumnElement[bool]:
    if value is None:
        is_null: sa.ColumnElement[bool] = key.expression.is_(None)
        return is_null
    equal: sa.ColumnElement[bool] = key.expression == _bind(key, value)
    return equal


def _bind(key: OrderKey, value: Any) -> Any:
    return sa.literal(value, key.expression.type)
