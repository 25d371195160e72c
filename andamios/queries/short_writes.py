"""
Set-based writes on the short way: one UPDATE or DELETE of an engine, which commits by itself.

No session can hold objects that such a write changes. What needs more than one statement
(history, marks instead of deletion, versions that are compared, joined or sliced rows) takes the
long way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from andamios.models.history import history_table
from andamios.models.soft_delete import is_soft_delete
from andamios.plans.builders import NOTHING
from andamios.plans.cache import plans_of
from andamios.plans.forms import Form, Given, UnplannableError
from andamios.plans.objects import session_obstacle
from andamios.plans.writes import VALUE, made_by
from andamios.queries.comparisons import Comparison
from andamios.queries.fields import mapper_of
from andamios.queries.values import is_expression
from andamios.queries.writing import next_version, require_scope, written_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from andamios.core.engine import AndamiosEngine
    from andamios.plans.builders import Shape
    from andamios.plans.cache import Plans
    from andamios.queries.spec import QuerySpec

__all__ = ["delete_alone", "update_alone"]


async def update_alone(engine: AndamiosEngine, spec: QuerySpec, values: Mapping[Any, Any]) -> int:
    """
    Set values in every row that a query finds.

    Returns:
        How many rows were found.

    Raises:
        UnplannableError: It has to take the long way.
    """
    plans = _plans_for(engine, spec)
    require_scope(spec, "update")
    assignments = _assignments(spec, values)
    form = Form(spec.model, "update", spec.includes_deleted, *assignments)
    form.key += [is_expression(value) for value in assignments.values()]
    for name, value in assignments.items():
        if is_expression(value):
            form.add([value])
        else:
            form.parameters.append(Given(value, VALUE + name))
    form.add(spec.where)

    def build() -> tuple[Any, Shape]:
        columns = mapper_of(spec.model).column_attrs
        bound = {
            name: value
            if is_expression(value)
            else sa.bindparam(VALUE + name, type_=columns[name].columns[0].type)
            for name, value in assignments.items()
        }
        return sa.update(spec.model).where(*_conditions(spec)).values(bound), NOTHING

    table: Any = mapper_of(spec.model).local_table
    return (await plans.send(plans.plan(form, build), form.values, writes=table))[1]


async def delete_alone(engine: AndamiosEngine, spec: QuerySpec) -> int:
    """
    Delete every row that a query finds.

    Returns:
        How many rows were deleted.

    Raises:
        UnplannableError: It has to take the long way.
    """
    plans = _plans_for(engine, spec)
    if is_soft_delete(spec.model):
        raise UnplannableError("rows are marked instead of deleted")
    require_scope(spec, "delete")
    form = Form(spec.model, "delete")
    form.add(spec.where)

    def build() -> tuple[Any, Shape]:
        return sa.delete(spec.model).where(*_conditions(spec)), NOTHING

    # What a deletion breaks is a rule of the tables that refer to this one.
    return (await plans.send(plans.plan(form, build), form.values, writes=True))[1]


def _plans_for(engine: AndamiosEngine, spec: QuerySpec) -> Plans:
    plans, mapper = plans_of(engine), mapper_of(spec.model)
    reason = plans.executor.obstacle(writes=True) or session_obstacle(writes=False)
    if reason is not None:
        raise UnplannableError(reason)
    if history_table(mapper) is not None or mapper.inherits or mapper.polymorphic_on is not None:
        raise UnplannableError("it keeps a history, or is part of an inheritance")
    if spec.joins or spec.is_sliced or any(map(_is_nested, spec.where)):
        raise UnplannableError("its rows have to be found first")
    return plans


def _is_nested(condition: Any) -> bool:
    if isinstance(condition, Comparison):
        return False
    return any(isinstance(part, sa.SelectBase) for part in visitors.iterate(condition))


def _assignments(spec: QuerySpec, values: Mapping[Any, Any]) -> dict[str, Any]:
    """Give what is set, with what every UPDATE of the model sets besides."""
    mapper: Any = mapper_of(spec.model)
    found = written_values(spec.model, values)
    version = mapper.version_id_col
    if version is not None:
        if mapper.get_property_by_column(version).key in found:
            raise UnplannableError("a version is compared")
        found |= next_version(spec.model)
    for attribute in mapper.column_attrs:
        default = getattr(attribute.columns[0], "onupdate", None)
        if default is not None and attribute.key not in found and not default.is_clause_element:
            found[attribute.key] = made_by(default)
    return found


def _conditions(spec: QuerySpec) -> list[Any]:
    conditions = list(spec.conditions)
    if is_soft_delete(spec.model) and not spec.includes_deleted:
        conditions.append(spec.model.deleted_at.is_(None))
    return conditions
