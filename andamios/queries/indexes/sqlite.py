"""
A copy of an SQLite database in memory, to try indexes on.

It has the schema and a bounded sample of the rows, and statistics if the real one has them,
since SQLite's planner looks at nothing else. The planner tells no cost. So the statement
runs on the copy, and the steps of SQLite's virtual machine are counted: unlike seconds,
they are the same each time.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.core.engine import AndamiosEngine
from andamios.errors import AndamiosError
from andamios.queries.indexes.candidates import tables_of
from andamios.queries.indexes.copies import described, stored_columns
from andamios.queries.indexes.laboratory import Laboratory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.queries.indexes.candidates import Candidate
    from andamios.queries.planning.explain import Sent
    from andamios.queries.planning.plan import QueryPlan

__all__ = ["CountingLaboratory", "sqlite_copy"]

GRAIN = 10
"""Steps of the virtual machine between two looks at them."""

MOST_STEPS = 200_000_000
"""Steps after which a statement is stopped, some seconds; it then costs as many."""

SCHEMA = sa.text(
    "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND "
    "(type = 'view' OR type IN ('table', 'index') AND tbl_name IN :names) "
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type = 'index', type = 'view'"
).bindparams(sa.bindparam("names", expanding=True))
ANALYZED = sa.text("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'")


@asynccontextmanager
async def sqlite_copy(
    live: AsyncConnection, sent: Sent, inner: Any, *, most: int
) -> AsyncIterator[Laboratory]:
    """
    Copy tables into a database in memory.

    Args:
        live: Reads the real one.
        sent: The statement.
        inner: The statement of Core inside it.
        most: Rows to copy of each at most.
    """
    async with (
        AndamiosEngine("sqlite://", uvloop=False) as engine,
        engine.async_engine.connect() as plain,
    ):
        copy = await plain.execution_options(isolation_level="AUTOCOMMIT")
        await copy.exec_driver_sql("PRAGMA foreign_keys=OFF")
        tables = tables_of(inner)
        names = [table.name for table in tables]
        for ddl in (await live.execute(SCHEMA, {"names": names})).scalars():
            await copy.exec_driver_sql(ddl)
        copied = [(table.name, *await _copy_rows(live, copy, table, most)) for table in tables]
        is_analyzed = bool(await live.scalar(ANALYZED))
        tried_on = described(copied)
        laboratory = CountingLaboratory(copy, sent, tried_on=tried_on, is_analyzed=is_analyzed)
        await laboratory.analyze()
        yield laboratory


async def _copy_rows(
    live: AsyncConnection, copy: AsyncConnection, table: sa.Table, most: int
) -> tuple[int, int]:
    quote = live.dialect.identifier_preparer.quote
    name = quote(table.name)
    columns = [quote(column) for column in await live.run_sync(stored_columns, table)]
    total = int(await live.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
    # Each row with the same chance, without sorting them all.
    some = f"WHERE abs(random() % {total}) < {most}" if total > most else ""
    read = f"SELECT {', '.join(columns)} FROM {name} {some} LIMIT {most}"  # noqa: S608  own names
    rows = [tuple(row) for row in await live.exec_driver_sql(read)]
    if rows:
        places = ", ".join("?" * len(columns))
        write = f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608
        await copy.exec_driver_sql("BEGIN")
        await copy.exec_driver_sql(write, rows)
        await copy.exec_driver_sql("COMMIT")
    return len(rows), total


class CountingLaboratory(Laboratory):
    """Counts the steps of SQLite's virtual machine."""

    # One step that finds a row through an index takes as long as several that go on to the next.
    worthwhile = 0.75

    def __init__(
        self, connection: AsyncConnection, sent: Sent, *, tried_on: str, is_analyzed: bool
    ) -> None:
        super().__init__(connection, sent, tried_on=tried_on)
        self._is_analyzed = is_analyzed

    async def analyze(self) -> None:
        """Bring statistics up to date, if there are any."""
        if self._is_analyzed:
            await self.connection.exec_driver_sql("ANALYZE")

    async def add(self, candidate: Candidate, name: str) -> None:
        """Make an index, with statistics."""
        await super().add(candidate, name)
        await self.analyze()

    async def cost(self, plan: QueryPlan) -> tuple[float, str]:
        """Run the statement and count."""
        looks = 0

        def look() -> bool:
            nonlocal looks
            looks += 1
            return looks * GRAIN > MOST_STEPS

        driver: Any = (await self.connection.get_raw_connection()).driver_connection
        sent = self._sent
        try:
            await driver.set_progress_handler(look, GRAIN)
            await self.connection.execute(
                sent.statement, sent.parameters, execution_options=sent.options
            )
        except AndamiosError:
            if looks * GRAIN <= MOST_STEPS:
                raise
        finally:
            # One that was cancelled is closed already.
            if not (self.connection.closed or self.connection.invalidated):
                await driver.set_progress_handler(None, GRAIN)
        return float(looks * GRAIN), "steps of SQLite's virtual machine"
