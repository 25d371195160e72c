"""A connection that is given back behind a server which does not answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from andamios import AndamiosEngine
from andamios.core import closing
from tests.core.server import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from harness.faults import FaultProxy
    from harness.fixtures.faults import FaultProxyMaker

    Take = Callable[[AndamiosEngine], AbstractAsyncContextManager[Any]]


@pytest.fixture
async def proxy(engine: AndamiosEngine, fault_proxy: FaultProxyMaker) -> AsyncIterator[FaultProxy]:
    """Before the server."""
    found = await fault_proxy(engine.url)
    yield found
    found.reset()


@pytest.mark.parametrize(
    "take",
    [
        pytest.param(lambda engine: engine.session(), id="session"),
        pytest.param(lambda engine: engine.connections.acquire(), id="connection"),
    ],
)
async def test_a_rollback_without_an_answer(
    proxy: FaultProxy, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is cancelled while it lasts leaves, and the place in the pool is free soon after."""
    monkeypatch.setattr(closing, "LIMIT", 0.2)
    async with AndamiosEngine(proxy.url, uvloop=False, pool_size=1, max_overflow=0) as through:

        async def work() -> None:
            async with take(through) as taken:
                await taken.execute(text("SELECT 1"))
                proxy.half_open()
                raise RuntimeError

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await work()

        assert await eventually(lambda: _is_free(through))
        proxy.reset()
        async with through.session() as session:
            assert 1 == await session.scalar(text("SELECT 1"))


async def _is_free(engine: AndamiosEngine) -> bool:
    return 0 == engine.connections.stats().in_use
