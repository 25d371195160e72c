"""The plans of an engine, found by the form of a statement."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from sqlalchemy.util import LRUCache

from andamios.plans.executor import Executor
from andamios.plans.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ClauseElement, Table

    from andamios.core.engine import AndamiosEngine
    from andamios.plans.builders import Shape
    from andamios.plans.drivers import Answer
    from andamios.plans.forms import Form

__all__ = ["Plans", "plans_of"]

KEPT = 500
"""Plans of an engine; SQLAlchemy keeps as many compiled statements."""


class Plans:
    """
    Runs statements of an engine by their plans.

    Args:
        engine: Whose.
    """

    def __init__(self, engine: AndamiosEngine) -> None:
        self.executor = Executor(engine)
        self._plans: Any = LRUCache(KEPT)

    def plan(self, form: Form, build: Callable[[], tuple[ClauseElement, Shape]]) -> Plan:
        """
        Give the plan of a form.

        Args:
            form: The form.
            build: Gives a statement of that form and what its rows become; called for a form
                that is new.

        Raises:
            UnplannableError: SQLAlchemy has to run it.
        """
        key = tuple(form.key)
        found: Plan | None = self._plans.get(key)
        if found is None:
            statement, shape = build()
            found = Plan(statement, form.parameters, shape, self.executor.dialect)
            self._plans[key] = found
        return found

    async def results(self, plan: Plan, form: Form, *, writes: Table | None = None) -> list[Any]:
        """Run a plan with the parameters of a form, and give what its rows become."""
        rows, _, description = await self.send(plan, form, writes=writes)
        assert self.executor.driver is not None
        return plan.build(rows, description, self.executor.driver)

    async def send(self, plan: Plan, form: Form, *, writes: Table | None = None) -> Answer:
        """Run a plan with the parameters of a form, and give the driver's answer."""
        sql, values = plan.bind(form.parameters)
        return await self.executor.run(sql, values, writes=writes)


_plans: weakref.WeakKeyDictionary[AndamiosEngine, Plans] = weakref.WeakKeyDictionary()


def plans_of(engine: AndamiosEngine) -> Plans:
    """Give the plans of an engine."""
    found = _plans.get(engine)
    if found is None:
        found = _plans[engine] = Plans(engine)
    return found
