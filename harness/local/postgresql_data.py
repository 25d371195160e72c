"""New data folders for PostgreSQL; making one takes a second, so that each start has its own."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.local.disk import lacks_shared_memory
from harness.local.server import give, run_command
from harness.services import ProviderError

__all__ = ["Cluster", "fresh_data"]

_INITIALISE_LIMIT = 60.0
# The first whose initdb takes settings.
_TAKES_SETTINGS = 16


@dataclass(frozen=True)
class Cluster:
    """
    Whose data it is: the programs' folder and version, and the user they run as.

    `user` is None when this process isn't root, and so runs them itself.
    """

    programs: Path
    version: str
    password: str
    user: str | None

    @property
    def memory(self) -> dict[str, str]:
        """Settings for a machine with little shared memory: files in the data folder do too."""
        return {"dynamic_shared_memory_type": "mmap"} if lacks_shared_memory() else {}


def fresh_data(cluster: Cluster, folder: Path) -> Path:
    """
    Make a data folder.

    Args:
        cluster: Whose it is.
        folder: Where to make it.

    Returns:
        The data folder.

    Raises:
        ProviderError: The program for it failed.
    """
    data, secret = folder / "data", folder / "password"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    secret.write_text(f"{cluster.password}\n")
    give(data, cluster.user)
    give(secret, cluster.user)
    command = [
        str(cluster.programs / "initdb"),
        f"--pgdata={data}",
        "--username=postgres",
        # Plain passwords, since a log-in by SCRAM costs 10 ms of every connection.
        "--auth=password",
        f"--pwfile={secret}",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ]
    takes_settings = int(cluster.version.partition(".")[0]) >= _TAKES_SETTINGS
    if takes_settings:
        command += [f"--set={name}={value}" for name, value in cluster.memory.items()]
    try:
        run_command(command, limit=_INITIALISE_LIMIT, user=cluster.user)
    except ProviderError as error:
        if not takes_settings and cluster.memory:
            raise ProviderError(_too_small(cluster)) from error
        raise
    return data


def _too_small(cluster: Cluster) -> str:
    return (
        f"PostgreSQL {cluster.version} can't do with so little shared memory "
        f"({lacks_shared_memory()}): enlarge it, or install {_TAKES_SETTINGS} or newer"
    )
