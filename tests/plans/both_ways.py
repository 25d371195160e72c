"""Ask both ways."""

from typing import Any

from andamios import AndamiosEngine
from andamios.core.listening import all_statements_seen
from tests.plans.cases import Ask
from tests.plans.portraits import answer_of, difference

__all__ = ["both_ways"]


async def both_ways(engine: AndamiosEngine, ask: Ask) -> Any:
    """
    Ask on the short way, again by the plan that is known then, and by SQLAlchemy.

    Args:
        engine: Whom to ask.
        ask: Gives the same however often it is asked.

    Returns:
        What SQLAlchemy gave, or None if it raised; all three are equal.
    """
    short = [(await answer_of(ask, engine))[1] for _ in range(2)]
    with all_statements_seen():
        found, wanted = await answer_of(ask, engine)
    for given in short:
        assert wanted == given, difference(wanted, given)
    return found
