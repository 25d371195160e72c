"""
A proxy in front of a server, on the loopback, which does to connections what networks do.

The words are those of Toxiproxy, the proxy of this kind that most people know; units are
seconds and bytes.
"""

from __future__ import annotations

import asyncio
import math
import socket
from typing import TYPE_CHECKING, Self

from sqlalchemy.engine import URL, make_url

from harness.faults.line import Limit
from harness.faults.link import End, Link, Traffic, reset
from harness.faults.word import Moment, WordCut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.faults.line import Direction, Line

__all__ = ["FaultProxy"]

HERE = "127.0.0.1"
PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "redis": 6379}


class FaultProxy:
    """
    Stands before a server and passes bytes on, until it is told to do worse.

    A fault begins at once, also for connections that are open, and lasts until
    :meth:`reset`. Its ``stream`` is ``up`` (from client to server), ``down`` (from server to
    client) or ``both``. Faults add up. Only :meth:`down` and :meth:`up` have to be awaited,
    so that the others can be called from anywhere in the loop's thread.

    Args:
        upstream_host: Where the server is.
        upstream_port: Its port.

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

    def __init__(self, upstream_host: str, upstream_port: int) -> None:
        self.upstream = (upstream_host, upstream_port)
        self._url = URL.create("tcp", host=upstream_host, port=upstream_port)
        self._traffic = Traffic()
        self._place: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._links: set[Link] = set()
        self._is_resetting = False
        self.host = HERE
        self.port = 0
        self.connections = 0

    @classmethod
    def to(cls, url: str | URL) -> FaultProxy:
        """
        Build a proxy for the server of a URL.

        Args:
            url: Of PostgreSQL, MySQL, MariaDB or Redis; TLS passes, as any bytes do.

        Raises:
            ValueError: The URL leads to no server.
        """
        target = make_url(url)
        port = target.port or PORTS.get(target.get_backend_name())
        if port is None:
            raise ValueError(f"{target.drivername}: no port, and so no server to stand before")
        made = cls(target.host or HERE, port)
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

    def latency(self, seconds: float, *, jitter: float = 0, stream: Direction = "down") -> None:
        """Deliver everything late: by so many seconds, more or less the jitter; order stays."""
        _check("latency", seconds, "seconds", least=0)
        _check("jitter", jitter, "seconds", least=0)
        for line in self._lines(stream):
            line.change(latency=seconds, jitter=jitter)

    def bandwidth(self, rate: float, *, stream: Direction = "down") -> None:
        """Deliver so many bytes a second on each connection."""
        _check("bandwidth", rate, "bytes a second", least=1)
        for line in self._lines(stream):
            line.change(rate=rate)

    def slicer(self, size: int, *, delay: float = 0.001, stream: Direction = "down") -> None:
        """Deliver in pieces of so many bytes, each after a delay in seconds."""
        _check("slicer", size, "bytes", least=1)
        _check("delay", delay, "seconds", least=0)
        for line in self._lines(stream):
            line.change(slice_size=size, slice_delay=delay)

    def limit_data(self, size: int, *, stream: Direction = "down") -> None:
        """Close each connection after so many more bytes, in the middle of whatever it is."""
        _check("limit_data", size, "bytes", least=1)
        for line in self._lines(stream):
            line.change(limit=Limit(size))

    def timeout(self, *, stream: Direction = "both") -> None:
        """
        Lose everything, and close nothing: a black hole.

        Connections are accepted, and no byte gets through. What is lost stays so after
        :meth:`reset`; what is sent then arrives.
        """
        for line in self._lines(stream):
            line.change(is_silent=True)

    def half_open(self) -> None:
        """
        Lose the server's end of each open connection without a word to its client.

        So it looks after a firewall has forgotten a connection, or a machine its power.
        New connections are well. :meth:`reset` tells the clients with RST.
        """
        for link in self._links:
            link.half_open()

    def reset_peer(self) -> None:
        """Reset connections with RST, those that are open and those that come."""
        self._is_resetting = True
        for link in self._links:
            link.reset()

    def cut(self, word: bytes, moment: Moment = "before") -> asyncio.Event:
        """
        Break the next connection whose client sends this word, once.

        Args:
            word: Such as ``b"COMMIT"``; found only where nothing is encrypted.
            moment: ``before`` (the server never sees it), ``after`` (it does, and the
                connection breaks instead of its answer), or ``held`` (its answer does not
                come, and nothing breaks until :meth:`reset`).

        Returns:
            Set when it has happened.
        """
        if not word:
            raise ValueError("cut takes a word of at least one byte")
        self._traffic.cut = WordCut(word, moment)
        return self._traffic.cut.has_happened

    def reset(self) -> None:
        """Be a good proxy again; connections that cannot recover are reset."""
        self._is_resetting = False
        self._traffic.cut = None
        for line in self._lines("both"):
            line.reset()
        for link in self._links:
            if link.is_lost:
                link.reset()

    def _lines(self, stream: Direction) -> Iterator[Line]:
        if stream not in {"up", "down", "both"}:
            raise ValueError(f"stream is 'up', 'down' or 'both', not {stream!r}")
        if stream != "down":
            yield self._traffic.up
        if stream != "up":
            yield self._traffic.down

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._is_resetting:
            reset(writer)
            return
        task = asyncio.create_task(self._serve(End(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: End) -> None:
        try:
            link = Link(client, End(*await asyncio.open_connection(*self.upstream)), self._traffic)
        except OSError:
            # As good as refused, which it cannot be any more.
            reset(client.writer)
            return
        except asyncio.CancelledError:
            client.writer.transport.abort()
            raise
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


def _check(name: str, value: float, unit: str, *, least: float) -> None:
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name} takes {unit} from {least} on, not {value!r}")
