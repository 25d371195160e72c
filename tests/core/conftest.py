"""Fixtures for tests of the core: engines with options, and a view of the server from outside."""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from andamios import AndamiosEngine
from tests.core.server import Server

EngineMaker: TypeAlias = Callable[..., AndamiosEngine]


@pytest_asyncio.fixture
async def make_engine(engine: AndamiosEngine) -> AsyncIterator[EngineMaker]:
    """Build engines on this test's database; they are closed, and its tables emptied, after it."""
    made: list[AndamiosEngine] = []

    def make(**options: Any) -> AndamiosEngine:
        made.append(AndamiosEngine(engine.url, uvloop=False, **options))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest_asyncio.fixture
async def server(test_database: str) -> AsyncIterator[Server]:
    """The server, seen through a connection that no test uses otherwise."""
    async with AndamiosEngine(test_database, uvloop=False, pool_size=1) as watcher:
        yield Server(watcher)


@pytest.fixture
def is_sqlite(backend: str) -> bool:
    """Whether the test runs on SQLite, which has no server."""
    return backend == "sqlite"
