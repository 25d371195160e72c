"""The repository of models that keep their history: what was, when, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from andamios.errors import ConfigurationError, NotFoundError, QueryError
from andamios.models.history import history_table, mark_past
from andamios.queries.fields import mapper_of
from andamios.queries.scope import read, write_scope
from andamios.repositories import reading, saving
from andamios.repositories.generic import GenericRepository

if TYPE_CHECKING:
    import builtins
    import datetime as dt
    from collections.abc import Callable, Iterator

    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.queries.filters import Filters
    from andamios.queries.scope import Bind

__all__ = ["AuditedRepository", "Change"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """
    One change of one row.

    Args:
        number: Its place in the row's history, from 1.
        operation: ``create``, ``update``, ``delete`` or ``restore``.
        at: When the transaction made its first change, by the clock of the client.
        by: Who made it, as ``acting_as`` says, or None.
        before: The values by field, or None: there was no row, or what it was is unknown
            since the history began later.
        after: The values by field, or None: this deleted the row, be it softly.
    """

    number: int
    operation: str
    at: dt.datetime
    by: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditedRepository(GenericRepository[T]):
    """
    A repository that also tells what was, of a model with ``__history__ = True``.

    Raises:
        ConfigurationError: The model keeps no history.

    Example:
        >>> import andamios
        >>> from sqlalchemy import Integer
        >>> from sqlalchemy.orm import mapped_column
        >>> from andamios import AndamiosEngine, AuditedRepository, AuditMixin, BaseModel, acting_as
        >>> class Contract(AuditMixin, BaseModel):
        ...     __history__ = True
        ...     price = mapped_column(Integer)
        >>> async def main() -> list[tuple[int, str, str | None]]:
        ...     async with AndamiosEngine("sqlite://") as engine:
        ...         await engine.create_all(BaseModel)
        ...         contracts = AuditedRepository[Contract](engine)
        ...         with acting_as("ana"):
        ...             contract = await contracts.create(Contract(price=10))
        ...             await contracts.update_where({"price": 10}, {"price": 12})
        ...         await contracts.revert(contract, 1)
        ...         changes = await contracts.history(contract)
        ...         return [(one.number, one.operation, one.by) for one in changes]
        >>> andamios.run(main())
        [(1, 'create', 'ana'), (2, 'update', 'ana'), (3, 'update', None)]
    """

    def __init__(self, bind: Bind = None) -> None:
        super().__init__(bind)
        if history_table(mapper_of(self.model)) is None:
            raise ConfigurationError(
                f"{self.model.__name__} keeps no history. Give it AuditMixin and "
                "__history__ = True."
            )

    async def history(self, entity: T | Any) -> builtins.list[Change]:
        """
        Give all changes of a row, the first one first; also of a row that is gone.

        Args:
            entity: An object, or its key.
        """
        key = self._key(entity)
        return await read(
            self._bind, self.model, lambda session: _changes(session, self.model, key)
        )

    async def as_of(self, time: dt.datetime, filters: Filters = None) -> builtins.list[T]:
        """
        Give the objects as they were, in the order of their keys.

        Relationships in a filter are those of today.

        Args:
            time: A moment; changes of that very moment have happened.
            filters: As in ``list``.

        Returns:
            Objects that belong to no session, and that none takes.

        Raises:
            DataError: A time without a time zone, which is no moment.
        """
        chosen = self.query().filter(filters).order_by(*mapper_of(self.model).primary_key)
        statement = _past(self.model, chosen.statement(), time)

        async def work(session: AsyncSession) -> builtins.list[T]:
            await session.flush()
            return [_revived(self.model, row) for row in await session.execute(statement)]

        return await read(self._bind, self.model, work)

    async def revert(self, entity: T | Any, number: int) -> T:
        """
        Write the values that a row had after one of its changes, as a new change.

        A row that was deleted comes back, one that is gone is created anew.

        Args:
            entity: An object, or its key.
            number: Which change, as :meth:`history` numbers them.

        Raises:
            NotFoundError: There is no such change.
            QueryError: It deleted the row, and left no values.
        """
        key = self._key(entity)
        async with write_scope(self._bind, self.model) as session:
            changes = await _changes(session, self.model, key)
            if not 1 <= number <= len(changes):
                raise NotFoundError(f"This {self.model.__name__} has no change {number}.")
            values = changes[number - 1].after
            if values is None:
                raise QueryError(
                    f"Change {number} deleted the {self.model.__name__}; use delete()."
                )
            return await _write(session, self.model, key, values)

    def _key(self, entity: Any) -> reading.Key:
        if isinstance(entity, self.model):
            entity = tuple(mapper_of(self.model).primary_key_from_instance(entity))
        return reading.checked_key(self.model, entity)


async def _changes(session: AsyncSession, model: type[Any], key: reading.Key) -> list[Change]:
    await session.flush()
    mapper = mapper_of(model)
    history: Any = history_table(mapper)
    columns = (history.c[column.key] for column in mapper.primary_key)
    statement = sa.select(history).order_by(history.c.history_id)
    statement = statement.where(*(c == part for c, part in zip(columns, key, strict=True)))
    result = await session.execute(statement, bind_arguments={"mapper": mapper})
    return list(_told(model, history, result))


def _told(model: type[Any], history: sa.Table, rows: Any) -> Iterator[Change]:
    before: dict[str, Any] | None = None
    for number, row in enumerate(rows, start=1):
        found = row._mapping  # noqa: SLF001  public, for all its underscore
        operation = found[history.c.history_operation]
        values = _values(model, history, found)
        after = None if operation == "delete" else values
        if operation == "delete" and before is None and number == 1:
            before = values
        at, by = found[history.c.history_at], found[history.c.history_by]
        yield Change(number, operation, at, by, before, after)
        before = after


def _own_mapper(model: type[Any], value_of: Callable[[sa.Column[Any]], Any]) -> Any:
    """Give the mapper of a row's own class, of those that share the model's table."""
    mapper = mapper_of(model)
    if not isinstance(mapper.polymorphic_on, sa.Column):
        return mapper
    return mapper.polymorphic_map.get(value_of(mapper.polymorphic_on), mapper)


def _values(model: type[Any], table: Any, row: Any) -> dict[str, Any]:
    mapper = _own_mapper(model, lambda column: row[table.c[column.key]])
    columns = ((item.key, item.columns[0]) for item in mapper.column_attrs)
    return {
        key: row[table.c[column.key]]
        for key, column in columns
        if isinstance(column, sa.Column) and column.key in table.c
    }


def _past(model: type[Any], statement: sa.Select[Any], time: dt.datetime) -> sa.Select[Any]:
    """Let a SELECT read what was: under the table's name, history stands in front of it."""
    mapper = mapper_of(model)
    history: Any = history_table(mapper)
    table: Any = mapper.local_table
    if table.schema is not None:
        raise ConfigurationError(
            f"{model.__name__} lies in a schema of its own, and as_of() reads tables without one."
        )
    keys = [history.c[column.key] for column in mapper.primary_key]
    latest = sa.select(sa.func.max(history.c.history_id)).group_by(*keys)
    latest = latest.where(history.c.history_at <= time)
    is_alive = history.c.history_operation != "delete"
    names = [column for column in table.c if column.key in history.c]
    were = sa.select(*(history.c[column.key].label(column.name) for column in names))
    were = were.where(history.c.history_id.in_(latest), is_alive)
    shown = statement.with_only_columns(*names, maintain_column_froms=True)
    return shown.add_cte(were.cte(table.name))


