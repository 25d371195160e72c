"""
Different values for many rows, in one call of the driver.

MySQL joins a table with rows that are written into the statement (``VALUES ROW(…)``, from 8.0.19),
which takes a tenth of the time of a statement for each row. Their columns get types of their own,
so that rows are found by whole numbers only, which are compared alike. MariaDB cannot name the
columns of such rows. SQLite runs a statement for each row, all in one hop to its thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa

from andamios.plans.drivers import Batch
from andamios.plans.forms import UnplannableError
from andamios.plans.inserting import ManyRows
from andamios.plans.plan import refusal
from andamios.plans.records import binder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Column
    from sqlalchemy.ext.asyncio import AsyncSession

    Parts = tuple[str, str, str]

__all__ = ["Updating"]


class Updating(ManyRows):
    """Updates rows of SQLite or MySQL by their keys."""

    drivers = ("aiosqlite", "aiomysql", "asyncmy")

    @classmethod
    def begin(cls, session: AsyncSession, model: type[Any]) -> Self | None:
        """Give what writes in a session; None if SQLAlchemy has to."""
        found = super().begin(session, model)
        if found is None or found.dialect.name == "sqlite":
            return found
        mapper: Any = sa.inspect(model)
        is_countable = all(isinstance(key.type, sa.Integer) for key in mapper.primary_key)
        return found if is_countable and not found.dialect.is_mariadb else None

    @property
    def is_silent(self) -> bool:
        """Whether to set a row to what it is changes nothing, such as the time of a change."""
        return all(
            column.onupdate is None and column.server_onupdate is None
            for column in self._mapper.local_table.c
        )

    async def update(
        self, columns: Sequence[Column[Any]], rows: Mapping[tuple[Any, ...], Sequence[Any]]
    ) -> int:
        """
        Update rows.

        Args:
            columns: Which are set.
            rows: Their values, by the key of each row.

        Returns:
            How many of the rows are there.

        Raises:
            DataError: A value does not fit its type.
            UnplannableError: SQLAlchemy has to do it; nothing was written.
        """
        keys: Any = self._mapper.primary_key
        if not self.is_silent or any(_writes_sql(column.type) for column in (*keys, *columns)):
            raise UnplannableError("each update sets a column, or a type writes SQL of its own")
        is_joined = self.dialect.name != "sqlite"
        parts = self._joined(keys, columns) if is_joined else self._single(keys, columns)
        given = (
            key + tuple(values) if is_joined else (*values, *key) for key, values in rows.items()
        )
        bound = self._bound((*keys, *columns) if is_joined else (*columns, *keys), given, parts)
        batch = Batch(parts, bound, (), is_numbered=False)
        driver: Any = self._plans.executor.driver
        table: Any = self._mapper.local_table
        answer = await self._plans.send(
            lambda connection: driver.write_many(connection, batch), "".join(parts), writes=table
        )
        return int(answer[1])

    def _single(self, keys: Sequence[Column[Any]], columns: Sequence[Column[Any]]) -> Parts:
        name = self.dialect.identifier_preparer
        values = ", ".join(f"{name.format_column(column)} = ?" for column in columns)
        where = " AND ".join(f"{name.format_column(key)} = ?" for key in keys)
        table = name.format_table(self._mapper.local_table)
        return f"UPDATE {table} SET {values} WHERE {where}", "", ""  # noqa: S608  quoted

    def _joined(self, keys: Sequence[Column[Any]], columns: Sequence[Column[Any]]) -> Parts:
        preparer = self.dialect.identifier_preparer
        names = [preparer.format_column(column) for column in (*keys, *columns)]
        places = [f"c{place}" for place in range(len(names))]
        pairs = [f"t.{name} = n.{place}" for name, place in zip(names, places, strict=True)]
        on, values = " AND ".join(pairs[: len(keys)]), ", ".join(pairs[len(keys) :])
        table = preparer.format_table(self._mapper.local_table)
        return (
            f"UPDATE {table} AS t JOIN (VALUES ",
            f"ROW({', '.join(['%s'] * len(names))})",
            f") AS n({', '.join(places)}) ON {on} SET {values}",
        )

    def _bound(
        self, columns: Sequence[Column[Any]], rows: Iterable[Sequence[Any]], parts: Parts
    ) -> list[tuple[Any, ...]]:
        binds = [binder(column.type, self.dialect) for column in columns]
        try:
            return [
                tuple(
                    value if bind is None else bind(value)
                    for bind, value in zip(binds, row, strict=True)
                )
                for row in rows
            ]
        except Exception as error:
            raise refusal(error, "".join(parts)) from error


def _writes_sql(kind: Any) -> bool:
    """Whether a type writes more than a mark where a value is bound."""
    plain: sa.Select[Any] = sa.select(sa.bindparam("p"))
    return str(plain) != str(sa.select(sa.bindparam("p", type_=kind)))
