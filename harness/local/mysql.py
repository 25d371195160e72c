"""
MySQL from a server of this machine, or unpacked from packages; MariaDB if need be.

Both speak the same protocol, so the client side never knows; the details say which it is.
"""

import re
import secrets
import shutil
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from harness.local.apt import codename
from harness.local.mysql_data import Binaries, fresh_data
from harness.local.packages import Packages, program, unpacked
from harness.local.server import Server, run_command, serve
from harness.services import ProviderError, ServiceDetails, ServiceRequest
from harness.settings import MYSQL

__all__ = ["PACKAGES", "from_packages", "starters"]

_MARIADB = ("mariadb-server-core",)
# MySQL itself is packaged only in sid; MariaDB comes from the machine's own release.
PACKAGES = (Packages(("mysql-server-core",), "sid"), Packages(_MARIADB, codename()))
_PLACES = "/usr/sbin:/usr/local/sbin:/usr/libexec"
_DATABASE = "andamios"


def starters() -> Iterable[partial[ServiceDetails]]:
    """
    List the places that a server may come from.

    Yields:
        A function for each that starts it.
    """
    for name in ("mysqld", "mariadbd"):
        found = shutil.which(name) or shutil.which(name, path=_PLACES)
        if found:
            yield partial(_start_installed, Path(found).resolve())
    yield from (from_packages(packages) for packages in PACKAGES)


def from_packages(packages: Packages) -> partial[ServiceDetails]:
    """
    Make the starter of a server from packages.

    Args:
        packages: One of `PACKAGES`.

    Returns:
        A function that downloads the packages if need be, and starts the server.
    """
    return partial(_start_packages, packages)


def _start_installed(path: Path, request: ServiceRequest) -> ServiceDetails:
    command = [str(path), "--no-defaults"]
    return _start(_inspect(command, path.parent.parent, f"binary {path}"), request)


def _start_packages(packages: Packages, request: ServiceRequest) -> ServiceDetails:
    root = unpacked(packages)
    base = root / "usr"
    server = "usr/sbin/mariadbd" if packages.names == _MARIADB else "usr/sbin/mysqld"
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
    data = fresh_data(binaries, request.folder)
    password = secrets.token_hex(8)
    login = ServiceDetails(
        "mysql",
        "127.0.0.1",
        0,
        user="root",
        password=password,
        database=_DATABASE,
        source=binaries.source,
    )
    first = _first_statements(request.folder, password)

    def command(port: int) -> list[str]:
        settings = [f"--{name}={value}" for name, value in MYSQL.items()]
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
