"""The conformance suite itself: complete, and every test of it shows a capability."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.conformance import suite
from harness.conformance.gaps import GAPS
from harness.conformance.repository import RepositoryContract

STARTER = Path(__file__).parents[1] / "conformance" / "test_conformance.py"


def suite_classes() -> Iterator[type[Any]]:
    """Give every class of tests in the suite's modules."""
    for module in pkgutil.iter_modules(suite.__path__, f"{suite.__name__}."):
        found = vars(importlib.import_module(module.name))
        yield from (kind for name, kind in found.items() if name.startswith("Test"))


def capabilities(test: Any) -> list[str]:
    """Give what a test is marked with."""
    marks = getattr(test, "pytestmark", [])
    return [mark.args[0] for mark in marks if mark.name == "capability"]


def test_exports() -> None:
    """Every class is exported, and started here."""
    names = {kind.__name__ for kind in suite_classes()}

    assert names == set(suite.__all__)
    assert all(f"    {name},\n" in STARTER.read_text() for name in names)


def test_capabilities() -> None:
    """Every test shows a capability, "group: what", and every gap is one of them."""
    shown = {
        f"{kind.__name__}.{name}": capabilities(test)
        for kind in (*suite_classes(), RepositoryContract)
        for name, test in vars(kind).items()
        if name.startswith("test_")
    }
    known = {capability for found in shown.values() for capability in found}

    assert [] == [name for name, found in shown.items() if len(found) != 1]
    assert all(": " in capability for capability in known)
    assert {gap.capability for gap in GAPS} <= known
