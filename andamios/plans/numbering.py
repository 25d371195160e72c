"""
Many new rows by INSERT, in one call of the driver, which tells the keys that the database made.

SQLite tells the key of each row. MySQL and MariaDB tell the first key of a statement; those of its
other rows follow, as long as it is known beforehand how many there are (MySQL Reference Manual,
"AUTO_INCREMENT Handling in InnoDB": simple inserts).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.plans.builders import NOTHING
from andamios.plans.conflicts import Resolution, insert_into
from andamios.plans.drivers import Batch
from andamios.plans.forms import UnplannableError
from andamios.plans.inserting import AT_ONCE, Inserting
from andamios.plans.plan import Plan
from andamios.plans.records import Records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from andamios.plans.conflicts import Conflict
    from andamios.plans.drivers import Answer
    from andamios.plans.inserting import Fields
    from andamios.plans.records import Kept

__all__ = ["Numbering"]

MARKS = {"qmark": "?", "format": "%s"}
"""What stands for a value, by the paramstyle."""


class InsertPlan:
    """
    How rows with the same fields go in by INSERT.

    Args:
        mapper: Of the model.
        fields: Of the rows, by attribute.
        kept: What comes back.
        dialect: Whose SQL.
        conflict: What is done with rows that are there; default: they are refused.

    Raises:
        UnplannableError: SQLAlchemy has to do it.
    """

    def __init__(
        self,
        mapper: Any,
        fields: Fields,
        kept: Kept,
        dialect: Any,
        conflict: Conflict | None = None,
    ) -> None:
        preparer, self.table = dialect.identifier_preparer, mapper.local_table
        self.records = Records(mapper, fields, kept, dialect)
        self._require(dialect)
        names = ", ".join(map(preparer.format_column, self.records.columns))
        marks = ", ".join([MARKS[dialect.paramstyle]] * len(self.records.columns))
        table = preparer.format_table(self.table)
        self._head = f"INSERT INTO {table} ({names}) VALUES "  # noqa: S608  quoted
        self._row = f"({marks})"
        self._tail = self._compile(dialect, conflict)
        self.sql = self._head + self._row + self._tail

    def _require(self, dialect: Any) -> None:
        made, numbered = self.records.made, self.table.autoincrement_column
        if any(column is not numbered for column in made):
            raise UnplannableError("the database computes a default, which it does not return")
        if made and numbered.type.dialect_impl(dialect).result_processor(dialect, None):
            raise UnplannableError("a key has a type of its own")
        if not self.records.columns:
            raise UnplannableError("no column is given")

    def _compile(self, dialect: Any, conflict: Conflict | None) -> str:
        """Let SQLAlchemy compile it, and give what comes behind a row."""
        values = {
            column: sa.bindparam(f"p{place}", type_=column.type)
            for place, column in enumerate(self.records.columns)
        }
        statement = insert_into(self.table, dialect).values(values).inline()
        self._resolution = None if conflict is None else Resolution(statement, conflict)
        parameters = [*values.values()]
        if self._resolution is not None:
            statement = self._resolution.statement
            parameters += self._resolution.parameters
        self._whole = Plan(statement, parameters, NOTHING, dialect)
        _, row, tail = self._whole.sql.partition(f" VALUES {self._row}")
        if not row or (conflict is None and tail):
            raise UnplannableError("a type writes SQL of its own")
        return tail

    async def batch(
        self, values: Sequence[Any], conflict: Conflict | None = None
    ) -> tuple[Batch, list[Any]]:
        """
        Make what a driver inserts of rows, in which NULL stands for a key that is made.

        Args:
            values: As the records take them.
            conflict: What is done with rows that are there.

        Returns:
            It, and what is kept of each row.

        Raises:
            DataError: A value does not fit its type.
        """
        records: list[Any] = []
        found: list[Any] = []
        for start in range(0, len(values), AT_ONCE):
            part = values[start : start + AT_ONCE]
            made = [(None,)] * len(part) if self.records.made else ()
            bound, kept = self.records.bind(part, made, self.sql)
            records += bound
            found += kept
            await asyncio.sleep(0)  # others want to run, too
        parts = (self._head, self._row, self._tail)
        beside = self._beside(conflict)
        return Batch(parts, records, beside, is_numbered=bool(self.records.made)), found

    def _beside(self, conflict: Conflict | None) -> list[Any]:
        """Give the values of what comes behind a row."""
        if self._resolution is None or conflict is None:
            return []
        count = len(self.records.columns)
        return self._whole.bind([*[None] * count, *self._resolution.values(conflict)])[1][count:]


class Numbering(Inserting):
    """Puts new rows into a table of SQLite, MySQL or MariaDB by INSERT."""

    drivers = ("aiosqlite", "aiomysql", "asyncmy")

    def _plan(self, fields: Fields, kept: Kept) -> InsertPlan:
        return InsertPlan(self._mapper, fields, kept, self.dialect)

    async def _send(self, plan: InsertPlan, values: Sequence[Any]) -> list[Any]:
        batch, found = await plan.batch(values)
        numbers, _, _ = await self._run(plan, batch)
        return plan.records.numbered(found, numbers) if batch.is_numbered else found

    async def upsert(self, rows: Sequence[Mapping[str, Any]], conflict: Conflict) -> int:
        """
        Insert rows, or update those that are there.

        Args:
            rows: Dicts by attribute, all with the same fields, each row once.
            conflict: What is done with rows that are there.

        Returns:
            How many were written, if some may be left alone.

        Raises:
            UnplannableError: SQLAlchemy has to do it; nothing was written.
        """
        fields = tuple(sorted(rows[0]))
        plan = self._plans.kept(
            (InsertPlan, self._mapper.class_, fields, conflict.columns),
            lambda: InsertPlan(self._mapper, fields, "nothing", self.dialect, conflict),
        )
        batch, _ = await plan.batch(plan.records.values(rows), conflict)
        return int((await self._run(plan, batch))[1])

    async def _run(self, plan: InsertPlan, batch: Batch) -> Answer:
        driver: Any = self._plans.executor.driver
        answer: Answer = await self._plans.send(
            lambda connection: driver.write_many(connection, batch), plan.sql, writes=plan.table
        )
        return answer
