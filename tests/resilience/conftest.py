"""Fixtures: an engine whose connections can be cut, and what is in the tables."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest
import pytest_asyncio
from sqlalchemy import select

from andamios import AndamiosEngine
from andamios.resilience import TransactionManager
from harness.faults import FaultProxy
from harness.fixtures.faults import FaultProxyMaker
from tests.resilience.models import ResNote

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
async def proxy(engine: AndamiosEngine, fault_proxy: FaultProxyMaker) -> FaultProxy:
    """A proxy in front of the test's server."""
    return await fault_proxy(engine.url)


@pytest_asyncio.fixture
async def proxied(proxy: FaultProxy) -> AsyncIterator[AndamiosEngine]:
    """An engine on this test's database, through the proxy."""
    made = AndamiosEngine(proxy.url, uvloop=False, pool_size=2)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def prepared(proxied: AndamiosEngine) -> TransactionManager:
    """A manager behind the proxy that can settle lost COMMITs."""
    made = TransactionManager(proxied)
    await made.prepare()
    return made
