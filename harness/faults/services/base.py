"""Breaking a server and mending it: what PostgreSQL, MySQL, MariaDB and Redis have in common."""

from __future__ import annotations

import asyncio
import secrets
import time
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self, TypeVar

from sqlalchemy.engine import make_url

from harness.faults.proxy import FaultProxy
from harness.services import ProviderError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.faults.services.server import FaultServers, OwnServer

__all__ = ["ANSWER_LIMIT", "FaultError", "Held", "ServiceFaults", "fresh_name", "until"]

ResultT = TypeVar("ResultT")

ANSWER_LIMIT = 10.0
"""Seconds in which a server has to do what it is asked."""

MEND_LIMIT = 90.0
"""Seconds in which everything has to be undone."""

MOST_HELD = 2_000


class FaultError(RuntimeError):
    """A fault could not be made, or not be undone; the message is one line."""


class Held:
    """
    A connection that is held to take a slot.

    Args:
        number: By which the server knows it.
        close: Lets go of it, also if it is dead.
    """

    def __init__(self, number: int, close: Callable[[], Awaitable[None]]) -> None:
        self.number = number
        self.close = close


class ServiceFaults(ABC):
    """
    A server of one's own, behind a proxy, to be broken and mended.

    The fixture ``service_faults`` gives one. Its `url` stays good whatever happens, as the port
    of the proxy does not change; `proxy` adds the faults of a network. Every method returns
    when what it says has happened, and raises :class:`FaultError` if it cannot be done. What is
    still broken when the test ends is mended then.

    Args:
        servers: Where servers come from.
        server: The one to break.
        seed: Of the proxy.
    """

    def __init__(self, servers: FaultServers, server: OwnServer, *, seed: int = 0) -> None:
        self._servers = servers
        self._server = server
        self._seed = seed
        self._proxy: FaultProxy | None = None
        self._stack = AsyncExitStack()
        self._held: list[Held] = []
        self._undo: dict[str, Callable[[], Awaitable[None]]] = {}

    @property
    def proxy(self) -> FaultProxy:
        """What stands before the server, for faults of the network."""
        if self._proxy is None:
            raise FaultError("not open: use it as `async with`, or take the fixture")
        return self._proxy

    @property
    def url(self) -> str:
        """The URL of a database of the test's own on the server, through the proxy."""
        return self.proxy.url

    @property
    def admin_url(self) -> str:
        """The URL of the server, past the proxy, for who may do everything; it changes."""
        return self._server.details.url()

    @property
    def version(self) -> str:
        """What the server is, such as ``PostgreSQL 18.6``."""
        return f"{self._server.details.flavour} {self._server.details.version}"

    @property
    def is_running(self) -> bool:
        """Whether the server runs, paused or not."""
        return self._server.is_running

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(MEND_LIMIT):
            url = make_url(await self._set_up())
        self._proxy = await self._stack.enter_async_context(FaultProxy.to(url, seed=self._seed))
        return self

    async def __aexit__(self, *_error: object) -> None:
        try:
            async with asyncio.timeout(MEND_LIMIT):
                await self.mend()
                await self._tear_down()
        except BaseException as error:
            await asyncio.to_thread(self._servers.remove, self._server)
            if not isinstance(error, Exception):
                raise
            name = self._server.details.name
            why = f"{type(error).__name__}: {error}".rstrip(": ")
            raise FaultError(f"{name} could not be mended, and was removed: {why}") from error
        finally:
            await self._stack.aclose()

    async def kill(self) -> None:
        """Kill the server: SIGKILL for all of its processes, as for lack of memory."""
        if self._server.is_full:
            raise FaultError("free_disk() first: the disk that is full would be lost")
        await self._do(self._server.kill)
        await self.free_connections()

    async def start(self) -> None:
        """Start the server again with the same data, and wait until it lets us in."""
        await self._do(self._server.start)
        self._lead()

    async def restart(self) -> None:
        """End the server in order, and start it again."""
        if self._server.is_full:
            raise FaultError("free_disk() first: the disk that is full would be lost")
        await self._do(self._server.stop)
        await self.free_connections()
        await self.start()

    async def pause(self) -> None:
        """Freeze the server: connections stay open, new ones are accepted, nobody answers."""
        await self._do(self._server.pause)

    async def resume(self) -> None:
        """Let a paused server go on."""
        await self._do(self._server.resume)

    async def too_many_connections(self, *, take_all: bool = False) -> int:
        """
        Hold all connections that the server has left, until :meth:`free_connections`.

        Args:
            take_all: Whether to end the connections of others too, and take their places.

        Returns:
            How many are held.
        """
        self._undo["connections"] = self.free_connections
        await self._hold_rest()
        for _ in range(20) if take_all else ():
            ended = await self._end_others()
            # A server counts a connection for a moment after it left the list.
            await asyncio.sleep(0.1)
            await self._hold_rest()
            if not ended:
                break
        return len(self._held)

    async def free_connections(self) -> None:
        """Let go of the connections that are held."""
        held, self._held = self._held, []
        self._undo.pop("connections", None)
        for each in held:
            await each.close()

    async def terminate_connections(self) -> int:
        """
        End all connections from the server's side but those that are held, as an admin does.

        Returns:
            How many there were.
        """
        return await self._end_others()

    async def mend(self) -> None:
        """Undo everything, also the faults of the proxy."""
        self.proxy.reset()
        await self.proxy.up()
        await self.resume()
        await self.start()
        for undo in reversed(tuple(self._undo.values())):
            await undo()

    def _lead(self) -> None:
        """Have the proxy lead to where the server is now."""
        details = self._server.details
        self.proxy.upstream = (details.host, details.port)

    async def _hold_rest(self) -> None:
        while len(self._held) < MOST_HELD:
            async with asyncio.timeout(ANSWER_LIMIT):
                held = await self._hold_one()
            if held is None:
                return
            self._held.append(held)
        raise FaultError(f"{MOST_HELD} connections are held, and there are more")

    async def _do(self, work: Callable[[], ResultT]) -> ResultT:
        doing = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            # The thread goes on; what undoes it has to come later.
            await asyncio.wait([doing])
            doing.exception()
            raise
        except ProviderError as error:
            raise FaultError(f"{self._server.details.name}: {error}") from error

    @abstractmethod
    async def _set_up(self) -> str:
        """Make what a test needs on the server, and give the URL."""

    @abstractmethod
    async def _tear_down(self) -> None:
        """Remove it."""

    @abstractmethod
    async def _hold_one(self) -> Held | None:
        """Open a connection as the test's user does; None if there is none left."""

    @abstractmethod
    async def _end_others(self) -> int:
        """End all connections but those that are held and this one."""


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """
    Wait for something on a server.

    Raises:
        FaultError: It did not come in 10 seconds.
    """
    deadline = time.monotonic() + ANSWER_LIMIT
    while not await condition():
        if time.monotonic() > deadline:
            raise FaultError(f"waited {ANSWER_LIMIT:.0f} s for {what}")
        await asyncio.sleep(0.01)


def fresh_name() -> str:
    """Give a name for a database or a user."""
    return f"fault_{secrets.token_hex(5)}"
