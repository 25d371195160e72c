"""
Copies of tables to try indexes on: temporary tables, which hide the real ones by name.

A bounded sample of the rows is copied, since empty tables plan as one row. On PostgreSQL
everything goes with the transaction; on MySQL and MariaDB the tables are dropped, and
go with the connection if even that fails. Nobody else sees them at any time.
"""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.errors import QueryError
from andamios.queries.indexes.candidates import tables_of, uses_of
from andamios.queries.indexes.laboratory import Laboratory, examined_rows
from andamios.queries.planning.explain import Sent, explain_sent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.queries.planning.plan import QueryPlan

__all__ = [
    "MeasuringLaboratory",
    "described",
    "mysql_copies",
    "postgresql_copies",
    "stored_columns",
]

TEMPORARY = "pg_temp"

MOST_MEASURED = 5_000_000
"""Rows; a statement that is expected to read more is not run on a copy."""

POSTGRESQL_ROWS = sa.text(
    "SELECT reltuples FROM pg_catalog.pg_class WHERE oid = to_regclass(:name)"
)
MYSQL_ROWS = sa.text(
    "SELECT table_rows FROM information_schema.tables "
    "WHERE table_name = :name AND table_schema = coalesce(:schema, database())"
)


@asynccontextmanager
async def postgresql_copies(
    connection: AsyncConnection, sent: Sent, inner: Any, *, most: int
) -> AsyncIterator[Laboratory]:
    """
    Copy tables into the transaction's own temporary ones.

    Args:
        connection: Taken for this; its transaction is rolled back.
        sent: The statement.
        inner: The statement of Core inside it.
        most: Rows to copy of each at most.
    """
    copied: list[tuple[str, int, float]] = []
    tables = tables_of(inner)
    for table in tables:
        name = connection.dialect.identifier_preparer.format_table(table)
        rows = await connection.scalar(POSTGRESQL_ROWS, {"name": name}) or 0
        source: Any = table
        if rows > most:
            source = sa.tablesample(table, sa.func.system(100.0 * most / rows))
        # It gets the name of the real one, which it hides, when it has its rows.
        copy = sa.table(f"andamios_copy_{secrets.token_hex(4)}", schema=TEMPORARY)
        quoted = connection.dialect.identifier_preparer.format_table(copy)
        what = f"(LIKE {name} INCLUDING ALL EXCLUDING IDENTITY) ON COMMIT DROP"
        await connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {quoted} {what}")
        count = await _fill(connection, source, copy, await _stored(connection, table), most)
        await connection.exec_driver_sql(f"ANALYZE {quoted}")
        its_name = connection.dialect.identifier_preparer.quote(table.name)
        await connection.exec_driver_sql(f"ALTER TABLE {quoted} RENAME TO {its_name}")
        copied.append((table.name, count, rows if rows > most else count))
    schemas = {table.schema: TEMPORARY for table in tables} | {None: TEMPORARY}
    options = dict(sent.options) | {"schema_translate_map": schemas}
    moved = Sent(sent.statement, sent.parameters, options)
    yield Laboratory(connection, moved, tried_on=described(copied), schema=TEMPORARY)


@asynccontextmanager
async def mysql_copies(
    connection: AsyncConnection, sent: Sent, inner: Any, *, most: int
) -> AsyncIterator[Laboratory]:
    """
    Copy tables into temporary ones of the connection.

    Args:
        connection: Taken for this.
        sent: The statement.
        inner: The statement of Core inside it.
        most: Rows to copy of each at most.

    Raises:
        QueryError: The statement reads a table twice, which MySQL cannot do with a
            temporary one.
    """
    tables = tables_of(inner)
    if len(uses_of(inner)) > len(tables):
        raise QueryError(
            "The statement reads a table twice, and MySQL cannot read a temporary copy twice. "
            "Use build=True, which tries a real index."
        )
    made: list[str] = []
    copied: list[tuple[str, int, float]] = []
    format_table = connection.dialect.identifier_preparer.format_table
    try:
        for table in tables:
            name = format_table(table)
            rows = await _mysql_rows(connection, table)
            copy = sa.table(f"andamios_copy_{secrets.token_hex(4)}", schema=table.schema)
            made += [format_table(copy), name]
            await connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {made[-2]} LIKE {name}")
            columns = await _stored(connection, table)
            source: Any = sa.select(table)
            if rows > most:
                source = source.where(sa.func.rand() < most / rows)
            count = await _fill(connection, source.subquery(), copy, columns, most)
            copied.append((table.name, count, rows if rows > most else count))
            await connection.exec_driver_sql(f"ALTER TABLE {made[-2]} RENAME TO {name}")
        yield MeasuringLaboratory(connection, sent, tried_on=described(copied))
    finally:
        if made and not (connection.closed or connection.invalidated):
            # The word TEMPORARY keeps the real tables safe from this.
            names = ", ".join(made)
            await connection.exec_driver_sql(f"DROP TEMPORARY TABLE IF EXISTS {names}")


class MeasuringLaboratory(Laboratory):
    """
    Runs the statement and counts the rows that it reads.

    MySQL's costs know nothing of how values are spread in a column without an index, and
    MariaDB's plans tell costs from version 11 on. What would read too many rows is not
    run, nor on a server that cannot count; then the expected rows are what counts.
    """

    _measures: bool | None = None

    async def cost(self, plan: QueryPlan) -> tuple[float, str]:
        """Count the rows read."""
        if self._measures is None:
            self._measures = await self._can_measure(plan)
        if not self._measures:
            return examined_rows(plan), "rows to read, as expected"
        return examined_rows(await self._measured()), "rows read"

    async def _can_measure(self, plan: QueryPlan) -> bool:
        if examined_rows(plan) > MOST_MEASURED:
            return False
        try:
            await self._measured()
        except QueryError:
            return False
        return True

    async def _measured(self) -> QueryPlan:
        ask = partial(explain_sent, analyze=True)
        return await self.connection.run_sync(ask, self._sent)


def described(copied: Sequence[tuple[str, int, float]]) -> str:
    """Say what was copied: names, rows of the copy, and rows that there are."""
    parts = (
        f"{count:,} of about {rows:,.0f} rows of {name}" if rows > count else f"{name}"
        for name, count, rows in copied
    )
    return f"a copy of {', '.join(parts)}"


def stored_columns(connection: sa.Connection, table: sa.Table) -> list[str]:
    """Give the names of a table's columns that hold values of their own."""
    found = sa.inspect(connection).get_columns(table.name, table.schema)
    return [column["name"] for column in found if not column.get("computed")]


async def _stored(connection: AsyncConnection, table: sa.Table) -> list[str]:
    return await connection.run_sync(stored_columns, table)


async def _mysql_rows(connection: AsyncConnection, table: sa.Table) -> float:
    names = {"name": table.name, "schema": table.schema}
    return float(await connection.scalar(MYSQL_ROWS, names) or 0)


async def _fill(
    connection: AsyncConnection, source: Any, copy: Any, columns: list[str], most: int
) -> int:
    read: list[Any] = [
        sa.literal_column(connection.dialect.identifier_preparer.quote(c)) for c in columns
    ]
    sample = sa.select(*read).select_from(source).limit(most)
    target = sa.table(copy.name, *map(sa.column, columns), schema=copy.schema)
    result = await connection.execute(target.insert().from_select(columns, sample))
    return result.rowcount
