"""
Telling one process from another that later got the same number.

A process is known by its pid, the moment it started, and the machine (this boot, this
pid namespace) on which both mean something. Nothing is ever ended by its pid alone.
"""

import contextlib
import hashlib
import os
import platform
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

__all__ = ["ProcessMark", "end_process", "family", "send", "signal_family", "wait_until_gone"]

_PROC = Path("/proc")
_MACHINE_ID = Path("/etc/machine-id")


def _machine() -> str:
    """Name this boot, pid namespace and machine; pids of another boot say nothing here."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{(_PROC / 'self/ns/pid').readlink()}@{_node()}"
    except OSError:
        return f"boot:{psutil.boot_time():.0f}@{_node()}"


def _node() -> str:
    """Name this machine whatever the boot; empty if it can't be told from all others."""
    try:
        number = _MACHINE_ID.read_text().strip()
    except OSError:
        return ""
    facts = f"{platform.node()}:{number}"
    return hashlib.sha256(facts.encode()).hexdigest()[:12] if number else ""


def _has_rebooted(then: str, now: str) -> bool:
    """Tell whether this machine was booted between two of its names."""
    (here, _, node), (before, _, old) = now.partition("@"), then.partition("@")
    return bool(node) and node == old and here.partition(":")[0] != before.partition(":")[0]


def _start_time(pid: int) -> str | None:
    """Return when a process started; None if there is none, or only its zombie."""
    if not (_PROC / "self/stat").exists():
        return _portable_start_time(pid)
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, started = _parse_stat(stat)
    return None if state in "ZX" else started


def _is_hidden(pid: int) -> bool:
    """Tell whether a process of another user is there, which `/proc` may not show to us."""
    with contextlib.suppress(ProcessLookupError, OverflowError):
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
    return False


def _parse_stat(stat: str) -> tuple[str, str]:
    # The name in parentheses may hold blanks; fields are counted after it.
    fields = stat.rpartition(")")[2].split()
    return fields[0], fields[19]


def _portable_start_time(pid: int) -> str | None:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return str(process.create_time())
    return None


@dataclass(frozen=True)
class ProcessMark:
    """
    The identity of one process, fit for a file or a label.

    On Linux the start is counted in clock ticks since boot, so that an adjusted
    wall clock changes nothing.
    """

    pid: int
    started: str
    machine: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Mark a running process; None if there is none with this pid."""
        started = _start_time(pid)
        return None if started is None else cls(pid, started, _machine())

    @classmethod
    def from_stat(cls, stat: str, machine: str) -> Self:
        """Read the line that the kernel shows for a process in `/proc/<pid>/stat`."""
        return cls(int(stat.partition(" ")[0]), _parse_stat(stat)[1], machine)

    @classmethod
    def current(cls) -> Self:
        """Mark this very process."""
        return cls(os.getpid(), _start_time(os.getpid()) or "", _machine())

    def is_running(self) -> bool:
        """Tell whether this process, not another with its pid, runs here."""
        return self._is_here() and _start_time(self.pid) == self.started

    def is_gone(self) -> bool:
        """Tell whether it certainly ended; a process of another machine isn't known to."""
        if not self._is_here():
            return _has_rebooted(self.machine, _machine())
        started = _start_time(self.pid)
        return not _is_hidden(self.pid) if started is None else started != self.started

    def _is_here(self) -> bool:
        return self.machine.partition("@")[0] == _machine().partition("@")[0]


def end_process(mark: ProcessMark, first: signal.Signals, patience: float = 5.0) -> None:
    """
    End a process and its children.

    Args:
        mark: The process; nothing happens if it has ended.
        first: The signal that it gets; SIGKILL follows if that doesn't end it.
        patience: Seconds to wait after the first signal.
    """
    if not mark.is_running():
        return
    members = family(mark)
    send(mark, first)
    if not wait_until_gone([mark], patience):
        send(mark, signal.SIGKILL)
    if not wait_until_gone(members, 1.0):
        for member in members:
            send(member, signal.SIGKILL)
        wait_until_gone(members, patience)


def signal_family(mark: ProcessMark, number: signal.Signals) -> list[ProcessMark]:
    """
    Send a signal to a process and all its children.

    Args:
        mark: The process; it is stopped first, so that it has no more children meanwhile.
        number: The signal.

    Returns:
        All of them, the process first.
    """
    send(mark, signal.SIGSTOP)
    members = family(mark)
    for member in members:
        send(member, number)
    return members


def family(mark: ProcessMark) -> list[ProcessMark]:
    """List a process and all its children."""
    children: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(mark.pid).children(recursive=True)
    return [mark, *filter(None, (ProcessMark.of(child.pid) for child in children))]


def send(mark: ProcessMark, number: signal.Signals) -> None:
    """Send a signal to a process, if it still runs."""
    if mark.is_running():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(mark.pid, number)


def wait_until_gone(marks: list[ProcessMark], seconds: float) -> bool:
    """Wait for the end of processes; tell whether all have ended."""
    deadline = time.monotonic() + seconds
    while any(mark.is_running() for mark in marks):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
