"""Writing the rows of a history table, and finding out which rows were inserted."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import inspect

from andamios.models.actor import current_actor
from andamios.models.history import history_table

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from sqlalchemy.orm import Mapper, ORMExecuteState

__all__ = ["Change", "Notes", "insert_each", "insert_returning"]

Key = tuple[Any, ...]

AT_ONCE = 500
"""Keys in one statement."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a flush did to an object."""

    entity: object
    operation: str
    is_gone: bool

    @property
    def mapper(self) -> Mapper[Any]:
        """The mapper of the object's class."""
        mapper: Mapper[Any] = inspect(self.entity, raiseerr=True).mapper
        return mapper

    @property
    def key(self) -> Key:
        """The object's key."""
        return tuple(self.mapper.primary_key_from_instance(self.entity))


class Notes:
    """
    Writes the history of one table, for one statement or flush.

    Args:
        connection: That of the transaction.
        mapper: The model's.
        moment: When the transaction happens.
    """

    def __init__(self, connection: sa.Connection, mapper: Mapper[Any], moment: dt.datetime) -> None:
        history = history_table(mapper)
        assert history is not None
        self.connection = connection
        self._mapper = mapper
        self._history = history
        self._table: Any = mapper.local_table
        self._keys = [history.c[str(column.key)] for column in mapper.primary_key]
        self._facts = {"history_at": moment, "history_by": current_actor()}
        self._batch = secrets.randbits(62)
        self._names = [column.key for column in self._table.c if column.key in history.c]

    def copy(self, keys: list[Key], operation: str) -> None:
        """Note the rows with these keys as they are now."""
        for start in range(0, len(keys), AT_ONCE):
            where = _with_keys(self._mapper.primary_key, keys[start : start + AT_ONCE])
            self._insert(sa.select(*self._selected(operation)).where(where))

    def write(self, entities: list[Any]) -> None:
        """Note what objects were when their rows were removed."""
        columns = {item.columns[0].key: item.key for item in self._mapper.column_attrs}
        rows = [
            {
                **dict.fromkeys(self._names),
                **{name: _stored(entity, columns[name]) for name in self._names if name in columns},
                **self._facts,
                "history_operation": "delete",
            }
            for entity in entities
        ]
        self.connection.execute(sa.insert(self._history), rows)

    def mark(self, where: Any, operation: str, *, hides_deleted: bool) -> int:
        """Lock the rows that fit and note them as they are, and count them."""
        model = self._mapper.class_
        everything = sa.select(*self._selected(operation, self._batch)).select_from(model)
        chosen = everything if where is None else everything.where(where)
        if len(chosen.get_final_froms()) > 1:
            # A row that fits several rows of another table is one row.
            keys = list(self._mapper.primary_key)
            chosen = everything.where(_in(keys, sa.select(*keys).where(where)))
        if hides_deleted:
            chosen = chosen.where(model.deleted_at.is_(None))
        return self._insert(chosen.with_for_update())

    def mark_keys(self, keys: list[Key]) -> int:
        """Lock the rows with these keys and note them as they are, and count them."""
        count = 0
        for start in range(0, len(keys), AT_ONCE):
            where = _with_keys(self._mapper.primary_key, keys[start : start + AT_ONCE])
            count += self.mark(where, "update", hides_deleted=False)
        return count

    def marked(self) -> Any:
        """Give the condition that a row was noted."""
        return _in(list(self._mapper.primary_key), sa.select(*self._keys).where(self._is_mine))

    def fill(self) -> None:
        """Set the new values of the rows that were noted."""
        history, table = self._history, self._table
        if "deleted_at" in history.c and hasattr(self._mapper.class_, "is_deleted"):
            before, after = history.c.deleted_at, table.c.deleted_at
            for operation, is_it in (
                ("delete", sa.and_(before.is_(None), after.is_not(None))),
                ("restore", sa.and_(before.is_not(None), after.is_(None))),
            ):
                self._update(is_it, {"history_operation": operation})
        self._update(sa.true(), {name: table.c[name] for name in self._names})

    def drop_kept(self) -> None:
        """Forget noted rows that were not deleted after all."""
        is_there = sa.exists().where(self._same_key).correlate(self._history)
        self.connection.execute(sa.delete(self._history).where(self._is_mine, is_there))

    @property
    def _is_mine(self) -> Any:
        return self._history.c.history_batch == self._batch

    @property
    def _same_key(self) -> Any:
        pairs = zip(self._keys, self._mapper.primary_key, strict=True)
        return sa.and_(*(left == right for left, right in pairs))

    def _selected(self, operation: str, batch: int | None = None) -> Iterator[Any]:
        kinds = self._history.c
        yield from (self._table.c[name] for name in self._names)
        facts = {**self._facts, "history_operation": operation, "history_batch": batch}
        for name, value in facts.items():
            yield sa.literal(value, kinds[name].type).label(name)

    def _insert(self, chosen: Any) -> int:
        facts = [*self._facts, "history_operation", "history_batch"]
        columns = [self._history.c[name] for name in (*self._names, *facts)]
        statement = sa.insert(self._history).from_select(columns, chosen, include_defaults=False)
        return self.connection.execute(statement).rowcount

    def _update(self, where: Any, values: dict[str, Any]) -> None:
        conditions = (self._is_mine, self._same_key, where)
        assignments = {self._history.c[name]: value for name, value in values.items()}
        self.connection.execute(sa.update(self._history).where(*conditions).values(assignments))


