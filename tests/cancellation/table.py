"""The table of scenarios: which public method each is for, and where it can run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tests.cancellation.world import Work, World

__all__ = ["SCENARIOS", "Place", "Scenario", "scenario"]

Place: TypeAlias = Literal["engine", "session", "watched", "heard", "empty"]
"""
What a scenario is given: an engine; a session besides; an engine that a cache watches, or whose
listeners wait; or an engine on a database without tables.
"""


@dataclass(frozen=True)
class Scenario:
    """
    A small piece of work that calls one public method.

    Args:
        name: Of the method, ``Class.method``; behind a blank, what is particular.
        work: The work.
        places: Where it runs.
        also: Further methods that it is for.
        prepare: Run before each run, uncancelled.
        check: Run after each run, uncancelled.
        is_whole: Whether all of its effect is there or none, whatever strikes.
        has_ddl: Whether it creates or drops several tables, or something besides.
    """

    name: str
    work: Work
    places: tuple[Place, ...]
    also: tuple[str, ...] = ()
    prepare: Work | None = None
    check: Work | None = None
    is_whole: bool = True
    has_ddl: bool = False

    @property
    def methods(self) -> set[str]:
        """The methods that it is for."""
        return {self.name.split(" ")[0], *self.also}


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, *places: Place, **options: Any) -> Callable[[Work], Work]:
    """Put a work into the table, with what else a :class:`Scenario` takes."""

    def add(work: Work) -> Work:
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Scenario(name, work, places, **options)
        return work

    return add


def both(name: str, work: Callable[[World], object]) -> None:
    """Put a work into the table that runs on an engine and in a session that is passed in."""
    scenario(name, "engine", "session")(work)  # type: ignore[arg-type]
