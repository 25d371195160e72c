"""What holds for examples in docstrings."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """
    Collect no garbage while an example runs.

    Each line of one makes Python go through its cache of source lines, from which SQLAlchemy
    2.1 takes the lines of a mapped class when that is collected: a KeyError, if it happens in
    the same moment (seen once in 4,000 tests).
    """
    if not isinstance(item, pytest.DoctestItem):
        result: Any = yield
        return result
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
