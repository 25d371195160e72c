"""
Inserting a row or updating the one with the same unique key.

PostgreSQL and SQLite do it by one statement (``ON CONFLICT``), MySQL and MariaDB too
(``ON DUPLICATE KEY UPDATE``) as long as the table has a single unique key: with several, that
statement updates whichever row collides on any of them. There, and where a version has to be
compared, the row is read and locked first.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from andamios.errors import QueryError
from andamios.models.fields import rules_of
from andamios.models.recording import keeps_history
from andamios.models.soft_delete import is_soft_delete
from andamios.plans.conflicts import Conflict
from andamios.plans.forms import UnplannableError
from andamios.plans.numbering import Numbering
from andamios.plans.records import is_sql_type
from andamios.plans.unnesting import Unnesting
from andamios.queries.fields import (
    column_keys,
    element_of,
    field,
    key_attributes,
    key_condition,
    mapper_of,
)
from andamios.queries.values import all_fit, is_expression
from andamios.queries.writing import held_objects, next_version, read_again, written_values
from andamios.repositories import racing, saving
from andamios.repositories.racing import MYSQL, Wanted, dialect_of
from andamios.repositories.unique_keys import reachable_keys, require_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.repositories.bulk import Batches
    from andamios.repositories.unique_keys import UniqueKey

__all__ = ["row_of", "upsert", "upsert_all"]

T = TypeVar("T")
Row = dict[str, Any]

INSERTS = {
    "postgresql": "sqlalchemy.dialects.postgresql",
    "sqlite": "sqlalchemy.dialects.sqlite",
    "mysql": "sqlalchemy.dialects.mysql",
    "mariadb": "sqlalchemy.dialects.mysql",
}
"""Whose ``insert()`` a backend takes; imported late, as that takes long."""

OPTIONS = {"render_nulls": True}


def row_of(model: type[Any], values: Any, key: UniqueKey) -> Row:
    """
    Check what is to be stored.

    Args:
        model: The mapped class.
        values: A dict by field name, or an object that no session has.
        key: What the row is found by.

    Raises:
        DataError: A value of the wrong type, or a None in the key.
        FieldValidationError: A value breaks a rule of the model.
        QueryError: A part of the key is missing, a value refers to the row, or the object
            belongs to a session.
        UnknownFieldError: No such column.
    """
    given = values if isinstance(values, Mapping) else _values_of(model, values)
    row = written_values(model, given)
    require_values(model, key, row)
    for name, value in row.items():
        if is_expression(value) and _refers_to_row(model, value):
            raise QueryError(
                f"The value for {model.__name__}.{name} refers to the row, and there may be "
                "none yet. Use get_or_create(), then update_where()."
            )
    return row


async def upsert(session: AsyncSession, model: type[T], row: Row, key: UniqueKey) -> T:
    """
    Insert a row or update the one with its key, and give the object.

    Raises:
        DuplicateError: A row is in the way on another key, or one that must not be touched.
        StaleVersionError: The row has another version than the one given.
    """
    dialect = dialect_of(session, model)
    if not _takes_one_statement(dialect, model, key, row):
        return await _by_lock(session, model, row, key)
    statement = _statement(dialect, model, key, row)
    if dialect in MYSQL:
        await _execute(session, model, statement, row)
        found = await racing.find(session, _wanted(model, row, key), lock=True)
    else:
        returned = statement.returning(model).execution_options(populate_existing=True)
        result = await _execute(session, model, returned, row)
        found = result.scalars().first()
    if found is None:
        raise key.duplicate()
    return found


async def upsert_all(
    session: AsyncSession,
    model: type[Any],
    parts: Batches,
    key: UniqueKey,
    progress: Callable[[int], object],
) -> int:
    """Insert or update rows and count them; nothing of them is kept."""
    held = list(held_objects(session, model))
    count, writer = 0, Unnesting.begin(session, model) or Numbering.begin(session, model)
    async for batch in parts:
        for rows in _grouped(_merged(model, batch, key)):
            if writer is None or not await _is_stored(writer, model, rows, key):
                await _store(session, model, rows, key)
        count += len(batch)
        progress(count)
    await read_again(session, model, [entity for entity in held if entity in session])
    return count


def _merged(model: type[Any], batch: list[Any], key: UniqueKey) -> Iterable[Row]:
    """Make one row of those with the same key: one statement takes each row once."""
    if not _are_plain(model, batch, key):
        batch = [row_of(model, values, key) for values in batch]
    places = [*zip(*([row[name] for row in batch] for name in key.fields), strict=True)]
    if len({*places}) == len(batch):
        return batch
    rows: dict[tuple[Any, ...], Row] = {}
    for place, row in zip(places, batch, strict=True):
        rows[place] = {**rows[place], **row} if place in rows else row
    return rows.values()


def _are_plain(model: type[Any], batch: list[Any], key: UniqueKey) -> bool:
    """Whether :func:`row_of` would give each of these back as it is; looks at whole columns."""
    fields = {*batch[0]} if {*map(type, batch)} == {dict} else set()
    if not set(key.fields) <= fields <= set(column_keys(model)) or rules_of(model):
        return False
    if any(row.keys() != fields for row in batch):
        return False
    return all(_is_plain(model, name, [row[name] for row in batch], key) for name in fields)


def _is_plain(model: type[Any], name: str, values: list[Any], key: UniqueKey) -> bool:
    kinds = {*map(type, values)}
    if name in key.fields and type(None) in kinds:
        return False
    return not any(map(is_sql_type, kinds)) and all_fit(getattr(model, name), values)


def _grouped(rows: Iterable[Row]) -> Iterable[list[Row]]:
    """Part rows by their fields: a statement names its columns once."""
    in_order: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        in_order.setdefault(tuple(row), []).append(row)
    groups: dict[frozenset[str], list[Row]] = {}
    for names, same in in_order.items():
        groups.setdefault(frozenset(names), []).extend(same)
    return groups.values()


async def _execute(session: AsyncSession, model: type[Any], statement: Any, row: Row) -> Any:
    if any(map(is_expression, row.values())):  # which no driver can bind
        complete = statement.values({**saving.row_defaults(model), **row})
        return await session.execute(complete)
    return await session.execute(statement, [row], execution_options=OPTIONS)


async def _is_stored(
    writer: Unnesting | Numbering, model: type[Any], rows: list[Row], key: UniqueKey
) -> bool:
    """
    Store rows all at once, where that gives the same.

    Raises:
        DuplicateError: A row is in the way that must not be touched.
    """
    if not _takes_one_statement(writer.dialect.name, model, key, rows[0]):
        return False
    values = chain.from_iterable(row.values() for row in rows)
    if any(map(is_sql_type, {*map(type, values)})):
        return False
    conflict = Conflict(
        key.columns,
        key.predicate,
        lambda new: _assignments(model, key, rows[0], new),
        lambda new: _limits(model, key, rows[0], new),
    )
    try:
        written = await writer.upsert(rows, conflict)
    except UnplannableError:
        return False
    if written < len(rows) and _limits(model, key, rows[0], None):
        raise key.duplicate()
    return True


async def _store(session: AsyncSession, model: type[Any], rows: list[Row], key: UniqueKey) -> None:
    dialect = dialect_of(session, model)
    if any(is_expression(value) for row in rows for value in row.values()):
        for row in rows:
            await upsert(session, model, row, key)
        return
    if not _takes_one_statement(dialect, model, key, rows[0]):
        for row in rows:
            await _by_lock(session, model, row, key)
        return
    statement = _statement(dialect, model, key, rows[0])
    if dialect in MYSQL:
        # Its drivers cannot repeat a statement that has parameters after VALUES.
        complete = saving.row_defaults(model)
        await session.execute(statement.values([{**complete, **row} for row in rows]))
        return
    if not _limits(model, key, rows[0], None):
        await session.execute(statement, rows, execution_options=OPTIONS)
        return
    returned = statement.returning(key_attributes(model)[0])
    result = await session.execute(returned, rows, execution_options=OPTIONS)
    if len(result.all()) < len(rows):
        raise key.duplicate()


async def _by_lock(session: AsyncSession, model: type[T], row: Row, key: UniqueKey) -> T:
    sought = _wanted(model, row, key)
    version = saving.version_key(model)

    async def insert() -> T:
        if version in row:
            raise saving.gone(model, row[version])
        await _execute(session, model, sa.insert(model), row)
        made = await racing.find(session, sought, lock=True)
        assert made is not None
        return made

    found, is_new = await racing.found_or_made(session, sought, insert, exclusive=True)
    if is_new:
        return found
    if version in row:
        saving.set_values(found, {version: row[version]})
    identity = sa.inspect(found, raiseerr=True).identity
    for attribute, part in zip(key_attributes(model), identity, strict=True):
        if row.get(attribute.key, part) != part:
            raise key.duplicate()
    await session.execute(
        sa.update(model)
        .where(key_condition(model, [identity]))
        .values({**_updated(model, key, row), **next_version(model)}),
        execution_options={"synchronize_session": False},
    )
    await read_again(session, model, [found])
    return found


def _wanted(model: type[T], row: Row, key: UniqueKey) -> Wanted[T]:
    return Wanted(model, {name: row[name] for name in key.fields}, (key,))


def _takes_one_statement(dialect: str, model: type[Any], key: UniqueKey, row: Row) -> bool:
    if keeps_history(model):  # which tells an insert from an update
        return False
    if dialect not in INSERTS or saving.version_key(model) in row:
        return False
    if dialect not in MYSQL:
        return True
    return reachable_keys(model, row) == 1 and not _limits(model, key, row, None)


def _statement(dialect: str, model: type[Any], key: UniqueKey, row: Row) -> Any:
    insert = import_module(INSERTS[dialect]).insert(model)
    if dialect in MYSQL:
        return insert.on_duplicate_key_update(_assignments(model, key, row, insert.inserted))
    limits = _limits(model, key, row, insert.excluded)
    return insert.on_conflict_do_update(
        index_elements=key.columns,
        index_where=key.predicate,
        set_=_assignments(model, key, row, insert.excluded),
        where=sa.and_(*limits) if limits else None,
    )


def _limits(model: type[Any], key: UniqueKey, row: Row, new: Any) -> list[Any]:
    """Say which rows may be updated: visible ones, of this class, with the primary key given."""
    mapper = mapper_of(model)
    limits: list[Any] = []
    if is_soft_delete(model) and key.predicate is None:
        limits.append(field(model, "deleted_at").is_(None))
    if mapper.inherits is not None and mapper.polymorphic_on is not None:
        kinds = [each.polymorphic_identity for each in mapper.self_and_descendants]
        # An IN would be rendered anew for each row, which a statement for many cannot be.
        limits.append(sa.or_(*(mapper.polymorphic_on == kind for kind in kinds)))
    for attribute, column in zip(key_attributes(model), mapper.primary_key, strict=True):
        if attribute.key in row and attribute.key not in key.fields:
            limits.append(sa.true() if new is None else column == new[column.key])
    return limits


def _assignments(model: type[Any], key: UniqueKey, row: Row, new: Any) -> dict[str, Any]:
    """Say what an update sets, by column: values from the new row, and what each update sets."""
    columns = {item.key: item.columns[0] for item in mapper_of(model).column_attrs}
    version = saving.version_key(model)
    found = {columns[name].key: new[columns[name].key] for name in _updated(model, key, row)}
    for name, column in columns.items():
        if isinstance(column, sa.Column) and column.onupdate is not None and name != version:
            found.setdefault(column.key, _made(column.onupdate))
    return found | {columns[name].key: value for name, value in next_version(model).items()}


def _updated(model: type[Any], key: UniqueKey, row: Row) -> Row:
    """Give what an update sets; the key stays, and with nothing else to set it is set again."""
    fixed = {*key.fields, *(item.key for item in key_attributes(model)), saving.version_key(model)}
    found = {name: value for name, value in row.items() if name not in fixed}
    return found or {key.fields[0]: row[key.fields[0]]}


def _made(onupdate: Any) -> Any:
    # SQLAlchemy runs these by itself in an UPDATE only.
    return onupdate.arg(None) if onupdate.is_callable else onupdate.arg


def _refers_to_row(model: type[Any], value: Any) -> bool:
    parts = list(visitors.iterate(element_of(value)))
    if any(isinstance(part, sa.SelectBase) for part in parts):
        return False  # it reads other rows
    tables = mapper_of(model).tables
    return any(isinstance(part, sa.Column) and part.table in tables for part in parts)


def _values_of(model: type[Any], entity: Any) -> Row:
    saving.require_kind(model, entity)
    state: Any = sa.inspect(entity)
    if state.session is not None:
        raise QueryError(
            f"This {model.__name__} belongs to a session; upsert() takes values or a new object, "
            "and update() stores changes."
        )
    return {name: state.dict[name] for name in column_keys(model) if name in state.dict}
