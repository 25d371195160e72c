"""
Taking the short way to the driver wherever it gives the same, and saying where it does not.

See :mod:`andamios.plans`. What is asked here is what the ends of ``reading`` ask of a session.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import result_tuple

from andamios.core.engine import AndamiosEngine
from andamios.errors import ConnectionFailedError
from andamios.plans.builders import Kind, Shape, objects_shape
from andamios.plans.cache import plans_of
from andamios.plans.forms import Form, Given, UnplannableError, is_models_own
from andamios.plans.objects import load_obstacle, session_obstacle
from andamios.plans.sessions import SessionPlans, plans_in
from andamios.plans.streaming import parts_of_result
from andamios.queries.comparisons import Comparison, form_of_value
from andamios.queries.compose import counted, executed, found, is_written
from andamios.queries.eager import filled, finish_of, tree_in, visible, with_joined
from andamios.queries.fields import element_of, key_attributes, loaded_columns, mapper_of
from andamios.queries.loading import tree_of
from andamios.queries.scope import given_session
from andamios.queries.spec import QuerySpec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from andamios.plans.cache import Plans
    from andamios.plans.plan import Plan
    from andamios.queries.scope import Bind

    Compose = Callable[[QuerySpec, str], sa.Select[Any]]

__all__ = ["QueryPath", "ShortReader", "path_of", "reader_for", "reader_of_objects"]


SLICE = "andamios_"
"""What names of parameters begin with that nobody else uses."""


def reader_for(bind: Bind, spec: QuerySpec) -> ShortReader | None:
    """Give what answers a query on the short way, or None if it has to take the long one."""
    found = _reader(bind, spec)
    return found if isinstance(found, ShortReader) else None


@dataclass(frozen=True, slots=True)
class QueryPath:
    """
    Which way a query takes to the database.

    Args:
        is_short: Straight to the driver, or through SQLAlchemy's execution.
        reason: Why not the short one.

    Example:
        >>> from andamios.queries.short import QueryPath
        >>> print(QueryPath(is_short=False, reason="it locks rows"))
        the long way, since it locks rows
    """

    is_short: bool
    reason: str | None = None

    def __str__(self) -> str:
        return "the short way" if self.is_short else f"the long way, since {self.reason}"


def reader_of_objects(bind: Bind, model: type[Any]) -> ShortReader | None:
    """Give what finds objects of a model by their keys on the short way, or None."""
    found = load_obstacle(model) or _reader_of(bind)
    return found if isinstance(found, ShortReader) else None


def path_of(bind: Bind, spec: QuerySpec) -> QueryPath:
    """Say which way a query takes."""
    found = _reader(bind, spec)
    if isinstance(found, str):
        return QueryPath(is_short=False, reason=found)
    try:
        found.plan(spec)
    except UnplannableError as error:
        return QueryPath(is_short=False, reason=str(error))
    return QueryPath(is_short=True)


def _reader(bind: Bind, spec: QuerySpec) -> ShortReader | str:
    """Give what answers a query on the short way, or say what is in the way."""
    if spec.lock is not None:
        return "it locks rows"
    if spec.gives_rows:
        return _reader_of(bind)
    if spec.loads and isinstance(tree := tree_of(spec.model, spec.loads), str):
        return tree
    if spec.loads and not isinstance(bind, AndamiosEngine):
        return "it loads relationships in a session"
    return load_obstacle(spec.model) or _reader_of(bind)


def _reader_of(bind: Bind) -> ShortReader | str:
    if not isinstance(bind, AndamiosEngine):
        inside = plans_in(given_session(bind))
        return inside if isinstance(inside, str) else ShortReader(inside, "members")
    plans = plans_of(bind)
    reason = plans.executor.obstacle(writes=False) or session_obstacle(writes=False)
    return reason or ShortReader(plans, "objects")


class ShortReader:
    """
    Answers queries without SQLAlchemy's execution.

    Args:
        plans: Those of an engine, or of a session.
        objects: What rows become that are to be objects.
    """

    __slots__ = ("_objects", "_plans")

    def __init__(self, plans: Plans | SessionPlans, objects: Kind) -> None:
        self._plans = plans
        self._objects = objects

    async def results(self, spec: QuerySpec) -> list[Any]:
        """Give everything that a query finds, objects or rows."""
        form, plan = self.plan(spec)
        tree = tree_in(spec)
        if plan.shape.kind == "tuples":
            return [*map(_row_of(spec, plan), await self._run(plan, form.values))]
        if tree is None or isinstance(self._plans, SessionPlans):
            return await self._run(plan, form.values)
        return await self._twice(partial(filled, self._plans, spec, tree, plan, form.values))

    def parts(self, spec: QuerySpec, batch: int) -> AsyncGenerator[list[Any], None]:
        """
        Give what a query of an engine finds, part by part.

        Args:
            spec: The query.
            batch: Rows in a part.

        Raises:
            UnplannableError: SQLAlchemy has to run it.
        """
        plans = self._plans
        if isinstance(plans, SessionPlans):
            raise UnplannableError("it works in a session")
        if any(isinstance(item, type) for item in spec.columns):
            raise UnplannableError("rows of several parts may hold the same object")
        finish = finish_of(plans, spec)
        form, plan = self.plan(spec)
        found = parts_of_result(plans, plan, form.values, batch, finish=finish)
        return _rows_of(found, spec, plan) if plan.shape.kind == "tuples" else found

    async def get(self, model: type[Any], key: tuple[Any, ...]) -> Any:
        """Give the object with a key, whose parts were checked, or None."""
        if isinstance(self._plans, SessionPlans):
            held = self._plans.held(mapper_of(model), key)
            if held is not None:
                return held
        known = self._plans.known(model, self._objects, *map(form_of_value, key))
        plan = known or self._planned_by_key(model, key)
        results = await self._run(plan, key)
        return results[0] if results else None

    async def find(self, model: type[Any], conditions: tuple[Any, ...], *, limit: int) -> list[Any]:
        """
        Give objects that fit comparisons, without a builder and what it collects.

        Raises:
            UnplannableError: There are other conditions.
        """
        if not all(isinstance(each, Comparison) for each in conditions):
            raise UnplannableError("not all of its conditions are comparisons")
        forms = tuple(each.form for each in conditions)
        plan = self._plans.known(model, self._objects, limit, forms)
        if plan is None:
            form = Form(model, self._objects, limit, forms)
            form.parameters = [*conditions]
            spec = QuerySpec(model, where=conditions, limit=limit)
            plan = self._plan_of(form, spec, self._objects, _flat)
        return await self._run(plan, [each.effective_value for each in conditions])

    def _planned_by_key(self, model: type[Any], key: tuple[Any, ...]) -> Plan:
        form, pairs = Form(model, self._objects), zip(key_attributes(model), key, strict=True)
        form.parameters = [Comparison(attribute, "eq", part) for attribute, part in pairs]
        form.key += map(form_of_value, key)
        spec = QuerySpec(model, where=tuple(form.parameters))
        return self._plan_of(form, spec, self._objects, _flat)

    async def dicts(self, spec: QuerySpec) -> list[Any]:
        """Give what a query finds as dicts."""
        is_whole = not (spec.gives_rows or spec.flat)
        return await self._find(spec, "dicts", _flat if is_whole else executed)

    async def count(self, spec: QuerySpec) -> int:
        """Count what a query finds."""
        return int((await self._find(spec, "scalars", counted))[0])

    async def exists(self, spec: QuerySpec) -> bool:
        """Say whether a query finds anything."""
        return bool((await self._find(spec, "scalars", found))[0])

    async def _find(self, spec: QuerySpec, kind: Kind, compose: Compose) -> list[Any]:
        form, plan = self._planned(spec, kind, compose)
        return await self._run(plan, form.values)

    async def _run(self, plan: Plan, values: Sequence[Any]) -> list[Any]:
        return await self._twice(partial(self._plans.results, plan, values))

    async def _twice(self, work: Callable[[], Awaitable[list[Any]]]) -> list[Any]:
        try:
            return await work()
        except ConnectionFailedError as error:
            # As every read that stands alone: once more, on a fresh connection.
            if error.statement is None or isinstance(self._plans, SessionPlans):
                raise
        return await work()

    def plan(self, spec: QuerySpec) -> tuple[Form, Plan]:
        """
        Give the form and the plan of what a query finds.

        Raises:
            UnplannableError: There can be none.
        """
        if spec.gives_rows:
            return self._planned(spec, _kind_of_rows(spec), executed)
        return self._planned(spec, self._objects, _flat)

    def _planned(self, spec: QuerySpec, kind: Kind, compose: Compose) -> tuple[Form, Plan]:
        form = _form(spec, kind, compose)
        return form, self._plan_of(form, spec, kind, compose)

    def _plan_of(self, form: Form, spec: QuerySpec, kind: Kind, compose: Compose) -> Plan:
        plans = self._plans
        return plans.plan(form, lambda: visible(spec, *_planned(spec, kind, compose, plans, form)))


def _flat(spec: QuerySpec, dialect: str) -> sa.Select[Any]:
    """Build the SELECT of an object's columns."""
    return executed(spec.but(flat=tuple(loaded_columns(spec.model))), dialect)


