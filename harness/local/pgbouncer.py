"""
PgBouncer before a PostgreSQL server: each transaction goes over whichever connection is free.

It is no service of its own, since what it gives are the databases of another one: a process
beside the tests, wherever that server comes from.
"""

import re
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import URL

from harness.local.packages import Packages, program, unpacked
from harness.local.server import Server, run_command, serve, server_user
from harness.services import ProviderError, ServiceDetails

__all__ = ["OLDEST", "PACKAGES", "USUAL_SETTINGS", "start_pgbouncer"]

OLDEST = (1, 21)
"""The first version that can keep prepared statements between transactions."""

# Those of older releases are too old.
PACKAGES = Packages(("pgbouncer",), "sid")

USUAL_SETTINGS = {
    "pool_mode": "transaction",
    # Few, and taken in turn: what belongs to one connection is soon missed on the other.
    "default_pool_size": "2",
    "server_round_robin": "1",
    "max_client_conn": "300",
    "query_wait_timeout": "30",
}
"""What PgBouncer is started with, unless a project says otherwise."""

_PLACES = "/usr/sbin:/usr/local/sbin:/usr/local/bin"


def start_pgbouncer(server: URL, folder: Path, settings: Mapping[str, str]) -> ServiceDetails:
    """
    Start PgBouncer before a server; ``end_servers`` of its folder ends it.

    Args:
        server: The PostgreSQL server, with a database to try the log-in on.
        folder: An empty folder.
        settings: PgBouncer's own, laid over the usual ones.

    Returns:
        Where it listens; user, password and databases are those of the server.

    Raises:
        ProviderError: There is no PgBouncer, or it let nobody in.
    """
    command, source = _find()
    login = ServiceDetails(
        "postgresql",
        "127.0.0.1",
        0,
        user=server.username or "postgres",
        # A server that asks for none is no reason to let everybody in here.
        password=server.password or secrets.token_hex(8),
        database=server.database or "postgres",
        source=source,
    )
    accounts = _write(folder / "accounts", f"{_quoted(login.user)} {_quoted(login.password)}\n")
    # Plain passwords, since a log-in by SCRAM costs 10 ms of every connection.
    ours = {"auth_type": "plain", "auth_file": str(accounts), "unix_socket_dir": ""}
    user = server_user("postgres")
    if user:
        # Changed by PgBouncer itself, once it has read files that this user cannot get to.
        ours["user"] = user

    def arguments(port: int) -> list[str]:
        address = {"listen_addr": "127.0.0.1", "listen_port": str(port)}
        lines = ["[databases]", f"* = host={server.host} port={server.port or 5432}", "[pgbouncer]"]
        chosen = USUAL_SETTINGS | dict(settings) | ours | address
        lines += [f"{name} = {value}" for name, value in chosen.items()]
        return [*command, str(_write(folder / "pgbouncer.ini", "\n".join([*lines, ""])))]

    # Killed at once, as an orderly end waits for its clients.
    return serve(Server(arguments, login, folder, signal.SIGKILL))


def _find() -> tuple[list[str], str]:
    """Give the command and say where it is from: a new enough one of this machine, or a package."""
    installed = shutil.which("pgbouncer") or shutil.which("pgbouncer", path=_PLACES)
    if installed and (version := _version([installed])) >= OLDEST:
        return [installed], f"binary {installed} {_written(version)}"
    command = program(unpacked(PACKAGES), "usr/sbin/pgbouncer")
    return command, f"PgBouncer {_written(_version(command))} of {PACKAGES}"


def _version(command: list[str]) -> tuple[int, ...]:
    answer = run_command([*command, "--version"], limit=20)
    match = re.search(r"PgBouncer (\d+(?:\.\d+)*)", answer)
    if match is None:
        raise ProviderError(f"{command[-1]} is no PgBouncer")
    return tuple(int(part) for part in match[1].split("."))


def _written(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _write(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def _quoted(text: str) -> str:
    escaped = text.replace('"', '""')
    return f'"{escaped}"'
