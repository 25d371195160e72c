"""Objects with the relationships that are loaded along, on the short way."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from andamios.models.soft_delete import only_unmarked
from andamios.plans.branches import Tree, joined, parts_of, shape_of
from andamios.plans.children import Graph
from andamios.plans.forms import UnplannableError
from andamios.plans.transactions import reading, sees_one_moment
from andamios.queries.loading import tree_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlalchemy as sa

    from andamios.plans.builders import Shape
    from andamios.plans.cache import Plans, Run
    from andamios.plans.children import Build
    from andamios.plans.forms import Form
    from andamios.plans.plan import Plan
    from andamios.plans.streaming import Finish
    from andamios.queries.spec import QuerySpec

__all__ = ["filled", "finish_of", "tree_in", "visible", "with_joined"]


def tree_in(spec: QuerySpec) -> Tree | None:
    """Give what is loaded along with a query's objects, if anything is."""
    if not spec.loads or spec.gives_rows or spec.flat:
        return None
    tree = tree_of(spec.model, spec.loads)
    return tree if isinstance(tree, Tree) else None


def with_joined(statement: sa.Select[Any], tree: Tree) -> tuple[sa.Select[Any], Shape]:
    """Join what is joined to the statement that finds the objects."""
    parts = parts_of(tree.mapper, tree.branches)
    return joined(statement, parts), shape_of(parts)


async def filled(
    plans: Plans, spec: QuerySpec, tree: Tree, plan: Plan, values: Sequence[Any]
) -> list[Any]:
    """
    Give the objects that a query finds, with what is loaded along.

    Args:
        plans: Of the engine.
        spec: The query.
        tree: What is loaded.
        plan: Of the statement that finds the objects.
        values: Its parameters'.
    """
    if tree.is_one_statement or not sees_one_moment(plans.executor):
        answer = await plans.results(plan, values)
        return await _graph_of(plans, spec, tree).fill(answer)
    async with reading(plans.executor) as transaction:
        answer = await plans.results(plan, values, run=transaction.run)
        return await _graph_of(plans, spec, tree, run=transaction.run).fill(answer)


def finish_of(plans: Plans, spec: QuerySpec) -> Finish | None:
    """
    Give what loads along what a stream needs for each of its parts.

    Raises:
        UnplannableError: Nothing else can be sent while the result is read.
    """
    tree = tree_in(spec)
    if tree is None:
        return None
    if plans.executor.dialect.name in {"mysql", "mariadb"} and not tree.is_one_statement:
        raise UnplannableError("one result is under way on a connection at a time")

    # One graph for all parts, in which an object is met again while it lives.
    known = weakref.WeakValueDictionary
    return lambda transaction: _graph_of(plans, spec, tree, run=transaction.run, known=known).fill


def _graph_of(
    plans: Plans,
    spec: QuerySpec,
    tree: Tree,
    *,
    run: Run | None = None,
    known: Callable[[], Any] = dict,
) -> Graph:
    async def ask(form: Form, build: Build) -> list[Any]:
        form.key.append(spec.includes_deleted)
        plan = plans.plan(form, lambda: visible(spec, *build()))
        return await plans.results(plan, form.values, run=run)

    return Graph(tree, plans.executor.dialect.name, ask, known=known)


def visible(
    spec: QuerySpec, statement: sa.Select[Any], shape: Shape
) -> tuple[sa.Select[Any], Shape]:
    """Hide rows that are marked as deleted, unless the query shows them."""
    return statement if spec.includes_deleted else statement.options(only_unmarked), shape
