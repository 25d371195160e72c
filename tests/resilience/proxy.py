"""A loopback TCP proxy between an engine and its server, which breaks connections on demand."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal, Self, TypeAlias

__all__ = ["Moment", "Proxy"]

Moment: TypeAlias = Literal["before", "after", "held"]


class Proxy:
    """
    Passes bytes on until a client sends a certain word, and then breaks the connection.

    Args:
        host: Where the server is.
        port: Its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._links: set[_Link] = set()
        self.word: bytes | None = None
        self.moment: Moment = "before"
        self.breaks = 0
        self.has_broken = asyncio.Event()

    @property
    def port(self) -> int:
        """Where the proxy listens, on the loopback address."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self, word: bytes, moment: Moment = "before") -> None:
        """
        Break the next connection whose client sends this word, once.

        Before: the server never sees it. After: it does, and the connection breaks
        instead of its answer. Held: its answer does not come, and nothing breaks.
        """
        self.word, self.moment = word, moment

    def note_break(self) -> None:
        """Count a connection that was broken."""
        self.breaks += 1
        self.has_broken.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server, to_server = await asyncio.open_connection(*self._target)
        link = _Link(self, to_client, to_server)
        self._links.add(link)
        await asyncio.gather(link.ask(client), link.answer(server))


class _Link:
    """One client's connection, in both directions."""

    def __init__(
        self, proxy: Proxy, to_client: asyncio.StreamWriter, to_server: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._to_client = to_client
        self._to_server = to_server
        self._loses: Moment | None = None

    async def ask(self, client: asyncio.StreamReader) -> None:
        proxy = self._proxy
        async for data in _chunks(client):
            if proxy.word is not None and proxy.word in data:
                proxy.word, self._loses = None, proxy.moment
            if self._loses == "before":
                proxy.note_break()
                break
            self._to_server.write(data)
        self.abort()

    async def answer(self, server: asyncio.StreamReader) -> None:
        async for data in _chunks(server):
            if self._loses is None:
                self._to_client.write(data)
                continue
            self._proxy.note_break()
            if self._loses == "after":
                break
        self._to_client.close()
        if self._loses is not None:
            self.abort()

    def abort(self) -> None:
        self._to_client.transport.abort()
        self._to_server.transport.abort()


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    try:
        while data := await reader.read(65536):
            yield data
    except ConnectionError:
        return
