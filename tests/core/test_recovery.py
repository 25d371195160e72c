"""An engine whose server goes away and comes back: errors meanwhile, and none afterwards."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text
from sqlalchemy.engine import make_url

from andamios import AndamiosEngine, ConnectionFailedError, GenericRepository, HealthMonitor
from tests.models.domain import LibWord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Switch:
    """A port of the loopback address that leads to a server while it is on."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def on(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def off(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        except ConnectionError:
            pass
        finally:
            target.transport.abort()


@pytest.fixture
async def switch(engine: AndamiosEngine, backend: str) -> AsyncIterator[Switch]:
    """The way to this test's server."""
    if backend == "sqlite":
        pytest.skip("SQLite has no server")
    url = make_url(engine.url)
    made = Switch(url.host or "127.0.0.1", url.port or 0)
    await made.on()
    yield made
    await made.off()


async def work(engine: AndamiosEngine, number: int) -> None:
    async with engine.session() as session:
        session.add(LibWord(word=f"word {number}"))
        await session.flush()
        await session.execute(text("SELECT 1"))


async def test_the_pool_recovers(engine: AndamiosEngine, switch: Switch) -> None:
    """While the server is down every caller gets an error; once it is back, nobody does."""
    url = make_url(engine.url).set(host="127.0.0.1", port=switch.port)
    monitor = HealthMonitor(interval=0)
    async with AndamiosEngine(url, uvloop=False, pool_size=4, monitor=monitor) as through:
        await asyncio.gather(*(work(through, number) for number in range(4)))
        await switch.off()
        down = await asyncio.gather(
            *(work(through, number) for number in range(10, 18)), return_exceptions=True
        )
        assert {ConnectionFailedError} == {type(error) for error in down}
        await monitor.check()
        await switch.on()
        await asyncio.gather(*(work(through, number) for number in range(20, 28)))
        await monitor.check()
        stats = through.connections.stats()
        assert (0, 0) == (stats.in_use, stats.waiting)
        assert stats.idle <= 4
    async with engine.session() as session:
        kept = set(await session.scalars(select(LibWord.word)))
    assert {f"word {number}" for number in (*range(4), *range(20, 28))} == kept


async def test_a_lone_read_does_not_notice_a_short_outage(
    engine: AndamiosEngine, switch: Switch
) -> None:
    """Connections that broke while nobody used them are replaced, and a read finds its rows."""
    url = make_url(engine.url).set(host="127.0.0.1", port=switch.port)
    async with AndamiosEngine(url, uvloop=False, pool_size=2) as through:
        await asyncio.gather(*(work(through, number) for number in range(2)))
        await switch.off()
        await switch.on()
        assert 2 == await GenericRepository[LibWord](through).count()


async def test_the_monitor_says_once_that_a_server_is_gone(
    engine: AndamiosEngine, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    """It tells when nobody answers, not again while that is so, and when somebody does."""
    caplog.set_level(logging.INFO, "andamios.pool")
    url = make_url(engine.url).set(host="127.0.0.1", port=switch.port)
    monitor = HealthMonitor(interval=0)
    async with AndamiosEngine(url, uvloop=False, pool_size=2, monitor=monitor):
        await switch.off()
        await monitor.check()
        await monitor.check()
        await switch.on()
        await monitor.check()
    told = [each.getMessage() for each in caplog.records if each.name == "andamios.pool"]
    words = [message.split(":")[0] for message in told]

    assert ["The database does not answer", "The database answers again"] == words
