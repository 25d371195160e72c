"""The ping of an idle connection, when no answer comes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sqlalchemy import text

from andamios import AndamiosEngine
from andamios.core import ping

if TYPE_CHECKING:
    import pytest

    from harness.fixtures.faults import FaultProxyMaker


async def test_a_connection_that_is_lost_without_a_word(
    engine: AndamiosEngine, fault_proxy: FaultProxyMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a firewall that forgot it, it costs the ping's limit, and then there is a new one."""
    monkeypatch.setattr(ping, "IDLE_BEFORE_PING", 0.0)
    monkeypatch.setattr(ping, "PING_LIMIT", 0.3)
    proxy = await fault_proxy(engine.url)
    async with AndamiosEngine(proxy.url, uvloop=False, pool_size=4) as through:
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(ask(through))
        proxy.half_open()
        began = time.monotonic()
        assert 1 == await ask(through)
        assert 0.2 < time.monotonic() - began < 1
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(ask(through))
        assert time.monotonic() - began < 1  # the others of that age were not asked
        assert 0 == through.connections.stats().in_use


async def ask(engine: AndamiosEngine) -> int:
    """Ask the server something."""
    async with engine.session(read_only=True) as session:
        return int((await session.execute(text("SELECT 1"))).scalar_one())
