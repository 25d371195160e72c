"""
Running one server process of ours: launched, watched until ready, ended.

The server is no child of the process that starts it, since that is the first of several
workers and may end before the others. It writes down its own pid before it becomes the
server, so that there is no moment in which one runs that nobody knows of.
"""

import contextlib
import json
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.folders import write_private
from harness.logs import telling_line
from harness.probes import wait_until_ready
from harness.processes import ProcessMark, end_process
from harness.services import ProviderError, ServiceDetails

__all__ = [
    "SMALL_DISK",
    "Server",
    "end_servers",
    "give",
    "mark_of",
    "run_command",
    "serve",
    "serve_again",
    "server_user",
    "user_of",
]

SMALL_DISK = "small"
"""A disk in a server's folder, mounted there to be filled."""

_RECORD = "server.process"
_COMMAND = "server.command"
_LOG = "server.log"
_PORT_TRIES = 4
_RECORD_LIMIT = 10.0
# Seconds for a server that was launched by a process killed at once.
_LATE_RECORD_LIMIT = 0.5
_READY_LIMIT = 60.0
# The inner shell reports itself and then turns into the server, which logs to stderr.
_LAUNCH = 'sh -c \'read -r me </proc/$$/stat; echo "$me"; exec "$@" >&2 </dev/null\' sh "$@" &'


@dataclass(frozen=True)
class Server:
    """
    How to run a server once its data folder is ready.

    `command` takes the port and gives the arguments; `login` holds all details but the
    port; `user` is whom to run as when this process is root. `port` is the one to listen
    on; by default any that is free.
    """

    command: Callable[[int], Sequence[str]]
    login: ServiceDetails
    folder: Path
    stop_signal: signal.Signals = signal.SIGTERM
    user: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0


def serve(server: Server) -> ServiceDetails:
    """
    Start a server on a port of the loopback interface and wait until it is ready.

    Args:
        server: What to run.

    Returns:
        Its details, as it answered itself.

    Raises:
        ProviderError: It ended, or let nobody in for 60 seconds.
    """
    for attempt in range(1, _PORT_TRIES + 1):
        details = replace(server.login, port=server.port or _free_port())
        mark = _launch(server, server.command(details.port))
        try:
            return wait_until_ready(details, _watch(server, mark), limit=_READY_LIMIT)
        except ProviderError:
            # Its record may be gone with the folder of a run that was swept meanwhile.
            end_process(mark, server.stop_signal)
            end_servers(server.folder)
            if attempt == _PORT_TRIES or not _port_was_taken(server.folder):
                raise
    raise AssertionError("unreachable")


def serve_again(folder: Path, details: ServiceDetails) -> ServiceDetails:
    """
    Start a server that has ended, as it was started before.

    Args:
        folder: Where it was launched, with its data.
        details: Its details; its port is the same.

    Returns:
        Its details, as it answered itself.

    Raises:
        ProviderError: It ended, let nobody in for 60 seconds, or its folder is gone.
    """
    known = _known(folder)
    return serve(
        Server(
            lambda _port: known["command"],
            details,
            folder,
            signal.Signals[known["stop_signal"]],
            known["user"],
            known["environment"],
            details.port,
        )
    )


def mark_of(folder: Path) -> ProcessMark:
    """
    Give the process of the server that was launched in a folder.

    Raises:
        ProviderError: None was, or its folder is gone.
    """
    launched = _read_record(folder / _RECORD)
    if launched is None:
        raise ProviderError(f"no server was launched in {folder}")
    return launched[0]


def user_of(folder: Path) -> str | None:
    """
    Give the user whom the server of a folder runs as; None is that of this process.

    Raises:
        ProviderError: No server was launched there.
    """
    found: str | None = _known(folder)["user"]
    return found


def _known(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / _COMMAND).read_text())
    except FileNotFoundError:
        raise ProviderError(f"no server was launched in {folder}") from None
    return found


def end_servers(folder: Path) -> None:
    """End the server that was launched in a folder, and nothing else."""
    record = folder / _RECORD
    if record.exists():
        launched = _await_record(record, _LATE_RECORD_LIMIT)
        if launched is not None:
            mark, stop_signal = launched
            end_process(mark, stop_signal)
        record.unlink(missing_ok=True)
    if (folder / SMALL_DISK).is_mount():
        run_command(["umount", "--lazy", str(folder / SMALL_DISK)], limit=_RECORD_LIMIT)


