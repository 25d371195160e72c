"""Every public method that waits, cancelled at every await: nothing is left behind."""

import pytest

from tests.cancellation import on_core, on_parts, on_queries, on_repositories
from tests.cancellation.sweeping import Surroundings, guilty
from tests.cancellation.table import SCENARIOS, Place

__all__ = ["on_core", "on_parts", "on_queries", "on_repositories"]

# A savepoint in a savepoint whose end is cancelled: SQLAlchemy gives the connection up, and warns
# that the outer savepoint is gone with it. The cancellation comes out all the same.
pytestmark = pytest.mark.filterwarnings("ignore:nested transaction already deassociated")

CASES = [(name, place) for name, scenario in SCENARIOS.items() for place in scenario.places]

FIRST = [(name, scenario.places[0]) for name, scenario in SCENARIOS.items()]
"""Each scenario once, where the time is short."""


SOME = 4
"""How many awaits of a scenario are struck where the time is short."""


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("name", "place"), FIRST)
async def test_cancelled_at_some(name: str, place: Place, surroundings: Surroundings) -> None:
    """At the first, the last and what lies between, evenly spread: nothing is left behind."""
    scenario = SCENARIOS[name]
    assert place in scenario.places
    assert [] == await guilty(scenario, surroundings, limit=SOME)


@pytest.mark.faults
@pytest.mark.every_fault
@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("name", "place"), CASES)
async def test_cancelled_everywhere(name: str, place: Place, surroundings: Surroundings) -> None:
    """Wherever it is struck, all or nothing is done, and everything is given back."""
    scenario = SCENARIOS[name]
    assert place in scenario.places
    assert [] == await guilty(scenario, surroundings)
