"""
Results in parts, as a cursor of the server gives them.

The cursor lives in a transaction on a connection of its own. Only whole parts are waited for, in
the driver itself; what they become is built as for any other answer, so that memory holds a part
or two however many rows there are.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from andamios.plans.transactions import reading

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager

    from andamios.plans.cache import Plans
    from andamios.plans.plan import Plan
    from andamios.plans.transactions import Transaction

    Fetch = Callable[[int], Awaitable[tuple[Sequence[Any], Any]]]
    Open = Callable[[Any, Transaction, str, Sequence[Any]], AbstractAsyncContextManager[Fetch]]
    Finish = Callable[[list[Any], Transaction], Awaitable[list[Any]]]

__all__ = ["parts_of_result"]


async def parts_of_result(
    plans: Plans, plan: Plan, values: Sequence[Any], batch: int, *, finish: Finish | None = None
) -> AsyncGenerator[list[Any], None]:
    """
    Give what a statement finds, part by part.

    Args:
        plans: Of the engine.
        plan: Of the statement.
        values: Its parameters'.
        batch: Rows in a part.
        finish: Makes the part that is given of what the plan builds.

    Raises:
        UnplannableError: Tables have changed, so that SQLAlchemy has to run it. Nothing was given.
    """
    executor = plans.executor
    opened = CURSORS[executor.dialect.driver]
    sql, bound = plan.bind(values)
    async with reading(executor) as transaction:
        with transaction.telling(sql) as tell:
            async with opened(executor.dialect, transaction, sql, bound) as fetch:
                size = batch
                while size == batch:
                    rows, description = await fetch(batch)
                    tell()
                    part, size = plan.build(rows, description, executor.driver), len(rows)
                    if finish is not None:
                        part = await finish(part, transaction)
                    transaction.has_given = True
                    try:
                        yield part
                    except GeneratorExit:  # it was left early, with nothing under way
                        transaction.outcome = "rolled back"
                        return


@asynccontextmanager
async def _of_asyncpg(
    dialect: Any, transaction: Transaction, sql: str, values: Sequence[Any]
) -> AsyncIterator[Fetch]:
    """Open a portal, which ends with its transaction."""
    adapter = transaction.connection.dbapi_connection
    statement, attributes = await adapter._prepare(  # noqa: SLF001
        sql,
        dialect._invalidate_schema_cache_asof,  # noqa: SLF001
    )
    cursor = await statement.cursor(*values)

    async def fetch(count: int) -> tuple[Sequence[Any], Any]:
        return await cursor.fetch(count), attributes

    yield fetch


@asynccontextmanager
async def _of_aiosqlite(
    _dialect: Any, transaction: Transaction, sql: str, values: Sequence[Any]
) -> AsyncIterator[Fetch]:
    """Open a cursor, whose parts take one hop to its thread each."""
    cursor = await transaction.connection.driver_connection.execute(sql, values)

    async def fetch(count: int) -> tuple[Sequence[Any], Any]:
        return await cursor.fetchmany(count), None

    async with _closing(cursor):
        yield fetch


@asynccontextmanager
async def _of_mysql(
    dialect: Any, transaction: Transaction, sql: str, values: Sequence[Any]
) -> AsyncIterator[Fetch]:
    """Open an unbuffered cursor, with which the server sends while it is read."""
    cursors = getattr(dialect.loaded_dbapi, dialect.driver).cursors
    cursor = cursors.SSCursor(transaction.connection.driver_connection)
    await cursor.execute(sql, values)

    async def fetch(count: int) -> tuple[Sequence[Any], Any]:
        return await cursor.fetchmany(count), cursor.description

    async with _closing(cursor):
        yield fetch


@asynccontextmanager
async def _closing(cursor: Any) -> AsyncIterator[None]:
    """Close a cursor, unless its task was cancelled: then its connection is given up."""
    try:
        yield
    except Exception:
        await cursor.close()
        raise
    await cursor.close()


CURSORS: dict[str, Open] = {
    "asyncpg": _of_asyncpg,
    "aiosqlite": _of_aiosqlite,
    "aiomysql": _of_mysql,
    "asyncmy": _of_mysql,
}
"""How a result is opened, by driver; what comes of it fetches rows and what tells their types."""
