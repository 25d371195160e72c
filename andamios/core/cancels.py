"""
Cancel requests to PostgreSQL that asyncpg could not send.

asyncpg sends one for a statement that is cancelled, in a task of its own, and SQLAlchemy waits
for it before it gives the connection up. But when the waiting is cancelled too, as anyio
and an event loop that ends do it, the request is dropped, and the statement goes on. It is then
sent again. The server knows a request by a secret, so that no stranger can be meant.

Nor is a server waited for that is silent: a task with a deadline is to leave when that is up.
"""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass, field
from typing import Any

from andamios.core.endings import Endings

__all__ = ["PRIVATE_NAMES", "Cancels"]

PRIVATE_NAMES = ("_addr", "_cancellations", "_params", "_protocol")
"""What of asyncpg's ``Connection`` is used here though it is private; a test watches them."""


GRACE = 0.5
"""Seconds for which a cancelled task waits until the server has taken the request."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    A cancel request.

    Args:
        address: As asyncpg knows it.
        identity: The process and its secret, and what tells how to connect.
        sending: The tasks in which asyncpg sends the request.
    """

    address: Any
    identity: dict[str, Any] = field(repr=False)
    sending: tuple[asyncio.Task[None], ...]


class Cancels(Endings[Request]):
    """Sends cancel requests for an engine."""

    def victim_of(self, driver_connection: Any) -> Request | None:
        """Tell what to send, if asyncpg is about to."""
        connection = driver_connection
        protocol = connection._protocol  # noqa: SLF001
        sending = tuple(connection._cancellations)  # noqa: SLF001
        if not sending or protocol is None:
            return None
        asyncio.get_running_loop().call_later(GRACE, connection.terminate)
        identity = {
            "params": connection._params,  # noqa: SLF001
            "backend_pid": protocol.backend_pid,
            "backend_secret": protocol.backend_secret,
        }
        return Request(connection._addr, identity, sending)  # noqa: SLF001

    def address_of(self, victim: Request) -> tuple[Any, ...]:
        """Tell where asyncpg connected to."""
        return (victim.address,) if isinstance(victim.address, str) else tuple(victim.address)

    async def end_all(self, first: Request) -> None:
        """Send the requests that asyncpg was kept from sending."""
        send = importlib.import_module("asyncpg.connect_utils")._cancel  # noqa: SLF001
        loop = asyncio.get_running_loop()
        while request := self.next_at(self.address_of(first)):
            await asyncio.wait(request.sending)
            if any(task.cancelling() for task in request.sending):
                await send(loop=loop, addr=request.address, **request.identity)
            self.remove(request)
