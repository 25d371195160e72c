"""
Where candidates are tried: a connection on which indexes may come and go.

What they have in common is here; ``hypothetical``, ``copies`` and ``live`` say what each
backend offers.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy.schema import CreateIndex, DropIndex

from andamios.errors import ConstraintError, QueryError
from andamios.queries.planning.explain import explain_sent
from andamios.queries.planning.nodes import ACCESSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.queries.indexes.candidates import Candidate
    from andamios.queries.planning.explain import Sent
    from andamios.queries.planning.plan import QueryPlan

__all__ = ["Laboratory", "examined_rows", "renamed"]


class Laboratory:
    """
    A connection on which a statement can be planned with indexes that come and go.

    Args:
        connection: Where indexes are made and the statement is planned.
        sent: The statement.
        tried_on: What it is tried on, in words.
        schema: Where its tables lie, if elsewhere than their models say.
    """

    worthwhile = 0.1
    """The part of the cost that an index has to save."""

    def __init__(
        self,
        connection: AsyncConnection,
        sent: Sent,
        *,
        tried_on: str,
        schema: str | None = None,
    ) -> None:
        self.connection = connection
        self.tried_on = tried_on
        self._sent = sent
        self._schema = schema

    async def plan(self) -> QueryPlan:
        """Plan the statement with the indexes that there are now."""
        return await self.connection.run_sync(explain_sent, self._sent)

    async def cost(self, plan: QueryPlan) -> tuple[float, str]:
        """Give what the statement costs now, and the unit."""
        if plan.cost is not None:
            return plan.cost, "planner's cost"
        return examined_rows(plan), "rows to read"

    async def attempt(self, candidate: Candidate, name: str) -> bool:
        """Make an index, unless it is too wide or of a type that cannot be indexed."""
        try:
            # PostgreSQL refuses everything after an error; MySQL's DDL ends savepoints.
            is_transactional = self.connection.dialect.name == "postgresql"
            async with self.connection.begin_nested() if is_transactional else nullcontext():
                await self.add(candidate, name)
        except (ConstraintError, QueryError):
            return False
        return True

    async def add(self, candidate: Candidate, name: str) -> None:
        """Make an index."""
        await self.connection.execute(CreateIndex(candidate.index(name, self._schema)))

    async def drop(self, candidate: Candidate, name: str) -> None:
        """Remove it again."""
        await self.connection.execute(DropIndex(candidate.index(name, self._schema)))


def examined_rows(plan: QueryPlan) -> float:
    """Count the rows that a plan reads from tables: those that came, or else those expected."""
    if plan.node != "nested loop":
        own = _output(plan) if plan.node in ACCESSES else 0.0
        return own + sum(examined_rows(child) for child in plan.children)
    total, runs = 0.0, 1.0
    for child in plan.children:
        total += runs * examined_rows(child)
        runs *= _output(child)
    return total


def _output(plan: QueryPlan) -> float:
    rows = plan.estimated_rows if plan.actual_rows is None else plan.actual_rows
    return max(rows or 0.0, 1.0)


def renamed(plan: QueryPlan, names: Mapping[str, str]) -> QueryPlan:
    """Give a plan with other names for its indexes."""
    children = tuple(renamed(child, names) for child in plan.children)
    return replace(plan, index=names.get(plan.index or "", plan.index), children=children)
