"""No public method that waits without a scenario."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import andamios
from tests.cancellation import on_core, on_parts, on_queries, on_repositories
from tests.cancellation.table import SCENARIOS

__all__ = ["on_core", "on_parts", "on_queries", "on_repositories"]

PARTS = [
    *(f"andamios.{each.name}" for each in pkgutil.iter_modules(andamios.__path__) if each.ispkg),
    "andamios.integrations.fastapi",  # which its package does not import
]

ENTERING = {"__aenter__", "__aexit__", "__await__"}

EXEMPT = {
    "IRepository": "abstract: it has no code",
    "AsyncSession.close_all": "SQLAlchemy's, and deprecated",
    "take_tour": "a command that writes to a screen, made of what is swept here",
}
"""Classes, methods and functions without a scenario, and why."""


def public() -> Iterator[tuple[str, Any]]:
    """Give everything public."""
    for part in ["andamios", *PARTS]:
        module = importlib.import_module(part)
        for name in module.__all__:
            yield name, getattr(module, name)


def waiting(name: str, thing: Any) -> Iterator[str]:
    """Name the methods of a class that wait, by the class that defines them, or a function."""
    if not inspect.isclass(thing):
        return iter([name] if waits(thing) else [])
    found = (each for each in dir(thing) if not each.startswith("_") or each in ENTERING)
    return (
        f"{_owner(thing, each)}.{each}"
        for each in found
        if each == "__await__" or waits(inspect.getattr_static(thing, each))
    )


def waits(member: Any) -> bool:
    """Whether a member is a method that waits."""
    function = inspect.unwrap(getattr(member, "__func__", member))
    return any(
        look(each)
        for look in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        for each in (member, function)
    )


def _owner(thing: type[Any], attribute: str) -> str:
    """Name the class that defines an attribute; for what SQLAlchemy's does, the one of ours."""
    owner = next(each for each in thing.__mro__ if attribute in vars(each))
    return (thing if owner.__module__.startswith("sqlalchemy.") else owner).__name__


def test_every_method_has_a_scenario() -> None:
    """Whoever adds a method that waits adds a scenario, or an exemption with its reason."""
    wanted = {each for name, thing in public() for each in waiting(name, thing)}
    wanted -= {each for each in wanted if {each, each.split(".")[0]} & EXEMPT.keys()}
    covered = {method for scenario in SCENARIOS.values() for method in scenario.methods}
    assert set() == wanted - covered


def test_every_scenario_has_a_method() -> None:
    """A scenario calls something that is there, also where that only gives what waits."""
    classes = {kind.__name__: kind for _, thing in public() for kind in _kinds(thing)}
    functions = {name for name, _ in public()}
    methods = {method for scenario in SCENARIOS.values() for method in scenario.methods}
    parts = {method.partition(".")[::2] for method in methods}
    assert set() == {
        (owner, name)
        for owner, name in parts
        if not (hasattr(classes.get(owner), name) if name else owner in functions)
    }


def test_exemptions_are_needed() -> None:
    """What is there no longer, or has a scenario, is no exemption."""
    wanted = {each for name, thing in public() for each in waiting(name, thing)}
    covered = {method for scenario in SCENARIOS.values() for method in scenario.methods}
    wanted |= {each.split(".")[0] for each in wanted}
    covered |= {each.split(".")[0] for each in covered - EXEMPT.keys()}
    assert set() == (EXEMPT.keys() - wanted) | (EXEMPT.keys() & covered)


def _kinds(thing: Any) -> tuple[type[Any], ...]:
    return thing.__mro__ if inspect.isclass(thing) else ()
