"""
Different values for many rows, without making objects of them.

What stands in the rows is read as plain values, and compared as SQLAlchemy compares what it
loaded; those that differ are updated by their keys, in one call of the driver. Where nobody could
tell that a row was set to what it was, none is read (:mod:`andamios.plans.updating`). PostgreSQL
does all of it by one statement (:mod:`andamios.plans.unnesting`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa

from andamios.models.history import history_table
from andamios.models.hooks import has_hooks
from andamios.models.soft_delete import is_soft_delete
from andamios.plans.forms import UnplannableError
from andamios.plans.objects import set_obstacle, write_obstacle
from andamios.plans.records import is_sql_type
from andamios.plans.sessions import plans_in
from andamios.plans.updating import Updating
from andamios.queries.fields import key_attributes, key_condition, mapper_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.repositories.reading import Key

    Values = Mapping[Key, Sequence[Any]]

__all__ = ["Differing"]


class Differing:
    """
    Updates rows of a model that differ from what is given, within one session.

    Args:
        session: Where to write.
        model: The mapped class.
    """

    def __init__(self, session: AsyncSession, model: type[Any]) -> None:
        self._session, self._model, self._mapper = session, model, mapper_of(model)
        self._key = [attribute.key for attribute in key_attributes(model)]

    @classmethod
    def begin(cls, session: AsyncSession, model: type[Any]) -> Self | None:
        """Give what writes in a session; None if objects have to be made."""
        mapper = mapper_of(model)
        if isinstance(plans_in(session, writes=True), str) or write_obstacle(mapper) is not None:
            return None
        keeps_count = mapper.version_id_col is not None or history_table(mapper) is not None
        return None if keeps_count or has_hooks(model) else cls(session, model)

    async def update(self, rows: Sequence[Mapping[str, Any]]) -> Iterable[Key]:
        """
        Update rows that differ from what is stored.

        Args:
            rows: Dicts by attribute, with the key, all with the same fields, each row once.

        Returns:
            The keys of rows that are there, and now as they were given.

        Raises:
            UnplannableError: Objects have to be made; nothing was written.
        """
        fields = [name for name in rows[0] if name not in self._key]
        given = {tuple(row[name] for name in self._key): row for row in rows}
        wanted = {key: [row[name] for name in fields] for key, row in given.items()}
        self._require(fields, wanted)
        if await self._are_written(fields, wanted):
            return wanted
        stored = await self._stored(fields, wanted)
        types = [column.type for column in self._columns(fields)]
        changed = {
            key: wanted[key]
            for key, values in stored.items()
            if not all(map(sa.types.TypeEngine.compare_values, types, values, wanted[key]))
        }
        if changed:
            await self._write(fields, changed)
        return stored

    async def _are_written(self, fields: list[str], wanted: Values) -> bool:
        """Write rows without reading them, where that is the same, and tell if all were there."""
        updating = Updating.begin(self._session, self._model)
        if updating is None or is_soft_delete(self._model):
            return False
        with suppress(UnplannableError):
            return await updating.update(self._columns(fields), wanted) == len(wanted)
        return False

    def _require(self, fields: list[str], wanted: Values) -> None:
        if not fields:
            raise UnplannableError("nothing is set")
        if is_soft_delete(self._model) and "deleted_at" in fields:
            raise UnplannableError("rows are marked as deleted, or restored")
        if (reason := set_obstacle(self._mapper, fields)) is not None:
            raise UnplannableError(reason)
        if any(map(is_sql_type, {type(value) for values in wanted.values() for value in values})):
            raise UnplannableError("a value is an expression of SQL")

    async def _stored(self, fields: list[str], wanted: Values) -> Values:
        """Read rows by key as they are now, and keep others from changing them."""
        attributes = [getattr(self._model, name) for name in (*self._key, *fields)]
        rows = sa.select(*attributes).where(key_condition(self._model, [*wanted]))
        size = len(self._key)
        found = await self._session.execute(rows.with_for_update())
        return {tuple(row[:size]): row[size:] for row in found}

    async def _write(self, fields: list[str], changed: Values) -> None:
        keys, columns = self._columns(self._key), self._columns(fields)
        names = [f"p{place}" for place in range(len(keys) + len(columns))]
        parts = [
            sa.bindparam(name, type_=c.type)
            for name, c in zip(names, (*keys, *columns), strict=True)
        ]
        where = [column == part for column, part in zip(keys, parts[: len(keys)], strict=True)]
        values = dict(zip(columns, parts[len(keys) :], strict=True))
        table: Any = self._mapper.local_table
        statement = sa.update(table).where(*where).values(values)
        connection = await self._session.connection(bind_arguments={"mapper": self._mapper})
        sent = [dict(zip(names, (*key, *given), strict=True)) for key, given in changed.items()]
        await connection.execute(statement, sent)

    def _columns(self, fields: Iterable[str]) -> list[sa.Column[Any]]:
        return [self._mapper.column_attrs[name].columns[0] for name in fields]  # type: ignore[misc]
