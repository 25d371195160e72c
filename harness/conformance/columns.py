"""The columns of the table of capabilities: what each backend of a run was."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from harness.services import ServiceDetails

__all__ = ["Column", "columns_of"]

DRIVERS = {
    "sqlite": "aiosqlite",
    "postgresql": "asyncpg",
    "mysql": "aiomysql",
    "mariadb": "aiomysql",
}


@dataclass(frozen=True)
class Column:
    """
    One backend of a run.

    Args:
        backend: As tests name it, such as ``mysql+asyncmy``.
        driver: The Python package that talks to it.
        driver_version: Of that package.
        flavour: What the server said it is, such as ``MariaDB``; empty if none ran.
        version: What the server said about its version; several are parted by commas.
        provider: Where the server came from.
    """

    backend: str
    driver: str
    driver_version: str
    flavour: str
    version: str
    provider: str


def columns_of(backends: Iterable[str], started: Sequence[ServiceDetails]) -> list[Column]:
    """
    Describe backends.

    Args:
        backends: Their names, in the order of the columns.
        started: The services of the run.
    """
    return [_column(backend, started) for backend in backends]


def _column(backend: str, started: Sequence[ServiceDetails]) -> Column:
    service, _, driver = backend.partition("+")
    driver = driver or DRIVERS.get(service, "")
    if service == "sqlite":
        facts = ["SQLite"], [sqlite3.sqlite_version], ["python"]
    else:
        used = [details for details in started if details.name == service]
        facts = (
            [details.flavour for details in used],
            [details.version for details in used],
            [details.provider for details in used],
        )
    return Column(backend, driver, _installed(driver), *map(_joined, facts))


def _joined(facts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(facts))


def _installed(driver: str) -> str:
    try:
        return version(driver) if driver else ""
    except PackageNotFoundError:
        return ""
