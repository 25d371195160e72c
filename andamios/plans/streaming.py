"""
Results in parts, as a cursor of the server gives them.

The cursor lives in a transaction on a connection of its own. Only whole parts are waited for, in
the driver itself; what they become is built as for any other answer, so that memory holds a part
or two however many rows there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from andamios.plans.transactions import reading

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from andamios.plans.cache import Plans
    from andamios.plans.plan import Plan
    from andamios.plans.transactions import Transaction

    Finish = Callable[[Transaction], Callable[[list[Any]], Awaitable[list[Any]]]]

__all__ = ["parts_of_result"]


async def parts_of_result(
    plans: Plans, plan: Plan, values: Sequence[Any], batch: int, *, finish: Finish | None = None
) -> AsyncGenerator[list[Any], None]:
    """
    Give what a statement finds, part by part.

    Args:
        plans: Of the engine.
        plan: Of the statement.
        values: Its parameters'.
        batch: Rows in a part.
        finish: Gives what makes the part that is given of what the plan builds.

    Raises:
        UnplannableError: Tables have changed, so that SQLAlchemy has to run it. Nothing was given.
    """
    executor, driver = plans.executor, plans.executor.driver
    assert driver is not None
    sql, bound = plan.bind(values)
    async with reading(executor) as transaction:
        fill = None if finish is None else finish(transaction)
        with transaction.telling(sql) as tell:
            async with driver.open(transaction.connection, sql, bound) as fetch:
                size = batch
                while size == batch:
                    rows, description = await fetch(batch)
                    tell()
                    part, size = plan.build(rows, description, driver), len(rows)
                    if fill is not None:
                        part = await fill(part)
                    transaction.has_given = True
                    try:
                        yield part
                    except GeneratorExit:  # it was left early, with nothing under way
                        transaction.outcome = "rolled back"
                        return
