"""
Many rows written from arrays, by one statement: different values for each row.

PostgreSQL makes rows of a list for each column (``unnest``). An UPDATE of rows that differ from
those, or an INSERT of them, takes a tenth of the time that a statement for each row takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.models.soft_delete import is_soft_delete
from andamios.plans.builders import NOTHING, Shape
from andamios.plans.conflicts import Resolution, insert_into
from andamios.plans.forms import UnplannableError
from andamios.plans.inserting import ManyRows
from andamios.plans.lists import Listed
from andamios.plans.objects import set_obstacle
from andamios.plans.plan import Plan, refusal
from andamios.plans.records import Records, binder, is_sql_type, picked
from andamios.plans.tables import TypeCheck, cast_of
from andamios.plans.writes import maker_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Column
    from sqlalchemy.engine import Dialect

    from andamios.plans.conflicts import Conflict

__all__ = ["Unnesting"]

Key = tuple[Any, ...]

UNIQUE = (sa.PrimaryKeyConstraint, sa.UniqueConstraint)
HARMLESS = (*UNIQUE, sa.ForeignKeyConstraint, sa.CheckConstraint)


class Arrays:
    """
    Rows given as an array for each column.

    Args:
        columns: What they consist of.
        dialect: Whose types.

    Raises:
        UnplannableError: There is no array of a type.
    """

    def __init__(self, columns: Sequence[Column[Any]], dialect: Dialect) -> None:
        casts = [cast_of(column.type, dialect) for column in columns]
        if any(cast.endswith("]") for cast in casts):
            raise UnplannableError("an array of arrays is one array")
        self.casts = casts
        self.parameters = [
            sa.bindparam(f"p{place}", type_=Listed(cast)) for place, cast in enumerate(casts)
        ]
        names = (f"c{place}" for place in range(len(columns)))
        # Without types, so that values are compared by the database, and not as a type has it.
        rows = sa.func.unnest(*self.parameters).table_valued(*names).render_derived()
        self.parts: dict[Column[Any], Any] = dict(zip(columns, rows.c, strict=True))


class UpdatePlan:
    """
    How rows with the same fields are updated by one statement.

    Args:
        mapper: Of the model.
        fields: Of the rows, by attribute.
        dialect: Whose SQL.

    Raises:
        UnplannableError: SQLAlchemy has to do it.
    """

    def __init__(self, mapper: Any, fields: tuple[str, ...], dialect: Any) -> None:
        self._mapper, self._fields = mapper, fields
        self.table = mapper.local_table
        self._given = [_column(mapper, field) for field in fields]
        self._set = [each for each in self._given if not self._is_condition(each)]
        self._require()
        self._makers = dict(self._onupdate())
        columns = [*self._given, *self._makers]
        self._binders = [binder(each.type, dialect) for each in columns]
        arrays = Arrays(columns, dialect)
        if "JSON" in arrays.casts:
            raise UnplannableError("documents of the type json cannot be compared")
        names, types = zip(*((each.key, each.type) for each in mapper.primary_key), strict=True)
        key = Shape("tuples", names, types)
        self.plan = Plan(self._statement(arrays.parts), arrays.parameters, key, dialect)
        self.check = TypeCheck(self.table, self._given, dialect)

    def bind(self, rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
        """
        Give an array for each column.

        Raises:
            DataError: A value does not fit its type.
            UnplannableError: Rows have other fields, or expressions of SQL.
        """
        given = [*zip(*picked(rows, self._fields), strict=True)]
        if any(is_sql_type(kind) for values in given for kind in {*map(type, values)}):
            raise UnplannableError("a value is an expression of SQL")
        made = [[make() for _ in rows] for make in self._makers.values()]
        try:
            return [
                [*values] if bind is None else [*map(bind, values)]
                for bind, values in zip(self._binders, (*given, *made), strict=True)
            ]
        except Exception as error:
            raise refusal(error, self.plan.sql) from error

    def _is_condition(self, column: Column[Any]) -> bool:
        return column.primary_key or column is self._mapper.version_id_col

    def _require(self) -> None:
        mapper, names = self._mapper, {column.name for column in self._set}
        if not names:
            raise UnplannableError("nothing is set")
        if any(column.computed is not None for column in self._set):
            raise UnplannableError("the database computes a column that was given")
        if is_soft_delete(mapper.class_) and "deleted_at" in self._fields:
            raise UnplannableError("rows are marked as deleted, or restored")
        version = mapper.version_id_col
        if version is not None and not _counts(version, mapper.version_id_generator):
            raise UnplannableError("versions are no numbers")
        # One row after the other may be right where all at once, in any order, are not.
        if names & set(_unique_names(self.table)):
            raise UnplannableError("a unique column is set")

    def _onupdate(self) -> Iterator[tuple[Column[Any], Callable[[], Any]]]:
        """Give the columns that each update sets, and what makes their values."""
        for column in self.table.c:
            onupdate: Any = column.onupdate
            is_given = column in self._given or column is self._mapper.version_id_col
            if onupdate is not None and not is_given:
                yield column, maker_of(onupdate)

    def _statement(self, parts: Mapping[Column[Any], Any]) -> Any:
        mapper, version = self._mapper, self._mapper.version_id_col
        where = [parts[column] == column for column in self._given if self._is_condition(column)]
        where.append(sa.or_(*(parts[column].is_distinct_from(column) for column in self._set)))
        if is_soft_delete(mapper.class_):
            where.append(mapper.column_attrs["deleted_at"].columns[0].is_(None))
        values = {column: parts[column] for column in (*self._set, *self._makers)}
        if version is not None:
            values[version] = version + sa.literal_column("1")
        update = sa.update(self.table).values(values).where(*where)
        return update.returning(*mapper.primary_key)


class UpsertPlan:
    """
    How rows with the same fields are inserted, or those that are there updated.

    Args:
        mapper: Of the model.
        fields: Of the rows, by attribute.
        conflict: What is done with rows that are there.
        dialect: Whose SQL.

    Raises:
        UnplannableError: SQLAlchemy has to do it.
    """

    def __init__(
        self, mapper: Any, fields: tuple[str, ...], conflict: Conflict, dialect: Any
    ) -> None:
        self.table = mapper.local_table
        self._records = Records(mapper, fields, "nothing", dialect)
        arrays = Arrays(self._records.columns, dialect)
        names = [column.key for column in arrays.parts]
        chosen = sa.select(*arrays.parts.values())
        insert = insert_into(self.table, dialect)
        insert = insert.from_select(names, chosen, include_defaults=False)
        self._resolution = Resolution(insert, conflict)
        statement = self._resolution.statement
        if self._resolution.is_limited:
            statement = statement.returning(sa.literal_column("1", sa.Integer()))
        parameters = [*arrays.parameters, *self._resolution.parameters]
        self.plan = Plan(statement, parameters, NOTHING, dialect)
        self.check = TypeCheck(self.table, self._records.columns, dialect)

    def bind(self, rows: Sequence[Mapping[str, Any]], conflict: Conflict) -> list[Any]:
        """
        Give an array for each column, and what is set besides.

        Raises:
            DataError: A value does not fit its type.
            UnplannableError: Rows have other fields.
        """
        records, _ = self._records.bind(self._records.values(rows), (), self.plan.sql)
        arrays = map(list, zip(*records, strict=True))
        return [*arrays, *self._resolution.values(conflict)]


class Unnesting(ManyRows):
    """Writes rows from arrays."""

    drivers = ("asyncpg",)

    async def update(self, rows: Sequence[Mapping[str, Any]]) -> list[Key]:
        """
        Update rows that differ from what is stored.

        Args:
            rows: Dicts by attribute, with the key, each row once. A version is compared.

        Returns:
            The keys of rows that were updated. Others are as they should be, or missing, or
            have another version.

        Raises:
            UnplannableError: SQLAlchemy has to do it; nothing was written.
        """
        fields = tuple(rows[0])
        plan = self._plans.kept(
            (UpdatePlan, self._mapper.class_, fields),
            lambda: UpdatePlan(self._mapper, fields, self.dialect),
        )
        if (reason := set_obstacle(self._mapper, fields)) is not None:
            raise UnplannableError(reason)
        values = plan.bind(rows)
        return await self._run(plan, values)

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
            (UpsertPlan, self._mapper.class_, fields, conflict.columns),
            lambda: UpsertPlan(self._mapper, fields, conflict, self.dialect),
        )
        values = plan.bind(rows, conflict)
        return len(await self._run(plan, values))

    async def _run(self, plan: UpdatePlan | UpsertPlan, values: Sequence[Any]) -> list[Any]:
        if not plan.check.is_done:
            await self._plans.send(plan.check, plan.plan.sql, writes=plan.table, is_told=False)
        return await self._plans.results(plan.plan, values, writes=plan.table)


def _column(mapper: Any, field: str) -> Column[Any]:
    (column,) = mapper.column_attrs[field].columns
    return column  # type: ignore[no-any-return]


def _counts(version: Column[Any], generator: Any) -> bool:
    """Whether a version is a number that counts by one."""
    is_number = isinstance(version.type, sa.Integer) and callable(generator)
    return is_number and generator(1) - 1 == 1


def _unique_names(table: Any) -> Iterator[str]:
    """Give the names of columns that are unique; of all, if that is not told."""
    for constraint in table.constraints:
        if not isinstance(constraint, HARMLESS):
            yield from table.c.keys()
        elif isinstance(constraint, UNIQUE):
            yield from (column.name for column in constraint.columns)
    for index in table.indexes:
        if index.unique:
            is_plain = all(isinstance(each, sa.Column) for each in index.expressions)
            yield from (c.name for c in (index.columns if is_plain else table.c))
