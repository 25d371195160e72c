"""
From what a query asks for to the SELECT that answers it.

Objects come out once each, also when a join would repeat them: then the query first finds
the keys, grouped, and reads the objects by them. The database does that, so that limits,
counts and pages are in objects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from andamios.errors import QueryError
from andamios.queries.fields import key_attributes
from andamios.queries.loading import loader_options
from andamios.queries.ordering import order_keys, placed, tie_broken, written_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from andamios.queries.ordering import OrderKey
    from andamios.queries.spec import QuerySpec

__all__ = [
    "Source",
    "counted",
    "executed",
    "finished",
    "found",
    "is_written",
    "keys_of",
    "plain",
    "source_of",
]

AGGREGATES = {"avg", "count", "max", "min", "sum"}

WRITTEN_LIMITS = {1, 2, 3, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000}
"""
Limits that are in use, and are written into the SQL.

PostgreSQL plans a statement anew for each call while it does not know how few rows are wanted,
which can take as long as running it. Other limits stay parameters, lest each make a statement.
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A SELECT without its order, and the order."""

    statement: sa.Select[Any]
    keys: tuple[OrderKey, ...]


def plain(spec: QuerySpec) -> sa.Select[Any]:
    """Build the SELECT as it was written, for a caller who goes on with SQLAlchemy."""
    return finished(spec, _body(spec, _selected(spec)).order_by(*written_order(spec)))


def executed(spec: QuerySpec, dialect: str) -> sa.Select[Any]:
    """Build the SELECT that is sent to a backend of this name."""
    source = source_of(spec, order_keys(spec))
    return finished(spec, source.statement.order_by(*placed(source.keys, dialect)))


def source_of(spec: QuerySpec, keys: tuple[OrderKey, ...]) -> Source:
    """Build the SELECT up to its order."""
    if spec.needs_merging:
        return _merged(spec, keys)
    return Source(_body(spec, _selected(spec)), keys)


def finished(spec: QuerySpec, statement: sa.Select[Any]) -> sa.Select[Any]:
    """Add limit, offset, lock, loader options and execution options."""
    statement = _sliced(spec, statement)
    if not spec.gives_rows and not spec.flat:
        statement = statement.options(*loader_options(spec.model, spec.loads))
    if spec.lock is not None:
        # Naming the table leaves joined rows alone, some of which cannot be locked.
        is_alone = not (spec.joins or spec.loads or spec.having)
        statement = statement.with_for_update(
            read=spec.lock.share,
            nowait=spec.lock.nowait,
            skip_locked=spec.lock.skip_locked,
            of=None if is_alone else spec.model,
        ).execution_options(populate_existing=True)
    return _visible(spec, statement)


def keys_of(spec: QuerySpec, dialect: str) -> sa.Select[Any]:
    """Build a SELECT of the keys of the objects that a query finds."""
    attributes = key_attributes(spec.model)
    statement = _body(spec, attributes)
    if spec.needs_merging:
        statement = statement.group_by(*attributes)
    if spec.is_sliced:
        keys = [_merged_key(spec, key) for key in tie_broken(spec, order_keys(spec))]
        statement = _sliced(spec, statement.order_by(*placed(keys, dialect)))
    return statement


def counted(spec: QuerySpec, dialect: str) -> sa.Select[Any]:
    """Build the SELECT that counts what a query finds."""
    if spec.gives_rows:
        rows = _sliced(spec, _body(spec, _selected(spec)))
    elif spec.needs_merging or spec.is_sliced:
        rows = keys_of(spec, dialect)
    else:
        return _visible(spec, _body(spec, [sa.func.count()]))
    return _visible(spec, sa.select(sa.func.count()).select_from(rows.subquery()))


def found(spec: QuerySpec, dialect: str) -> sa.Select[Any]:
    """Build the SELECT that says whether a query finds anything."""
    rows = _body(spec, _selected(spec)) if spec.gives_rows else keys_of(spec, dialect)
    return _visible(spec, sa.select(_sliced(spec, rows).exists()))


def _selected(spec: QuerySpec) -> list[Any]:
    if spec.flat:
        return list(spec.flat)
    if not spec.gives_rows:
        return [spec.model]
    return [*(spec.columns or spec.group_by), *spec.aggregates]


def _body(spec: QuerySpec, items: Sequence[Any]) -> sa.Select[Any]:
    statement = sa.select(*items).select_from(spec.model)
    for join in spec.joins:
        statement = statement.join(join.target, join.condition, isouter=join.is_outer)
    statement = statement.where(*spec.conditions).group_by(*spec.group_by).having(*spec.having)
    return statement.distinct() if spec.is_distinct and spec.gives_rows else statement


def _sliced(spec: QuerySpec, statement: sa.Select[Any]) -> sa.Select[Any]:
    if not spec.is_sliced:
        return statement
    limit: Any = spec.limit
    if is_written(limit):
        limit = sa.literal_column(str(limit), sa.Integer())
    return statement.limit(limit).offset(spec.offset)


def is_written(limit: Any) -> bool:
    """Whether a limit is part of the SQL, and no parameter."""
    return isinstance(limit, int) and limit in WRITTEN_LIMITS


def _visible(spec: QuerySpec, statement: sa.Select[Any]) -> sa.Select[Any]:
    if spec.includes_deleted:
        return statement.execution_options(include_deleted=True)
    return statement


def _merged(spec: QuerySpec, keys: Iterable[OrderKey]) -> Source:
    attributes = key_attributes(spec.model)
    merged = [_merged_key(spec, key) for key in keys]
    labels = [
        *(attribute.label(f"key_{i}") for i, attribute in enumerate(attributes)),
        *(key.expression.label(f"order_{i}") for i, key in enumerate(merged)),
    ]
    own = [key.expression for key in merged if _is_own(spec, key.expression)]
    rows = _body(spec, labels).group_by(*attributes, *own).subquery("found")
    on = sa.and_(*(attribute == rows.c[f"key_{i}"] for i, attribute in enumerate(attributes)))
    outer = (replace(key, expression=rows.c[f"order_{i}"]) for i, key in enumerate(merged))
    return Source(sa.select(*_selected(spec)).select_from(spec.model).join(rows, on), tuple(outer))


def _merged_key(spec: QuerySpec, key: OrderKey) -> OrderKey:
    """Order an object by the first of its rows: of several values, the one that comes first."""
    expression = key.expression
    if not spec.needs_merging or _is_own(spec, expression) or _is_aggregate(expression):
        return key
    if isinstance(expression, sa.TextClause):
        raise QueryError(
            "An order in text() cannot choose between joined rows; order by expressions or names"
        )
    if isinstance(expression.type, sa.Boolean):
        expression = sa.cast(expression, sa.Integer)
    best = sa.func.max(expression) if key.descending else sa.func.min(expression)
    return replace(key, expression=best)


def _is_own(spec: QuerySpec, expression: Any) -> bool:
    return getattr(expression, "table", None) in sa.inspect(spec.model).tables


def _is_aggregate(expression: Any) -> bool:
    return any(
        getattr(part, "name", None) in AGGREGATES and part.__visit_name__ == "function"
        for part in visitors.iterate(expression)
    )
