"""Objects with the relationships that are loaded along, on the short way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from andamios.models.soft_delete import only_unmarked
from andamios.plans.branches import Tree, joined, parts_of, shape_of
from andamios.plans.children import Graph
from andamios.plans.transactions import reading, sees_one_moment
from andamios.queries.loading import tree_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from andamios.plans.builders import Shape
    from andamios.plans.cache import Plans, Run
    from andamios.plans.children import Build
    from andamios.plans.forms import Form
    from andamios.plans.plan import Plan
    from andamios.queries.spec import QuerySpec

__all__ = ["filled", "tree_in", "with_joined"]


def tree_in(spec: QuerySpec) -> Tree | None:
    """Give what is loaded along with a query's objects, if anything is."""
    if not spec.loads or spec.gives_rows or spec.flat:
        return None
    tree = tree_of(spec.model, spec.loads)
    return tree if isinstance(tree, Tree) else None


def with_joined(
    spec: QuerySpec, statement: sa.Select[Any], tree: Tree
) -> tuple[sa.Select[Any], Shape]:
    """Join what is joined to the statement that finds the objects."""
    parts = parts_of(tree.mapper, tree.branches)
    return _visible(spec, joined(statement, parts), shape_of(parts))


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

    async def work(run: Run | None = None) -> list[Any]:
        async def ask(form: Form, build: Build) -> list[Any]:
            form.key.append(spec.includes_deleted)
            own = plans.plan(form, lambda: _visible(spec, *build()))
            return await plans.results(own, form.values, run=run)

        answer = await plans.results(plan, values, run=run)
        return await Graph(tree, plans.executor.dialect.name, ask).fill(answer)

    if tree.is_one_statement or not sees_one_moment(plans.executor):
        return await work()
    async with reading(plans.executor) as transaction:
        return await work(transaction.run)


def _visible(
    spec: QuerySpec, statement: sa.Select[Any], shape: Shape
) -> tuple[sa.Select[Any], Shape]:
    """Hide rows that are marked as deleted, unless the query shows them."""
    return statement if spec.includes_deleted else statement.options(only_unmarked), shape
