"""
Writing many rows by one statement, inside a session.

Refuses what has no condition. Counts the version of versioned models, so that whoever read
a row before loses. Objects of the session that the statement may have changed are read
again: an expired attribute could not be read under asyncio.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import undefer
from sqlalchemy.sql import visitors

from andamios.errors import (
    ConfigurationError,
    QueryError,
    ReadOnlyError,
    StaleVersionError,
    UnscopedWriteError,
)
from andamios.models.fields import checked_values
from andamios.models.soft_delete import is_soft_delete
from andamios.queries.comparisons import Comparison
from andamios.queries.compose import keys_of
from andamios.queries.fields import (
    column_keys,
    field,
    key_attributes,
    key_condition,
    mapper_of,
    unknown,
)
from andamios.queries.reading import count, dialect_of
from andamios.queries.values import checked, is_expression

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.queries.spec import QuerySpec

__all__ = [
    "delete_rows",
    "held_objects",
    "next_version",
    "read_again",
    "require_scope",
    "update_rows",
    "written_values",
]

READ_AGAIN = 500
"""Objects that are read again by one statement."""


def require_scope(spec: QuerySpec, what: str) -> None:
    """
    Refuse a write that nothing limits, or that is none of the query's business.

    Raises:
        ConfigurationError: The model's rows lie in several tables.
        ReadOnlyError: The query only reads.
        UnscopedWriteError: It has no condition, and ``unscoped`` was not asked for.
    """
    if spec.is_read_only:
        raise ReadOnlyError(f"This query on {spec.model.__name__} only reads; it cannot {what}.")
    if len(mapper_of(spec.model).tables) > 1:
        # UPDATE and DELETE write to one table, and conditions on the other would join it
        # without a condition of its own: every row would fit.
        raise ConfigurationError(
            f"{spec.model.__name__} lies in several tables, and one statement cannot {what} them. "
            f"Load the objects and {what} each of them instead."
        )
    if not spec.where and not spec.is_unscoped:
        raise UnscopedWriteError(
            f"This would {what} every {spec.model.__name__}. Add a condition, or say that it is "
            "meant: QueryBuilder(…).unscoped(), or unscoped=True in a repository."
        )
    if spec.gives_rows or spec.having:
        raise QueryError(f"A query that groups or selects columns cannot {what}")
    own = mapper_of(spec.model).tables
    foreign = [each for each in spec.where if not isinstance(each, Comparison)]
    others = {table for each in foreign for table in _tables_of(each)}.difference(own)
    if others and not spec.joins:
        raise UnscopedWriteError(
            f"A condition is on {', '.join(sorted(map(str, others)))}, which nothing joins to "
            f"{spec.model.__name__}, so that this would {what} every row. Go along a relationship "
            "(User.posts.any(…)), or join."
        )


def _tables_of(condition: Any) -> Iterator[Any]:
    """Give the tables that a condition is on; a subquery has its own."""
    if isinstance(condition, sa.SelectBase):
        return
    if isinstance(condition, sa.Column) and condition.table is not None:
        yield condition.table
    for part in condition.get_children():
        yield from _tables_of(part)


async def update_rows(session: AsyncSession, spec: QuerySpec, values: Mapping[Any, Any]) -> int:
    """
    Set values in every row that a query finds.

    Args:
        session: Where to write.
        spec: The query.
        values: By field name or attribute; SQL expressions may refer to the row.

    Returns:
        How many rows were found.

    Raises:
        QueryError: An SQL expression for the version, which counts by itself.
        StaleVersionError: A version is among the values, and a row has another one.
        UnknownFieldError: A value for no column of the model.
        UnscopedWriteError: Nothing limits the rows.
    """
    require_scope(spec, "update")
    assignments = written_values(spec.model, values)
    mapper = mapper_of(spec.model)
    if mapper.version_id_col is None:
        return await _update(session, spec, assignments)
    name = mapper.get_property_by_column(mapper.version_id_col).key
    if is_expression(assignments.get(name)):
        raise QueryError(
            f"{spec.model.__name__}.{name} counts by itself; among the values it is the version "
            "that was read, and is compared."
        )
    expected = assignments.pop(name, None)
    assignments |= next_version(spec.model)
    if expected is None:
        return await _update(session, spec, assignments)
    await session.flush()
    number = await _require_version(session, spec, getattr(spec.model, name), expected)
    same = spec.but(where=(*spec.where, getattr(spec.model, name) == expected))
    if await _update(session, same, assignments) != number:
        raise _stale(spec, expected, None)
    return number


async def _update(session: AsyncSession, spec: QuerySpec, assignments: dict[str, Any]) -> int:
    statement = sa.update(spec.model).where(*_scope(session, spec)).values(assignments)
    return await _run(session, spec, statement, "update")


async def _require_version(
    session: AsyncSession, spec: QuerySpec, version: Any, expected: Any
) -> int:
    """Refuse to go on if a row has another version, and count the rows."""
    others = sa.select(version).where(*_scope(session, spec), version != expected).limit(1)
    options = {"include_deleted": True} if spec.includes_deleted else {}
    actual = await session.scalar(others, execution_options=options)
    if actual is not None:
        raise _stale(spec, expected, actual)
    return await count(session, spec)


def _stale(spec: QuerySpec, expected: Any, actual: Any) -> StaleVersionError:
    return StaleVersionError(
        f"A {spec.model.__name__} has another version than the {expected} that was read. Read it "
        "again and repeat the change.",
        expected=expected,
        actual=actual,
    )


async def delete_rows(session: AsyncSession, spec: QuerySpec) -> int:
    """
    Delete every row that a query finds; softly, where the model says so.

    Returns:
        How many rows were deleted.

    Raises:
        UnscopedWriteError: Nothing limits the rows.
    """
    require_scope(spec, "delete")
    if is_soft_delete(spec.model):
        # What is deleted cannot be deleted again; for good is hard_delete's business.
        spec = spec.but(includes_deleted=False)
    return await _run(session, spec, sa.delete(spec.model).where(*_scope(session, spec)), "delete")


def written_values(model: type[Any], values: Any) -> dict[str, Any]:
    """
    Check values that are to be written.

    Args:
        model: The model.
        values: By field name or attribute.

    Raises:
        UnknownFieldError: No such column.
        DataError: A value of the wrong type.
        FieldValidationError: A value breaks a rule of the model.
    """
    if not isinstance(values, Mapping) or not values:
        raise QueryError("An update takes a dict of values, with at least one")
    found = {}
    for name, value in values.items():
        key = name if isinstance(name, str) else name.key
        if key not in column_keys(model):
            raise unknown("column", key, column_keys(model), model)
        found[key] = checked(field(model, key), value)
    return dict(checked_values(model, found))


async def _run(session: AsyncSession, spec: QuerySpec, statement: Any, what: str) -> int:
    await session.flush()
    held = list(held_objects(session, spec.model))
    # Matching rows are only looked up for the sake of objects in the session.
    synchronize = "fetch" if held and what == "delete" else False
    options: dict[str, Any] = {"synchronize_session": synchronize}
    if spec.includes_deleted:
        options["include_deleted"] = True
    result = await session.execute(statement, execution_options=options)
    await read_again(session, spec.model, [entity for entity in held if entity in session])
    return int(cast("Any", result).rowcount)


def next_version(model: type[Any]) -> dict[str, Any]:
    """Give the version that an UPDATE sets, by field name; of an unversioned model, nothing."""
    mapper = mapper_of(model)
    column = mapper.version_id_col
    if column is None:
        return {}
    key = mapper.get_property_by_column(column).key
    if isinstance(column.type, sa.Integer):
        return {key: getattr(model, key) + 1}
    generate = mapper.version_id_generator
    return {key: generate(None)} if callable(generate) else {}


def _scope(session: AsyncSession, spec: QuerySpec) -> list[Any]:
    """Give the conditions, or, for what UPDATE and DELETE cannot say, a list of keys."""
    nested = any(
        isinstance(part, sa.SelectBase)
        for condition in spec.conditions
        for part in visitors.iterate(condition)
    )
    if not (spec.joins or spec.is_sliced or nested):
        return list(spec.conditions)
    # MySQL writes to no table that it reads in the same statement; DISTINCT makes it
    # finish reading first.
    keys = keys_of(spec, dialect_of(session, spec)).subquery()
    chosen = sa.select(*keys.c).distinct()
    attributes = key_attributes(spec.model)
    left = attributes[0] if len(attributes) == 1 else sa.tuple_(*attributes)
    return [left.in_(chosen)]


def held_objects(session: AsyncSession, model: type[Any]) -> Iterator[Any]:
    """Give the objects of a model that a session has."""
    return (item for item in list(session.identity_map.values()) if isinstance(item, model))


async def read_again(session: AsyncSession, model: type[Any], entities: list[Any]) -> None:
    """Read the columns of a session's objects again, since they could not be waited for later."""
    columns = mapper_of(model).column_attrs
    for entity in entities:
        session.expire(entity, entity.__dict__.keys() & set(columns.keys()))
    deferred = [undefer(item.class_attribute) for item in columns if item.deferred]
    for start in range(0, len(entities), READ_AGAIN):
        keys = [sa.inspect(entity).identity for entity in entities[start : start + READ_AGAIN]]
        statement = sa.select(model).where(key_condition(model, keys)).options(*deferred)
        await session.execute(statement.execution_options(include_deleted=True))
