"""The event loops that tests run on: asyncio's own, uvloop, or one after the other."""

import asyncio
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TypeAlias

import pytest
import pytest_asyncio.plugin

__all__ = ["LOOPS", "LoopFactories", "check_loop_scope", "register_loops"]

LOOPS = ("asyncio", "uvloop", "both")

SCOPES = ("class", "module", "package", "session")
"""Loops that more than one test runs on."""

LoopFactory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]


class LoopFactories:
    """
    The plugin that tells pytest-asyncio which loops to use, for all async tests.

    With both, each test runs on either, as ``test_name[asyncio-…]`` and
    ``test_name[uvloop-…]``; with one, names stay as they are.

    Args:
        names: Of the loops.
    """

    def __init__(self, *names: str) -> None:
        self._factories = {name: _factory(name) for name in names}

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_asyncio_loop_factories(self) -> Mapping[str, LoopFactory]:
        """Give the loops that were asked for, whatever a conftest says."""
        return self._factories


def register_loops(config: pytest.Config, choice: str | None) -> None:
    """
    Have tests run on the loops that were chosen; without a choice nothing is touched.

    Raises:
        pytest.UsageError: uvloop is missing, or pytest-asyncio is switched off.
    """
    if choice is None:
        return
    if not config.pluginmanager.is_registered(pytest_asyncio.plugin):
        raise pytest.UsageError("--harness-loop needs pytest-asyncio, which is switched off")
    names = LOOPS[:2] if choice == "both" else (choice,)
    config.pluginmanager.register(LoopFactories(*names), "andamios-harness-loops")


def check_loop_scope(item: pytest.Item) -> None:
    """
    Fail a test that is on another loop than our fixtures, before it waits for them in vain.

    They are on that of ``asyncio_default_fixture_loop_scope``; the marker's word for a test
    does not reach them.
    """
    marker = item.get_closest_marker("asyncio")
    of_fixtures = item.config.getini("asyncio_default_fixture_loop_scope")
    if of_fixtures not in SCOPES:  # unset, or that of the fixture, which is the test's
        of_fixtures = "function"
    of_test = item.config.getini("asyncio_default_test_loop_scope") or "function"
    if marker is not None:
        of_test = marker.kwargs.get("loop_scope") or of_test
    if marker is not None and of_test != of_fixtures:
        pytest.fail(
            f"This test runs on the event loop of its {of_test}, and fixtures of the harness on "
            f"that of the {of_fixtures}: set asyncio_default_fixture_loop_scope = {of_test}, or "
            "leave loop_scope out.",
            pytrace=False,
        )


def _factory(name: str) -> LoopFactory:
    if name == "asyncio":
        # By name from Python 3.13 on; asked for here whatever policy the process has.
        return getattr(asyncio, "EventLoop", asyncio.SelectorEventLoop)
    try:
        factory: LoopFactory = import_module("uvloop").new_event_loop
    except ImportError as error:
        raise pytest.UsageError(
            "--harness-loop: uvloop is not installed; pip install uvloop, or choose asyncio"
        ) from error
    return factory
