"""Every name that the documents promise is there, is described, and is tested."""

from __future__ import annotations

import inspect

import pytest

from tests.contract import names, resolve, uses_in_tests

NAMES = names()


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[name for _module, name in NAMES])
def test_a_promised_name(module: str, name: str) -> None:
    """It exists and has a docstring; what a dataclass or SQLAlchemy describes is theirs."""
    found = resolve(module, name)

    assert found is not None
    if inspect.isclass(found) or callable(found):
        assert inspect.getdoc(found)


@pytest.mark.parametrize("name", [name for _module, name in NAMES])
def test_a_promised_name_is_tested(name: str) -> None:
    """Some test uses it."""
    assert uses_in_tests(name)
