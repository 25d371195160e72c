"""Fixtures: an engine whose connections can be cut, and what is in the tables."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest
import pytest_asyncio
from sqlalchemy import select

from andamios import AndamiosEngine
from andamios.resilience import TransactionManager
from tests.resilience.models import ResNote
from tests.resilience.proxy import Proxy

NoteReader: TypeAlias = Callable[[], Awaitable[list[str]]]


@pytest.fixture
def manager(engine: AndamiosEngine) -> TransactionManager:
    """A manager on the test's engine."""
    return TransactionManager(engine)


@pytest.fixture
def notes(engine: AndamiosEngine) -> NoteReader:
    """Reads the notes, past any proxy."""

    async def read() -> list[str]:
        async with engine.session(read_only=True, is_current=False) as session:
            return sorted(await session.scalars(select(ResNote.text)))

    return read


@pytest_asyncio.fixture
async def proxy(engine: AndamiosEngine, backend: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the test's server."""
    if backend == "sqlite":
        pytest.skip("SQLite has no connection that could break")
    assert engine.url.host
    assert engine.url.port
    async with Proxy(engine.url.host, engine.url.port) as running:
        yield running


@pytest_asyncio.fixture
async def proxied(engine: AndamiosEngine, proxy: Proxy) -> AsyncIterator[AndamiosEngine]:
    """An engine on this test's database, through the proxy."""
    url = engine.url.set(host="127.0.0.1", port=proxy.port)
    made = AndamiosEngine(url, uvloop=False, pool_size=2)
    yield made
    await made.close()
