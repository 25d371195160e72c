"""Doing things to a container: killing, stopping and pausing it, and starting it again."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.containers.docker import RECIPES, SMALL_DISK, engine
from harness.probes import wait_until_ready
from harness.services import ProviderError, ServiceDetails, ServiceRequest

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator

__all__ = [
    "fill",
    "free",
    "inner_address",
    "kill",
    "pause",
    "resume",
    "small_disk",
    "start",
    "stop",
]

_LABEL = "andamios.harness"
_END_LIMIT = 30.0
_READY_LIMIT = 60.0
_LOOK_INTERVAL = 0.02


def kill(request: ServiceRequest) -> None:
    """Kill all of its processes, and wait until they have ended."""
    with _container(request) as container:
        container.kill()
        _await_end(container, _END_LIMIT)


def stop(request: ServiceRequest, first: signal.Signals) -> None:
    """
    End it in an orderly way, by this signal to the server.

    Raises:
        ProviderError: It takes more than 30 seconds.
    """
    with _container(request) as container:
        container.kill(signal=first.name)
        _await_end(container, _END_LIMIT)


def start(request: ServiceRequest, details: ServiceDetails) -> ServiceDetails:
    """
    Start it again with the same data.

    Returns:
        Its details, with the port that it has now.

    Raises:
        ProviderError: It let nobody in for 60 seconds.
    """
    with _container(request) as container:
        container.start()
        container.reload()
        network = container.attrs["NetworkSettings"]
        published = network["Ports"].get(f"{RECIPES[request.service].port}/tcp")
        if published:
            moved = replace(details, port=int(published[0]["HostPort"]))
        else:
            moved = replace(details, host=_inner_host(container))

        def check_alive() -> None:
            return None

        return wait_until_ready(moved, check_alive, limit=_READY_LIMIT)


def pause(request: ServiceRequest) -> None:
    """Freeze all of its processes."""
    with _container(request) as container:
        container.pause()


def resume(request: ServiceRequest) -> None:
    """Let them go on."""
    with _container(request) as container:
        container.unpause()


def inner_address(request: ServiceRequest, _details: ServiceDetails) -> tuple[str, int]:
    """Give host and port by which another container reaches it."""
    with _container(request) as container:
        return _inner_host(container), RECIPES[request.service].port


def small_disk(request: ServiceRequest, owner: str) -> str:
    """Make a folder on a disk of 32 MB, for the user whom the server runs as."""
    folder = f"{SMALL_DISK}/data"
    with _container(request) as container:
        _run(container, ["install", "-d", "-o", owner, "-m", "700", folder])
    return folder


def fill(request: ServiceRequest) -> None:
    """Fill that disk to its last byte."""
    with _container(request) as container:
        _run(container, ["sh", "-c", f"cat /dev/zero >{SMALL_DISK}/filler; true"])


def free(request: ServiceRequest) -> None:
    """Free it again."""
    with _container(request) as container:
        _run(container, ["rm", "-f", f"{SMALL_DISK}/filler"])


@contextlib.contextmanager
def _container(request: ServiceRequest) -> Iterator[Any]:
    wanted = [f"{name}={request.labels[name]}" for name in (f"{_LABEL}.run", f"{_LABEL}.service")]
    with engine() as client:
        found = client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True)
        if not found:
            raise ProviderError(f"the container of {request.service} is gone")
        yield found[0]


def _await_end(container: Any, limit: float) -> None:
    deadline = time.monotonic() + limit
    while True:
        container.reload()
        if container.status == "exited":
            return
        if time.monotonic() > deadline:
            raise ProviderError(f"{container.name} did not end within {limit:.0f} s")
        time.sleep(_LOOK_INTERVAL)


def _inner_host(container: Any) -> str:
    networks = container.attrs["NetworkSettings"]["Networks"]
    hosts = [str(each["IPAddress"]) for each in networks.values() if each["IPAddress"]]
    if not hosts:
        raise ProviderError(f"{container.name} has no address: {json.dumps(sorted(networks))}")
    return hosts[0]


def _run(container: Any, command: list[str]) -> None:
    done = container.exec_run(command, user="root")
    if done.exit_code:
        said = " ".join(done.output.decode(errors="replace").split())
        raise ProviderError(f"{command[0]} failed in {container.name}: {said}")
