"""A cache in memory alone, and one in memory and Redis: what holds for one holds for both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from andamios.caching import CacheManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from andamios import AndamiosEngine


@pytest.fixture(params=["memory", "redis"])
def redis_or_none(request: pytest.FixtureRequest) -> str | None:
    """The URL of an empty Redis database, or None."""
    if request.param == "memory":
        return None
    request.getfixturevalue("redis_client")
    url: str = request.getfixturevalue("redis_database")
    return url


@pytest_asyncio.fixture
async def cache(redis_or_none: Any, engine: AndamiosEngine) -> AsyncIterator[CacheManager]:
    """A cache that watches the engine."""
    async with CacheManager(redis_or_none, timeout=2) as manager:
        manager.watch(engine)
        yield manager
