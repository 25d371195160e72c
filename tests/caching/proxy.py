"""A proxy on loopback that can stop forwarding, as a network does that loses everything."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["BlackHole"]


class BlackHole:
    """Forwards to a server while ``is_open``; otherwise it takes bytes and gives none."""

    def __init__(self, url: str) -> None:
        self._target = make_url(url)
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_open = True
        self.url = url

    @classmethod
    @asynccontextmanager
    async def before(cls, url: str) -> AsyncIterator[BlackHole]:
        """Stand before a server for the length of a block."""
        proxy = cls(url)
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        there = make_url(url).set(host="127.0.0.1", port=port)
        proxy.url = there.render_as_string(hide_password=False)
        try:
            yield proxy
        finally:
            server.close()
            for task in proxy._tasks:
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        host, port = self._target.host, self._target.port
        there_reader, there_writer = await asyncio.open_connection(host, port)
        try:
            await asyncio.gather(
                self._forward(reader, there_writer), self._forward(there_reader, writer)
            )
        except asyncio.CancelledError:
            # The proxy goes; asyncio would report a cancelled handler as an error.
            pass
        finally:
            writer.close()
            there_writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if self.is_open:
                    writer.write(data)
                    await writer.drain()
            writer.close()