def _stored(entity: object, name: str) -> Any:
    """Give a value as the row had it, whatever was set since."""
    history = inspect(entity, raiseerr=True).attrs[name].history
    return (history.deleted or history.unchanged or (None,))[0]


def insert_returning(state: ORMExecuteState, mapper: Mapper[Any]) -> tuple[Any, list[Key]]:
    """Run an INSERT that says which keys it wrote; the caller's own RETURNING stays."""
    statement: Any = state.statement
    keys = [mapper.get_property_by_column(column).class_attribute for column in mapper.primary_key]
    result: Any = state.invoke_statement(statement=statement.returning(*keys))
    wanted = len(result.keys()) - len(keys)
    if not wanted:
        return result, [tuple(row) for row in result.all()]
    frozen = result.freeze()
    found = [tuple(row)[wanted:] for row in frozen().all()]
    return frozen().columns(*range(wanted)), found


def insert_each(state: ORMExecuteState, mapper: Mapper[Any], option: str) -> tuple[Any, list[Key]]:
    """Run an INSERT once a row, on a backend that tells the key of a single one only."""
    keys: list[Key] = []
    result: Any = None
    made = _made_values(mapper)
    rows: Any = state.parameters if isinstance(state.parameters, list) else [state.parameters]
    for row in rows:
        statement = sa.insert(mapper.class_).values({**made, **row})
        result = state.session.execute(statement, execution_options={option: True})
        keys.append(tuple(result.inserted_primary_key))
    return result, keys


def _made_values(mapper: Mapper[Any]) -> dict[str, Any]:
    """Give what SQLAlchemy adds to rows that come as parameters: first version, and class."""
    made: dict[str, Any] = {}
    if mapper.version_id_col is not None and callable(mapper.version_id_generator):
        key = mapper.get_property_by_column(mapper.version_id_col).key
        made[key] = mapper.version_id_generator(None)
    if mapper.polymorphic_identity is not None and isinstance(mapper.polymorphic_on, sa.Column):
        key = mapper.get_property_by_column(mapper.polymorphic_on).key
        made[key] = mapper.polymorphic_identity
    return made


def _with_keys(columns: Any, keys: list[Key]) -> Any:
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return sa.or_(*(sa.and_(*(c == v for c, v in zip(columns, key, strict=True))) for key in keys))


def _in(columns: list[Any], chosen: Any) -> Any:
    return (columns[0] if len(columns) == 1 else sa.tuple_(*columns)).in_(chosen)