def run_command(
    command: Sequence[str], *, limit: float, user: str | None = None, text: str = ""
) -> str:
    """
    Run a program to its end.

    Args:
        command: Its arguments.
        limit: Seconds that it may take.
        user: Whom to run it as when this process is root.
        text: What it gets to read.

    Returns:
        What it printed.

    Raises:
        ProviderError: It failed, took too long, or isn't there.
    """
    name = Path(command[0]).name
    try:
        done: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603  no shell
            list(command),
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit,
            cwd="/",
            env=_environment({}),
            check=False,
            **_identity(user),
        )
    except subprocess.TimeoutExpired as error:
        raise ProviderError(f"{name} took more than {limit:.0f} s") from error
    except OSError as error:
        raise ProviderError(f"{name} can't be run: {error.strerror}") from error
    if done.returncode:
        raise ProviderError(f"{name} failed: {telling_line(done.stdout)}")
    return done.stdout


def server_user(preferred: str) -> str | None:
    """
    Choose whom to run a server as that refuses to be root.

    Args:
        preferred: The user to take if this machine has one of that name.

    Returns:
        A user name; None when this process isn't root, and so runs it itself.

    Raises:
        ProviderError: There is no other user.
    """
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in (preferred, "nobody"):
        if name in known:
            return name
    raise ProviderError("it refuses to run as root, and there is no user nobody: be another user")


def give(path: Path, user: str | None) -> Path:
    """Make a file or folder private to the user whom a server runs as."""
    path.chmod(0o700 if path.is_dir() else 0o600)
    if user:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)
    return path


def _launch(server: Server, command: Sequence[str]) -> ProcessMark:
    record, log = server.folder / _RECORD, server.folder / _LOG
    known = {
        "command": list(command),
        "user": server.user,
        "environment": server.environment,
        "stop_signal": server.stop_signal.name,
    }
    write_private(server.folder / _COMMAND, json.dumps(known))
    with record.open("w") as report, log.open("w") as output:
        report.write(f"{server.stop_signal.name}\n{ProcessMark.current().machine}\n")
        report.flush()
        try:
            subprocess.run(  # noqa: S603  the shell's text is fixed
                ["/bin/sh", "-c", _LAUNCH, "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=report,
                stderr=output,
                cwd=server.folder,
                env=_environment(server.environment),
                start_new_session=True,
                timeout=_RECORD_LIMIT,
                check=True,
                **_identity(server.user),
            )
        except subprocess.SubprocessError as error:
            raise ProviderError(f"{server.login.source} can't be launched: {error}") from error
    launched = _await_record(record, _RECORD_LIMIT)
    if launched is None:
        raise ProviderError(f"the server's process didn't report itself in {_RECORD_LIMIT:.0f} s")
    return launched[0]


def _await_record(record: Path, limit: float) -> tuple[ProcessMark, signal.Signals] | None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        launched = _read_record(record)
        if launched is not None:
            return launched
        time.sleep(0.002)
    return None


def _read_record(record: Path) -> tuple[ProcessMark, signal.Signals] | None:
    """Read what there is; its writer may be at it, or may have been killed in the middle."""
    try:
        text = record.read_text(errors="replace")
        stop_signal, machine, stat = text.splitlines()
        mark = ProcessMark.from_stat(stat, machine)
        return (mark, signal.Signals[stop_signal]) if text.endswith("\n") else None
    except (OSError, LookupError, ValueError):
        return None


def _watch(server: Server, mark: ProcessMark) -> Callable[[], None]:
    def check_alive() -> None:
        if not (server.folder / _RECORD).exists():
            raise ProviderError(f"{server.folder} is gone: this run is closed")
        if not mark.is_running():
            raise ProviderError(
                f"{server.login.source} ended at once: {_last_words(server.folder)}"
            )

    return check_alive


def _last_words(folder: Path) -> str:
    return telling_line(_log(folder))


def _port_was_taken(folder: Path) -> bool:
    return "address already in use" in _log(folder).lower()


def _log(folder: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return (folder / _LOG).read_text(errors="replace")
    return ""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _environment(extra: dict[str, str]) -> dict[str, str]:
    # English messages, and nothing of a person's own settings (PGDATA, MYSQL_HOME, …).
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "SSL_CERT_FILE"} or name.lower().endswith("_proxy")
    }
    fixed = {
        "LC_ALL": "C",
        "TZ": "UTC",
        "HOME": "/nonexistent",
        "DEBIAN_FRONTEND": "noninteractive",
    }
    return {"PATH": os.defpath} | kept | fixed | extra


def _identity(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
