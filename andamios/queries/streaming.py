"""
Reading results as they arrive, batch by batch, in constant memory.

A cursor on the server does it on PostgreSQL and SQLite. MySQL has one result under way on
a connection: whatever else is sent meanwhile ends it. So there a cursor is used only
where nothing else can be sent, and otherwise each batch is asked for behind the last
one. That costs a sort for each batch if no index has the order; the key, which is the
order by default, always has one.
"""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from andamios.errors import QueryError
from andamios.plans.forms import UnplannableError
from andamios.queries.compose import executed
from andamios.queries.cursors import Position
from andamios.queries.fields import mapper_of
from andamios.queries.keyset import rows_behind, total_order
from andamios.queries.loading import joins_collections
from andamios.queries.reading import dialect_of, fetch
from andamios.queries.scope import read_scope, stands_alone
from andamios.queries.short import reader_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.queries.scope import Bind
    from andamios.queries.spec import QuerySpec

__all__ = ["parts", "stream"]


async def parts(bind: Bind, spec: QuerySpec, batch: int) -> AsyncGenerator[Sequence[Any], None]:
    """
    Give what a query finds in parts, on the short way or in a session.

    Args:
        bind: Where to read.
        spec: The query.
        batch: How many results are held at a time.
    """
    if (short := reader_for(bind, spec)) is not None:
        with suppress(UnplannableError):
            async with aclosing(short.parts(spec, batch)) as found:
                async for part in found:
                    yield part
                return
    async with read_scope(bind, spec.model) as session:
        long = stream(session, spec, batch, is_private=stands_alone(bind))
        async with aclosing(long) as found_there:
            async for each in found_there:
                yield each


NEEDS_NO_STATEMENT = {"select", "raise", "raise_on_sql", "noload", "dynamic", "write_only"}
"""How a relationship can be mapped so that loading its object loads nothing else."""


async def stream(
    session: AsyncSession, spec: QuerySpec, batch: int, *, is_private: bool
) -> AsyncGenerator[Sequence[Any], None]:
    """
    Give results in batches.

    Args:
        session: Where to read.
        spec: The query.
        batch: How many results are held at a time.
        is_private: Whether nobody else uses the session meanwhile.

    Raises:
        QueryError: A collection is joined, whose rows cannot be told apart in batches.
    """
    if joins_collections(spec.loads):
        raise QueryError("A stream cannot join collections; load them with strategy='selectin'.")
    is_mysql = dialect_of(session, spec) in {"mysql", "mariadb"}
    if is_mysql and not (is_private and _is_one_statement(spec)):
        parts = _by_position(session, spec, batch)
    else:
        parts = _by_cursor(session, spec, batch)
    async with aclosing(parts):
        async for part in parts:
            yield part


def _is_one_statement(spec: QuerySpec) -> bool:
    if spec.gives_rows:
        return True
    lazy = {relationship.lazy for relationship in mapper_of(spec.model).relationships}
    return not spec.loads and lazy <= NEEDS_NO_STATEMENT


async def _by_cursor(
    session: AsyncSession, spec: QuerySpec, batch: int
) -> AsyncGenerator[Sequence[Any], None]:
    statement = executed(spec, dialect_of(session, spec))
    result = await session.stream(statement.execution_options(yield_per=batch))
    try:
        parts = result.partitions() if spec.gives_rows else result.scalars().partitions()
        async for part in parts:
            yield part
    finally:
        await result.close()


async def _by_position(
    session: AsyncSession, spec: QuerySpec, batch: int
) -> AsyncGenerator[Sequence[Any], None]:
    if spec.gives_rows and (spec.is_grouped or spec.is_distinct):
        # Groups have no key to go on from, and are few.
        yield await fetch(session, spec)
        return
    order, position, left = total_order(spec), None, spec.limit
    while left is None or left > 0:
        size = batch if left is None else min(batch, left)
        rows = await rows_behind(session, spec.but(limit=size), order, position)
        if rows:
            yield [item for item, _ in rows]
        if len(rows) < size:
            return
        position, left = Position(rows[-1][1]), None if left is None else left - size
        spec = spec.but(offset=None)
