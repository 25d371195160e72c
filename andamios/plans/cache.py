"""The plans of an engine, found by the form of a statement."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.util import LRUCache

from andamios.plans.executor import Executor
from andamios.plans.forms import UnplannableError
from andamios.plans.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

    from sqlalchemy import ClauseElement

    from andamios.core.engine import AndamiosEngine
    from andamios.plans.builders import Shape
    from andamios.plans.drivers import Answer
    from andamios.plans.executor import Writes
    from andamios.plans.forms import Form

    Run = Callable[[str, list[Any]], Awaitable[Answer]]

__all__ = ["Plans", "plans_of"]

T = TypeVar("T")

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
        self._kept: Any = LRUCache(KEPT)

    def known(self, *key: object) -> Plan | None:
        """Give the plan of a form with this key, if there is one."""
        found: Plan | None = self._plans.get(key)
        return found

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

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """
        Give what was made for a key, or make it.

        Args:
            key: All that it depends on.
            make: Called for a key that is new.

        Raises:
            UnplannableError: It cannot be made, now or when that was tried first.
        """
        found: Any = self._kept.get(key)
        if found is None:
            try:
                found = make()
            except UnplannableError as error:
                found = error
            self._kept[key] = found
        if isinstance(found, UnplannableError):
            raise UnplannableError(*found.args)
        return found  # type: ignore[no-any-return]

    async def results(
        self, plan: Plan, values: Sequence[Any], *, writes: Writes = None, run: Run | None = None
    ) -> list[Any]:
        """
        Run a plan with the values of a form's parameters, and give what its rows become.

        Args:
            plan: Of the form.
            values: In the order of the form.
            writes: What it writes to.
            run: Runs SQL inside a transaction; None lets it stand alone.
        """
        sql, bound = plan.bind(values)
        if run is None:
            rows, _, description = await self.executor.run(sql, bound, writes=writes)
        else:
            rows, _, description = await run(sql, bound)
        return plan.build(rows, description, self.executor.driver)

    async def send(self, plan: Plan, values: Sequence[Any], *, writes: Writes) -> Answer:
        """Run a plan that writes, and give the driver's answer."""
        sql, bound = plan.bind(values)
        return await self.executor.run(sql, bound, writes=writes)


_plans: weakref.WeakKeyDictionary[AndamiosEngine, Plans] = weakref.WeakKeyDictionary()


def plans_of(engine: AndamiosEngine) -> Plans:
    """Give the plans of an engine."""
    found = _plans.get(engine)
    if found is None:
        found = _plans[engine] = Plans(engine)
    return found
