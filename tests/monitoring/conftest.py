"""Fixtures for tests of monitoring: engines with options, and a proxy that can fall silent."""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import pytest_asyncio

from andamios import AndamiosEngine
from harness.faults import FaultProxy
from harness.fixtures.faults import FaultProxyMaker

EngineMaker: TypeAlias = Callable[..., AndamiosEngine]


@pytest_asyncio.fixture
async def make_engine(engine: AndamiosEngine) -> AsyncIterator[EngineMaker]:
    """Build engines on this test's database, which are closed after it."""
    made: list[AndamiosEngine] = []

    def make(**options: Any) -> AndamiosEngine:
        made.append(AndamiosEngine(options.pop("url", engine.url), uvloop=False, **options))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest_asyncio.fixture
async def proxy(engine: AndamiosEngine, fault_proxy: FaultProxyMaker) -> FaultProxy:
    """A way to the server on which nothing more may come through."""
    return await fault_proxy(engine.url)
