"""
What servers of MySQL and of MariaDB have in common: how one is found and started.

Both are installed under the name `mysqld` by one system or another, so that each is asked
which of the two it is, and a service only ever gets its own.
"""

import re
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from harness.answers import check_answer
from harness.local.mysql_data import Binaries, fresh_data
from harness.local.packages import Packages, program, unpacked
from harness.local.server import Server, run_command, serve
from harness.services import ProviderError, ServiceDetails, ServiceRequest
from harness.settings import settings_of

__all__ = ["from_packages", "installed"]

_NAMES = ("mysqld", "mariadbd")
_PLACES = "/usr/sbin:/usr/local/sbin:/usr/libexec"
_DATABASE = "andamios"


def installed() -> Iterator[partial[ServiceDetails]]:
    """
    List the servers that are installed here.

    Yields:
        A function for each that starts it, if it is the one that the request asks for.
    """
    found = (shutil.which(name) or shutil.which(name, path=_PLACES) for name in _NAMES)
    for path in dict.fromkeys(Path(path).resolve() for path in found if path):
        yield partial(_start_installed, path)


def from_packages(packages: Packages, server: str) -> partial[ServiceDetails]:
    """
    Make the starter of a server from packages.

    Args:
        packages: The packages.
        server: The program in them, as a path from the root folder.

    Returns:
        A function that downloads the packages if need be, and starts the server.
    """
    return partial(_start_packages, packages, server)


def _start_installed(path: Path, request: ServiceRequest) -> ServiceDetails:
    command = [str(path), "--no-defaults"]
    return _start(_inspect(command, path.parent.parent, f"binary {path}"), request)


def _start_packages(packages: Packages, server: str, request: ServiceRequest) -> ServiceDetails:
    root = unpacked(packages)
    base = root / "usr"
    command = [
        *program(root, server, private=["usr/lib/mysql/private"]),
        "--no-defaults",
        f"--basedir={base}",
        f"--lc-messages-dir={base}/share/mysql",
        f"--character-sets-dir={base}/share/mysql/charsets",
        f"--plugin-dir={base}/lib/mysql/plugin",
    ]
    return _start(_inspect(command, base, str(packages)), request)


def _inspect(command: list[str], base: Path, source: str) -> Binaries:
    answer = run_command([*command, "--version"], limit=20)
    match = re.search(r"Ver (\d+\.\d+\.\d+)", answer)
    if match is None:
        raise ProviderError(f"{source} is no MySQL or MariaDB server")
    return Binaries(tuple(command), base, "mariadb" in answer.lower(), match[1], source)


def _start(binaries: Binaries, request: ServiceRequest) -> ServiceDetails:
    # Known before anything is made for it, so that another place can be tried at once.
    check_answer(binaries.flavour, binaries.version, binaries.source, request)
    data = fresh_data(binaries, request.folder)
    login = ServiceDetails(
        request.service,
        "127.0.0.1",
        0,
        user="root",
        password=request.password,
        database=_DATABASE,
        source=binaries.source,
    )
    first = _first_statements(request.folder, request.password)

    def command(port: int) -> list[str]:
        chosen = settings_of(request.service, request.options)
        settings = [f"--{name}={value}" for name, value in chosen.items()]
        options = [*settings, f"--init-file={first}", "--bind-address=127.0.0.1"]
        return [*binaries.command, *binaries.options(data), *options, f"--port={port}"]

    # Killed at once, as nobody keeps the data and an orderly end takes a second.
    return serve(Server(command, login, request.folder, signal.SIGKILL))


def _first_statements(folder: Path, password: str) -> Path:
    first = folder / "first.sql"
    first.touch(mode=0o600)
    # One statement a line is what both servers read.
    first.write_text(
        # MariaDB comes with accounts for these, and would prefer them to the one for '%'.
        "DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';\n"
        f"CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;\n"
        f"CREATE DATABASE IF NOT EXISTS {_DATABASE};\n"
    )
    return first
