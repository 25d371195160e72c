"""Fixtures of the sweep: a world for each place in which a scenario can run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.util import await_only

from andamios import AndamiosEngine, AsyncSession, HealthMonitor
from andamios.caching import CacheManager
from andamios.core import facts
from tests.cancellation.sweeping import POOL_SIZE, Surroundings, drop_tables, tables_and_rows
from tests.cancellation.table import Place
from tests.cancellation.world import World, content, put_back
from tests.core.server import Server
from tests.migrations.conftest import empty_url

__all__ = ["empty_url"]

HEARD = (
    *(facts.CommitStarted, facts.ConnectionReturned, facts.ConnectionTaken),
    *(facts.QueryFinished, facts.TransactionEnded),
)


@pytest.fixture
def place_url(request: pytest.FixtureRequest, place: Place) -> str:
    """The database of the place."""
    url: str = request.getfixturevalue("empty_url" if place == "empty" else "test_database")
    return url


@pytest.fixture
def cache_url(request: pytest.FixtureRequest, place: Place) -> str | None:
    """An empty Redis, where the place has a cache."""
    if place != "watched":
        return None
    request.getfixturevalue("redis_client")
    url: str = request.getfixturevalue("redis_database")
    return url


@pytest_asyncio.fixture
async def surroundings(
    place: Place, place_url: str, cache_url: str | None, tmp_path: Path
) -> AsyncIterator[Surroundings]:
    """What stands around a scenario in the place."""
    async with AsyncExitStack() as stack:
        watcher = await stack.enter_async_context(_engine(place_url))
        monitor = HealthMonitor(interval=0)
        engine = await stack.enter_async_context(_engine(place_url, monitor=monitor))
        world = World(engine, tmp_path / "scripts", kept={"monitor": monitor})
        if place == "session":
            world.session = AsyncSession(engine)
        elif place == "heard":
            _hear(engine)
        elif cache_url is not None:
            world.kept["new_cache"] = lambda: CacheManager(cache_url, timeout=2)
            cache = await stack.enter_async_context(CacheManager(cache_url, timeout=2))
            cache.watch(engine)
            world.cache = cache
        look, back = (tables_and_rows, drop_tables) if place == "empty" else (content, put_back)
        await back(watcher)
        yield Surroundings(
            world, Server(watcher), look=lambda: look(watcher), put_back=lambda: back(watcher)
        )


def _engine(url: str, **options: Any) -> AndamiosEngine:
    options |= {"pool_size": POOL_SIZE, "max_overflow": 0, "pool_timeout": 3}
    return AndamiosEngine(url, uvloop=False, **options)


def _hear(engine: AndamiosEngine) -> None:
    """Listen to everything, and wait."""
    for kind in HEARD:
        engine.hooks.listen(kind, lambda _: await_only(asyncio.sleep(0)))
