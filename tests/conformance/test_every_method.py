"""No public method without a test in the conformance suite."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from andamios import (
    AuditedRepository,
    FilterBuilder,
    GenericRepository,
    QueryBuilder,
    ReadOnlyRepository,
)
from harness.conformance import suite

ELSEWHERE = {
    "cached": "needs a cache; tests/caching shows it on every backend",
}


def public(owner: type) -> set[str]:
    """Give the names of a class's public methods."""
    return {name for name in dir(owner) if not name.startswith("_")} - {"model"}


@pytest.fixture(scope="module")
def named() -> set[str]:
    """The names of all attributes in the sources of the suite's tests."""
    trees = [ast.parse(file.read_text("utf-8")) for file in Path(suite.__path__[0]).glob("*.py")]
    nodes = (node for tree in trees for node in ast.walk(tree))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize(
    "owner", [GenericRepository, AuditedRepository, QueryBuilder, FilterBuilder, ReadOnlyRepository]
)
def test_every_method_is_used(owner: type, named: set[str]) -> None:
    """Whoever adds a method shows that it means the same on every backend, or says where."""
    assert set() == public(owner) - named - ELSEWHERE.keys()


def test_exceptions_are_exceptions(named: set[str]) -> None:
    """What the suite has taken up is no exception any more."""
    assert set() == ELSEWHERE.keys() & named
