"""Doing things to a server process of ours: killing, stopping, pausing, and starting it again."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psutil

from harness.local.server import SMALL_DISK, give, mark_of, run_command, serve_again, user_of
from harness.processes import send, signal_family, wait_until_gone
from harness.services import ProviderError, ServiceDetails, ServiceRequest

if TYPE_CHECKING:
    from harness.processes import ProcessMark

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

_END_LIMIT = 30.0
_MOUNT_LIMIT = 10.0
_CHUNK = b"\0" * 65_536


def kill(request: ServiceRequest) -> None:
    """Kill all of its processes, and wait until they have ended."""
    _await_end(request, signal_family(mark_of(request.folder), signal.SIGKILL))


def stop(request: ServiceRequest, first: signal.Signals) -> None:
    """
    End it in an orderly way, by this signal to the server.

    Raises:
        ProviderError: It takes more than 30 seconds.
    """
    mark = mark_of(request.folder)
    send(mark, first)
    _await_end(request, [mark])


def start(request: ServiceRequest, details: ServiceDetails) -> ServiceDetails:
    """
    Start it again with the same data, on the same port.

    Returns:
        Its details.

    Raises:
        ProviderError: It let nobody in for 60 seconds.
    """
    # Its processes have ended, but servers take one for alive that nobody has waited for yet.
    for lock in ("postmaster.pid", "server.sock.lock"):
        (request.folder / "data" / lock).unlink(missing_ok=True)
    return serve_again(request.folder, details)


def pause(request: ServiceRequest) -> None:
    """Stop all of its processes, without ending them."""
    members = signal_family(mark_of(request.folder), signal.SIGSTOP)
    deadline = time.monotonic() + _END_LIMIT
    while not all(map(_is_stopped, members)):
        if time.monotonic() > deadline:
            raise ProviderError(f"{request.service} did not stop within {_END_LIMIT:.0f} s")
        time.sleep(0.005)


def resume(request: ServiceRequest) -> None:
    """Let them go on."""
    signal_family(mark_of(request.folder), signal.SIGCONT)


def inner_address(_request: ServiceRequest, details: ServiceDetails) -> tuple[str, int]:
    """Give host and port by which another server reaches it."""
    return details.host, details.port


def small_disk(request: ServiceRequest, _owner: str) -> str:
    """
    Make a folder on a disk of 32 MB, for the user whom the server runs as.

    Raises:
        ProviderError: Only root can do that.
    """
    mount = request.folder / SMALL_DISK
    if os.getuid() != 0:
        raise ProviderError("only root can make a small disk here: use --harness-provider=docker")
    if not os.path.ismount(mount):
        mount.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=32m,mode=0711", "tmpfs", str(mount)]
        run_command(command, limit=_MOUNT_LIMIT)
    folder = mount / "data"
    folder.mkdir(exist_ok=True)
    return str(give(folder, user_of(request.folder)))


def fill(request: ServiceRequest) -> None:
    """Fill that disk to its last byte."""
    with (request.folder / SMALL_DISK / "filler").open("ab", buffering=0) as filler:
        try:
            while True:
                filler.write(_CHUNK)
        except OSError:
            return


def free(request: ServiceRequest) -> None:
    """Free it again."""
    (request.folder / SMALL_DISK / "filler").unlink(missing_ok=True)


def _await_end(request: ServiceRequest, members: list[ProcessMark]) -> None:
    if not wait_until_gone(members, _END_LIMIT):
        raise ProviderError(f"{request.service} did not end within {_END_LIMIT:.0f} s")


def _is_stopped(member: ProcessMark) -> bool:
    try:
        return psutil.Process(member.pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return True
