"""
Taking the short way to the driver wherever it gives the same, and saying where it does not.

See :mod:`andamios.plans`. What is asked here is what the ends of ``reading`` ask of a session.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.core.engine import AndamiosEngine
from andamios.errors import ConnectionFailedError
from andamios.models.soft_delete import only_unmarked
from andamios.plans.builders import Kind, Shape
from andamios.plans.cache import plans_of
from andamios.plans.forms import Form, Given, UnplannableError
from andamios.plans.objects import load_obstacle, session_obstacle
from andamios.queries.comparisons import Comparison
from andamios.queries.compose import counted, executed, found
from andamios.queries.fields import element_of, key_attributes, loaded_columns, mapper_of
from andamios.queries.spec import QuerySpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from andamios.plans.cache import Plans
    from andamios.queries.scope import Bind

    Compose = Callable[[QuerySpec, str], sa.Select[Any]]

__all__ = ["ShortReader", "key_spec", "obstacle", "reader_for"]


def reader_for(bind: Bind, spec: QuerySpec) -> ShortReader | None:
    """Give what answers a query on the short way, or None if it has to take the long one."""
    if isinstance(bind, AndamiosEngine) and obstacle(bind, spec) is None:
        return ShortReader(plans_of(bind))
    return None


def key_spec(model: type[Any], key: tuple[Any, ...]) -> QuerySpec:
    """Give the query that finds a row by its key, whose parts were checked."""
    pairs = zip(key_attributes(model), key, strict=True)
    return QuerySpec(model, where=tuple(Comparison(each, "eq", part) for each, part in pairs))


def obstacle(bind: Bind, spec: QuerySpec) -> str | None:
    """
    Say why a query cannot take the short way.

    Returns:
        The reason, to be read behind "since"; None if nothing is in the way.
    """
    if not isinstance(bind, AndamiosEngine):
        return "it works in a session"
    if spec.lock is not None:
        return "it locks rows"
    if spec.loads and not spec.gives_rows:
        return "it loads relationships"
    if not spec.gives_rows and (reason := load_obstacle(mapper_of(spec.model))) is not None:
        return reason
    return plans_of(bind).executor.obstacle(writes=False) or session_obstacle(writes=False)


class ShortReader:
    """
    Answers queries of an engine without a session.

    Args:
        plans: Of the engine.
    """

    __slots__ = ("_plans",)

    def __init__(self, plans: Plans) -> None:
        self._plans = plans

    async def results(self, spec: QuerySpec) -> list[Any]:
        """Give everything that a query finds, objects or rows."""
        if spec.gives_rows:
            return await self._run(spec, "rows", executed)
        flat = tuple(loaded_columns(spec.model))
        return await self._run(spec, "objects", lambda s, d: executed(replace(s, flat=flat), d))

    async def dicts(self, spec: QuerySpec) -> list[Any]:
        """Give what a query finds as dicts."""
        return await self._run(spec, "dicts", executed)

    async def count(self, spec: QuerySpec) -> int:
        """Count what a query finds."""
        return int((await self._run(spec, "scalars", counted))[0])

    async def exists(self, spec: QuerySpec) -> bool:
        """Say whether a query finds anything."""
        return bool((await self._run(spec, "scalars", found))[0])

    async def _run(self, spec: QuerySpec, kind: Kind, compose: Compose) -> list[Any]:
        form, plans = _form(spec, kind, compose), self._plans
        plan = plans.plan(form, lambda: _planned(spec, kind, compose, plans, form))
        try:
            return await plans.results(plan, form)
        except ConnectionFailedError as error:
            # As every read that stands alone: once more, on a fresh connection.
            if error.statement is None:
                raise
        return await plans.results(plan, form)


def _form(spec: QuerySpec, kind: Kind, compose: Compose) -> Form:
    form = Form(spec.model, kind, compose.__name__, spec.includes_deleted, spec.is_distinct)
    form.add(spec.where)
    form.add(spec.order_by)
    for items in (spec.columns, spec.aggregates, spec.group_by, spec.having, spec.flat):
        form.add(items)
    for join in spec.joins:
        form.key.append(join.is_outer)
        form.add(item for item in (join.target, join.condition) if item is not None)
    for name in ("limit", "offset"):
        number = getattr(spec, name)
        form.key.append(number is None)
        if number is not None:
            form.parameters.append(Given(number, name))
    return form


def _planned(
    spec: QuerySpec, kind: Kind, compose: Compose, plans: Plans, form: Form
) -> tuple[sa.Select[Any], Shape]:
    """Build the statement of a form, whose limit and offset are parameters too."""
    numbers: dict[str, Any] = {
        each.key: sa.bindparam(each.key, each.effective_value, sa.Integer())
        for each in form.parameters
        if isinstance(each, Given)
    }
    statement = compose(replace(spec, **numbers), str(plans.executor.dialect.name))
    if not spec.includes_deleted:
        statement = statement.options(only_unmarked)
    columns = statement.selected_columns
    types = tuple(column.type for column in columns)
    if kind == "objects":
        names = tuple(column.key for column in loaded_columns(spec.model))
        return statement, Shape(kind, names, types, mapper=mapper_of(spec.model))
    aliases = _aliases(spec, columns) if kind == "rows" else ()
    return statement, Shape(kind, tuple(columns.keys()), types, aliases=aliases)


def _aliases(spec: QuerySpec, columns: Any) -> tuple[tuple[Any, ...], ...]:
    """Give what else than its name finds each part of a row, which are columns only."""
    items = [*(spec.columns or spec.group_by), *spec.aggregates]
    elements = [element_of(item) for item in items]
    if len(columns) != len(items) or not all(isinstance(e, sa.ColumnElement) for e in elements):
        raise UnplannableError("its rows hold objects")
    return tuple(zip(items, elements, strict=True))
