"""
Many new rows by COPY, which takes a quarter of the time of INSERT.

Values are bound by the columns' types, and what SQLAlchemy sets in a new row is set here. What
the database makes, such as keys, is asked for before, for all rows of a batch by one statement.
What COPY would do otherwise than INSERT is refused before anything is sent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.errors import AndamiosError
from andamios.plans.builders import Shape
from andamios.plans.forms import Form, Given, UnplannableError
from andamios.plans.inserting import AT_ONCE, Inserting
from andamios.plans.records import Records
from andamios.plans.tables import TypeCheck, look_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from sqlalchemy.orm import Mapper

    from andamios.plans.drivers import Answer
    from andamios.plans.inserting import Fields
    from andamios.plans.records import Kept
    from andamios.plans.sessions import SessionPlans
    from andamios.plans.tables import TableFacts

__all__ = ["Copying"]


class CopyPlan:
    """
    How rows with the same fields go in by COPY.

    Args:
        mapper: Of the model.
        fields: Of the rows, by attribute.
        kept: What comes back.
        dialect: Whose SQL.

    Raises:
        UnplannableError: SQLAlchemy has to do it.
    """

    def __init__(self, mapper: Any, fields: Fields, kept: Kept, dialect: Any) -> None:
        preparer, table = dialect.identifier_preparer, mapper.local_table
        self.table = table
        self.name = preparer.format_table(table)
        self.records = Records(mapper, fields, kept, dialect)
        self.check = TypeCheck(table, self.records.columns, dialect)
        names = ", ".join(map(preparer.format_column, self.records.columns))
        self.sql = f"COPY {self.name} ({names}) FROM STDIN"
        self._columns = [str(column.name) for column in self.records.columns]
        if any(getattr(each.name, "quote", None) is False for each in (table, *table.c)):
            raise UnplannableError("a name is not to be quoted")
        if not self._columns:
            raise UnplannableError("no column is given")

    def require(self, facts: TableFacts) -> None:
        """
        Refuse a table into which INSERT would write something else.

        Raises:
            UnplannableError: It would.
        """
        made = {column.name for column in self.records.made}
        if facts.obstacle is not None:
            raise UnplannableError(facts.obstacle)
        if facts.fixed & ({*self._columns} - made):
            raise UnplannableError("the database alone decides a column that was given")
        if made and facts.has_triggers:
            raise UnplannableError("a trigger may change what the database makes")
        if not made <= facts.defaults.keys():
            raise UnplannableError("the database has no default where the model has one")

    async def copy(self, connection: Any, records: AsyncIterator[Any]) -> Answer:
        """Send records, which are bound while the server stores those before them."""
        driver = connection.driver_connection
        errors = connection.dbapi_connection.dbapi.asyncpg
        try:
            status = await driver.copy_records_to_table(
                self.table.name,
                schema_name=self.table.schema,
                columns=self._columns,
                records=records,
            )
        except (errors.PostgresError, errors.InterfaceError, OSError, AndamiosError):
            raise
        except Exception as error:
            # What asyncpg itself makes of a value that it cannot write, but for COPY.
            raise errors.DataError("a value does not fit its column") from error
        return (), int(status.rpartition(" ")[2]), None


class Copying(Inserting):
    """Puts new rows into a table of PostgreSQL by COPY."""

    drivers = ("asyncpg",)

    def __init__(self, plans: SessionPlans, mapper: Mapper[Any]) -> None:
        super().__init__(plans, mapper)
        self._facts: TableFacts | None = None
        self._checked: set[CopyPlan] = set()

    def _plan(self, fields: Fields, kept: Kept) -> CopyPlan:
        return CopyPlan(self._mapper, fields, kept, self.dialect)

    async def _send(self, plan: CopyPlan, values: Sequence[Any]) -> list[Any]:
        if plan not in self._checked:
            await self._check(plan)
        made = await self._make(plan, len(values)) if plan.records.made else ()
        found: list[Any] = []

        async def records() -> AsyncIterator[Any]:
            for start in range(0, len(values), AT_ONCE):
                end = start + AT_ONCE
                bound, more = plan.records.bind(values[start:end], made[start:end], plan.sql)
                found.extend(more)
                for record in bound:
                    yield record
                await asyncio.sleep(0)  # others want to run, too

        await self._plans.send(
            lambda connection: plan.copy(connection, records()), plan.sql, writes=plan.table
        )
        return found

    async def _check(self, plan: CopyPlan) -> None:
        async def look(connection: Any) -> None:
            if self._facts is None:
                driver = self._plans.executor.driver
                self._facts = await look_at(connection, driver, plan.name)
            if connection.dbapi_connection._transaction is None:  # noqa: SLF001
                raise UnplannableError("each statement commits by itself")
            plan.require(self._facts)
            await plan.check(connection)

        await self._plans.send(look, plan.sql, writes=plan.table, is_told=False)
        self._checked.add(plan)

    async def _make(self, plan: CopyPlan, count: int) -> list[Any]:
        """Let the database make what it would make for so many rows."""
        assert self._facts is not None
        made = {each: self._facts.defaults[each.name] for each in plan.records.made}
        form = Form("made", self._mapper.class_, *((each.key, sql) for each, sql in made.items()))
        form.parameters.append(Given(count, "count"))
        return await self._plans.results(self._plans.plan(form, lambda: _made(made)), [count])


def _made(made: Mapping[Any, str]) -> tuple[Any, Shape]:
    """Build the SELECT of what the database makes, and what its rows become."""
    columns = [sa.literal_column(text, each.type) for each, text in made.items()]
    rows = sa.func.generate_series(
        sa.literal_column("1"), sa.bindparam("count", 1, sa.Integer())
    ).alias("n")
    names, types = zip(*((each.key, each.type) for each in made), strict=True)
    return sa.select(*columns).select_from(rows), Shape("tuples", names, types)
