"""
A proxy in front of a server, on the loopback, which does to connections what networks do.

The words are those of Toxiproxy, the proxy of this kind that most people know; units are
seconds and bytes.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Self

from sqlalchemy.engine import URL, make_url

from harness.faults.link import End, Link, reset
from harness.faults.luck import Luck
from harness.faults.network import Faults

__all__ = ["FaultProxy"]

HERE = "127.0.0.1"
PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "redis": 6379}


class FaultProxy(Faults):
    """
    Stands before a server and passes bytes on, until it is told to do worse.

    A fault begins at once, also for connections that are open, and lasts until
    :meth:`reset`. Its ``stream`` is ``up`` (from client to server), ``down`` (from server to
    client) or ``both``. Faults add up. Only :meth:`down` and :meth:`up` have to be awaited,
    so that the others can be called from anywhere in the loop's thread.

    With a ``probability`` below 1 a fault meets some connections and leaves the others alone;
    a connection that is met by one is met by every other that is as probable. The seed decides
    which they are, and all that varies.

    Args:
        upstream_host: Where the server is.
        upstream_port: Its port; ``upstream`` may be changed, for connections that come.
        seed: What chance begins with.

    Example:
        >>> import asyncio, andamios
        >>> async def main() -> bytes:
        ...     async def answer(reader, writer):
        ...         writer.write(b"hello")
        ...         writer.close()
        ...     server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ...     port = server.sockets[0].getsockname()[1]
        ...     async with server, FaultProxy("127.0.0.1", port) as proxy:
        ...         proxy.limit_data(4)
        ...         reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        ...         received = await reader.read()
        ...         writer.close()
        ...     return received
        >>> andamios.run(main())
        b'hell'
    """

    def __init__(self, upstream_host: str, upstream_port: int, *, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.upstream = (upstream_host, upstream_port)
        self._url = URL.create("tcp", host=upstream_host, port=upstream_port)
        self._place: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.host = HERE
        self.port = 0
        self.connections = 0

    @classmethod
    def to(cls, url: str | URL, *, seed: int = 0) -> FaultProxy:
        """
        Build a proxy for the server of a URL.

        Args:
            url: Of PostgreSQL, MySQL, MariaDB or Redis; TLS passes, as any bytes do.
            seed: What chance begins with.

        Raises:
            ValueError: The URL leads to no server.
        """
        target = make_url(url)
        port = target.port or PORTS.get(target.get_backend_name())
        if port is None:
            raise ValueError(f"{target.drivername}: no port, and so no server to stand before")
        made = cls(target.host or HERE, port, seed=seed)
        made._url = target
        return made

    @property
    def url(self) -> str:
        """The URL that leads through the proxy, with its password."""
        return self._url.set(host=HERE, port=self.port).render_as_string(hide_password=False)

    @property
    def open_connections(self) -> int:
        """How many connections are open now, to the server or to a client."""
        return len(self._links)

    @property
    def bytes_up(self) -> int:
        """How many bytes clients sent that reached the server."""
        return self._traffic.bytes_up

    @property
    def bytes_down(self) -> int:
        """How many bytes the server sent that reached clients."""
        return self._traffic.bytes_down

    @property
    def cuts(self) -> int:
        """How many connections were broken at their word."""
        return self._traffic.cuts

    async def __aenter__(self) -> Self:
        self._place = _bound(0)
        self.port = int(self._place.getsockname()[1])
        await self.up()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.down()
        if self._place is not None:
            self._place.close()

    async def down(self) -> None:
        """Refuse new connections and end those that are open, as a server does that dies."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in self._links:
            link.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # in which closed sockets are let go

    async def up(self) -> None:
        """Accept connections again, on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=_bound(self.port))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        luck = Luck(self.seed, self.connections)
        for ending in self._traffic.endings.values():
            if ending.seconds == 0 and luck.is_met(ending.probability):
                reset(writer)
                return
        task = asyncio.create_task(self._serve(End(reader, writer), luck))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: End, luck: Luck) -> None:
        try:
            server = End(*await asyncio.open_connection(*self.upstream))
        except OSError:
            # As good as refused, which it cannot be any more.
            reset(client.writer)
            return
        except asyncio.CancelledError:
            client.writer.transport.abort()
            raise
        link = Link(client, server, self._traffic, luck)
        for fault, ending in self._traffic.endings.items():
            link.end_later(fault, ending)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


def _bound(port: int) -> socket.socket:
    """Bind a socket. While one is kept that does not listen, nobody else gets its port."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.settimeout(0)
    made.bind((HERE, port))
    return made