def _form(spec: QuerySpec, kind: Kind, compose: Compose) -> Form:
    form = Form(spec.model, kind, compose.__name__, spec.includes_deleted, spec.is_distinct)
    if kind == "objects" and (tree := tree_in(spec)) is not None:
        form.key.append(tree.branches)
    form.add(spec.where)
    form.add(spec.order_by)
    rest = (spec.columns, spec.aggregates, spec.group_by, spec.having, spec.flat)
    for items in rest if any(rest) else ():
        form.add(items)
    form.key.append(any(rest))
    for join in spec.joins:
        form.key.append(join.is_outer)
        form.add(item for item in (join.target, join.condition) if item is not None)
    for name in ("limit", "offset"):
        number = getattr(spec, name)
        if name == "limit" and is_written(number):
            form.key.append(str(number))
            continue
        form.key.append(number is None)
        if number is not None:
            form.parameters.append(Given(number, SLICE + name))
    return form


def _planned(
    spec: QuerySpec, kind: Kind, compose: Compose, plans: Plans | SessionPlans, form: Form
) -> tuple[sa.Select[Any], Shape]:
    """Build the statement of a form, whose limit and offset are parameters too."""
    numbers: dict[str, Any] = {
        each.key.removeprefix(SLICE): sa.bindparam(each.key, each.effective_value, sa.Integer())
        for each in form.parameters
        if isinstance(each, Given)
    }
    spec = spec.but(**numbers)
    if kind != "scalars" and any(isinstance(item, type) for item in spec.columns):
        return _rows_with_objects(spec, kind, compose, plans)
    statement = compose(spec, str(plans.executor.dialect.name))
    if kind == "objects" and (tree := tree_in(spec)) is not None:
        _require_once(spec, statement)
        return with_joined(statement, tree)
    if kind in {"objects", "members"}:
        _require_once(spec, statement)
        return statement, objects_shape(mapper_of(spec.model), kind)
    columns = statement.selected_columns
    types = tuple(column.type for column in columns)
    aliases: tuple[tuple[Any, ...], ...] = ()
    if kind != "scalars" and spec.gives_rows:
        _require_columns(spec, columns)
        aliases = _aliases(spec)
    return statement, Shape(kind, tuple(columns.keys()), types, aliases=aliases)


