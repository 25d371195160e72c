"""
Servers that nobody shares, so that they can be broken.

What is done here blocks, and is bounded in time; it is for threads. Whether a container or a
process is behind it is known here and nowhere above.
"""

from __future__ import annotations

import contextlib
import signal
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, Any

from harness import providers
from harness.services import ServiceOptions
from harness.settings import durable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.services import ServiceDetails, ServiceName, ServiceRequest
    from harness.session import HarnessSession

__all__ = ["FaultServers", "OwnServer"]

_STOP_SIGNALS = {"postgresql": signal.SIGINT}
"""What ends a server at once, but in order; PostgreSQL would wait for its clients."""


class OwnServer:
    """
    A server, and what can be done to it as a whole.

    Args:
        details: Where it listens; as it moves, they change.
        request: What it was started for.
    """

    def __init__(self, details: ServiceDetails, request: ServiceRequest) -> None:
        self.details = details
        self.request = request
        self.is_running = True
        self.is_paused = False
        self.is_full = False
        self._control: Any = import_module(_CONTROL[details.provider])

    def kill(self) -> None:
        """Kill all of its processes at once."""
        if self.is_running:
            self.resume()
            self._control.kill(self.request)
            self.is_running = False

    def stop(self) -> None:
        """End it in order."""
        if self.is_running:
            self.resume()
            first = _STOP_SIGNALS.get(self.details.name, signal.SIGTERM)
            self._control.stop(self.request, first)
            self.is_running = False

    def start(self) -> None:
        """Start it again, and wait until it lets us in."""
        if not self.is_running:
            self.details = self._control.start(self.request, self.details)
            self.is_running = True

    def pause(self) -> None:
        """Freeze all of its processes."""
        if not self.is_paused:
            # Before, since some of its processes may be frozen when it fails.
            self.is_paused = True
            self._control.pause(self.request)

    def resume(self) -> None:
        """Let them go on."""
        if self.is_paused:
            self._control.resume(self.request)
            self.is_paused = False

    def inner_address(self) -> tuple[str, int]:
        """Give host and port by which another server of this provider reaches it."""
        host, port = self._control.inner_address(self.request, self.details)
        return host, port

    def small_disk(self) -> str:
        """Give a folder on a small disk for PostgreSQL, which alone needs one."""
        return str(self._control.small_disk(self.request, "postgres"))

    def fill(self) -> None:
        """Fill the small disk."""
        self._control.fill(self.request)
        self.is_full = True

    def free(self) -> None:
        """Free the small disk."""
        self._control.free(self.request)
        self.is_full = False


_CONTROL = {"docker": "harness.containers.control", "local": "harness.local.control"}


class FaultServers:
    """
    The servers of a module, one of each service, started when a test asks for it.

    Args:
        session: The run.
        options: Which servers a project wants.
    """

    _numbers = count(1)

    def __init__(
        self, session: HarnessSession, options: Mapping[ServiceName, ServiceOptions]
    ) -> None:
        self._session = session
        self._options = options
        self._servers: dict[ServiceName, OwnServer] = {}
        if session.provider in {"auto", "docker"}:
            # Not in a thread, where it would be half imported; see `HarnessSession`.
            with contextlib.suppress(ImportError):
                providers.import_docker()

    def get(self, service: ServiceName) -> OwnServer:
        """Give the server of a service; start it if there is none."""
        if service not in self._servers:
            self._servers[service] = self.another(service)
        return self._servers[service]

    def another(self, service: ServiceName, *, password: str | None = None) -> OwnServer:
        """Start a server that :meth:`get` does not give."""
        session = self._session
        options = durable(service, self._options.get(service, ServiceOptions()))
        owner = f"{session.worker}-{next(self._numbers)}"
        details, request = session.run.own_service(
            service, session.provider, options, owner=owner, password=password
        )
        return OwnServer(details, request)

    def remove(self, server: OwnServer, other: OwnServer | None = None) -> None:
        """End a server for good; the other one, or else a new one, takes its place."""
        service = server.details.name
        if self._servers.get(service) is server:
            del self._servers[service]
        if other is not None:
            self._servers[service] = other
        self._session.run.release(server.details, server.request)

    def close(self) -> None:
        """End them all."""
        for server in tuple(self._servers.values()):
            self.remove(server)