def _revived(model: type[T], row: Any) -> T:
    """Build an object that was, without a constructor, and mark it."""
    table: Any = mapper_of(model).local_table
    found = row._mapping  # noqa: SLF001  public, for all its underscore
    entity: Any = _own_mapper(model, found.__getitem__).class_manager.new_instance()
    for key, value in _values(model, table, found).items():
        set_committed_value(entity, key, value)
    mark_past(entity)
    return entity  # type: ignore[no-any-return]


async def _write(
    session: AsyncSession, model: type[T], key: reading.Key, values: dict[str, Any]
) -> T:
    base = mapper_of(model)
    mapper = _own_mapper(model, lambda column: values[base.get_property_by_column(column).key])
    stored = await reading.get(session, model, key, lock=True, include_deleted=True)
    kept = {item.key for item in mapper.column_attrs if _is_kept(mapper, item.columns[0])}
    if stored is None:
        kept -= {mapper.get_property_by_column(column).key for column in mapper.primary_key}
        fresh = mapper.class_(**{name: value for name, value in values.items() if name not in kept})
        return await saving.create(session, fresh)
    for name in values.keys() - kept:
        setattr(stored, name, values[name])
    await session.flush()
    await saving.settle(session, stored)
    return stored


def _is_kept(mapper: Any, column: Any) -> bool:
    """Whether a column goes its own way: keys, versions, expressions, what each write sets."""
    if (
        not isinstance(column, sa.Column)
        or column is mapper.version_id_col
        or column.primary_key
        or column.computed is not None
    ):
        return True
    return column.onupdate is not None