def _rows_with_objects(
    spec: QuerySpec, kind: Kind, compose: Compose, plans: Plans | SessionPlans
) -> tuple[sa.Select[Any], Shape]:
    """Build the statement of rows that hold objects of no session, each once."""
    if isinstance(plans, SessionPlans) or spec.aggregates or spec.group_by:
        raise UnplannableError("its rows hold objects")
    parts, flat = [], []
    may_multiply = any(join.may_multiply for join in spec.joins)
    for item in spec.columns:
        if not isinstance(item, type):
            flat.append(element_of(item))
            parts.append(Shape("scalars", (flat[-1].key,), (flat[-1].type,)))
        elif (reason := load_obstacle(item)) is not None:
            raise UnplannableError(reason)
        else:
            is_shared = item is not spec.model or may_multiply
            parts.append(objects_shape(mapper_of(item), is_shared=is_shared))
            flat += loaded_columns(item)
    statement = compose(spec.but(columns=tuple(flat)), str(plans.executor.dialect.name))
    if any(item is spec.model for item in spec.columns) and not may_multiply:
        _require_once(spec, statement)
    names = tuple(
        item.__name__ if isinstance(item, type) else element_of(item).key for item in spec.columns
    )
    if len(set(names)) < len(names) or len(statement.selected_columns) != len(flat):
        raise UnplannableError("parts of its rows have the same name")
    return statement, Shape(kind, names, (), aliases=_aliases(spec), parts=tuple(parts))


def _require_once(spec: QuerySpec, statement: sa.Select[Any]) -> None:
    """Leave to SQLAlchemy what could give an object twice: a condition that joins a table."""
    if not spec.needs_merging and len(statement.get_final_froms()) > 1:
        raise UnplannableError("a condition joins a table")


def _require_columns(spec: QuerySpec, columns: Any) -> None:
    elements = [element_of(item) for item in _parts_of_rows(spec)]
    if len(columns) != len(elements) or not all(isinstance(e, sa.ColumnElement) for e in elements):
        raise UnplannableError("its rows hold objects")


def _parts_of_rows(spec: QuerySpec) -> tuple[Any, ...]:
    return (*(spec.columns or spec.group_by), *spec.aggregates)


def _kind_of_rows(spec: QuerySpec) -> Kind:
    """Tell rows whose parts are known by what is the same in each call from others."""
    lasting = (isinstance(part, type) or is_models_own(part) for part in _parts_of_rows(spec))
    return "rows" if all(lasting) else "tuples"


def _row_of(spec: QuerySpec, plan: Plan) -> Callable[[Any], Any]:
    """Give what makes a row of a tuple, whose parts are found by the expressions of this call."""
    return result_tuple(plan.shape.names, _aliases(spec))


async def _rows_of(
    parts: AsyncGenerator[list[Any], None], spec: QuerySpec, plan: Plan
) -> AsyncGenerator[list[Any], None]:
    row = _row_of(spec, plan)
    async with aclosing(parts):
        async for part in parts:
            yield [*map(row, part)]


def _aliases(spec: QuerySpec) -> tuple[tuple[Any, ...], ...]:
    """Give what else than its name finds each part of a row."""
    return tuple(
        (part,) if isinstance(part, type) else (part, element_of(part))
        for part in _parts_of_rows(spec)
    )
