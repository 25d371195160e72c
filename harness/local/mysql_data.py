"""
New data folders for MySQL and MariaDB.

To initialise one costs up to 3 seconds, so it is done once, kept in the cache, and
copied for each run.
"""

import os
import shutil
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from harness.local.cache import cached
from harness.local.server import run_command
from harness.services import ProviderError
from harness.settings import USUAL

__all__ = ["Binaries", "fresh_data"]

_INITIALISE_LIMIT = 120.0
# Version 11 calls the files with {} after itself.
_MARIADB_TABLES = (
    "{}_system_tables.sql",
    "{}_performance_tables.sql",
    "{}_system_tables_data.sql",
    "fill_help_tables.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "{}_sys_schema.sql",
)


@dataclass(frozen=True)
class Binaries:
    """
    A server program and what it is.

    `command` holds the arguments that are always the first ones, `base` the folder that
    it was built for as `/usr`.
    """

    command: tuple[str, ...]
    base: Path
    is_mariadb: bool
    version: str
    source: str

    @property
    def flavour(self) -> str:
        """What it is: `MySQL` or `MariaDB`."""
        return "MariaDB" if self.is_mariadb else "MySQL"

    def options(self, data: Path) -> list[str]:
        """Write the options that running and initialising have in common."""
        options = [
            f"--datadir={data}",
            f"--pid-file={data}/server.pid",
            # Relative to the data folder, as the path of a socket has a length limit.
            "--socket=server.sock",
        ]
        if os.getuid() == 0:
            options.append("--user=root")
        if not self.is_mariadb:
            options += ["--mysqlx=OFF", "--secure-file-priv=NULL"]
        return options


def fresh_data(binaries: Binaries, folder: Path) -> Path:
    """
    Make a data folder with nothing but the server's own tables.

    Args:
        binaries: The server that will use it.
        folder: Where to make it.

    Returns:
        The data folder.

    Raises:
        ProviderError: The server couldn't initialise one.
    """
    pristine = cached(
        f"data-{binaries.flavour.lower()}-{binaries.version}", partial(_initialise, binaries)
    )
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(pristine / "data", data)
    return data


def _initialise(binaries: Binaries, folder: Path) -> None:
    data = folder / "data"
    settings = [f"--{name}={value}" for name, value in USUAL["mysql"].items()]
    command = [*binaries.command, *binaries.options(data), *settings]
    if binaries.is_mariadb:
        data.mkdir(mode=0o700)
        command += ["--bootstrap", "--innodb-log-file-size=16M"]
        run_command(command, limit=_INITIALISE_LIMIT, text=_mariadb_tables(binaries))
    else:
        command += ["--initialize-insecure", "--innodb-redo-log-capacity=16M"]
        run_command(command, limit=_INITIALISE_LIMIT)
    # The server's own name must not be shared by its copies.
    (data / "auto.cnf").unlink(missing_ok=True)


def _mariadb_tables(binaries: Binaries) -> str:
    places = ("share/mysql", "share/mariadb", "share")
    for place, name in product(places, ("mariadb", "mysql")):
        files = [binaries.base / place / file.format(name) for file in _MARIADB_TABLES]
        if files[0].exists():
            lines = "".join(file.read_text() for file in files).splitlines()
            # Accounts that are bound to the name of the machine where this happens to run.
            lasting = [line for line in lines if "@current_hostname" not in line]
            return "\n".join(["CREATE DATABASE mysql;", "USE mysql;", *lasting, ""])
    raise ProviderError(f"{binaries.source} comes without the SQL of its system tables")
