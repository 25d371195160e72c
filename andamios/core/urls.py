"""
Database URLs: which driver a bare scheme means, and what is wrong with a bad one.

Nothing here connects. A URL that passes can still point at a server that is not there.
"""

from __future__ import annotations

import importlib.util

from sqlalchemy.engine import URL
from sqlalchemy.engine import make_url as sa_make_url
from sqlalchemy.exc import ArgumentError

from andamios.errors import ConfigurationError, MissingDependencyError

__all__ = ["make_url"]

DRIVERS = {
    "sqlite": "aiosqlite",
    "postgresql": "asyncpg",
    "postgres": "asyncpg",
    "mysql": "aiomysql",
    "mariadb": "aiomysql",
}

EXTRAS = {"asyncpg": "postgres", "aiomysql": "mysql", "asyncmy": "mysql-fast"}

KNOWN = ", ".join(sorted({*DRIVERS.values(), *EXTRAS}))

BACKENDS = {"postgres": "postgresql"}


def make_url(url: str | URL) -> URL:
    """
    Read a URL and give a bare scheme its asynchronous driver.

    Args:
        url: For instance ``sqlite:///app.db``, ``postgresql://user:pw@host/db`` or
            ``mysql+asyncmy://user:pw@host/db``; a driver that is written out stays.

    Returns:
        The URL with its driver.

    Raises:
        ConfigurationError: The URL cannot be read, or its backend is not supported.
        MissingDependencyError: The driver is not installed.
    """
    parsed = _without_shown_password(_parse(url))
    backend, _, driver = parsed.drivername.partition("+")
    if backend not in DRIVERS:
        raise ConfigurationError(
            f"Unknown database {backend!r}. Use sqlite://, postgresql://, mysql:// or mariadb://."
        )
    driver = driver or DRIVERS[backend]
    _require(driver)
    complete = parsed.set(drivername=f"{BACKENDS.get(backend, backend)}+{driver}")
    if not _is_async(complete):
        raise ConfigurationError(
            f"{driver!r} is no asynchronous driver for {backend}. Drivers that work: {KNOWN}."
        )
    return complete


def _parse(url: str | URL) -> URL:
    try:
        parsed = sa_make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    # A host or database with an @ is a part of the password, and would be shown.
    is_server = parsed is not None and parsed.host is not None
    if parsed is None or "@" in (parsed.host or "") or (is_server and "@" in str(parsed.database)):
        # The text is not repeated: a URL that cannot be read may hold a password.
        message = (
            "The database URL cannot be read. It looks like "
            "sqlite:///file.db or postgresql://user:password@host:5432/database; "
            "special characters in the password are written as %40 and so on."
        )
        raise ConfigurationError(message)
    return parsed


def _without_shown_password(url: URL) -> URL:
    """Put a password of the query, as libpq allows, where the URL's text hides it."""
    for key in ("password", "passwd"):
        value = url.query.get(key)
        if isinstance(value, str):
            url = url.difference_update_query([key]).set(password=value)
    return url


def _require(driver: str) -> None:
    if importlib.util.find_spec(driver) is not None:
        return
    if driver in EXTRAS:
        raise MissingDependencyError(driver, EXTRAS[driver])
    raise ConfigurationError(f"Unknown driver {driver!r}. Drivers that work: {KNOWN}.")


def _is_async(url: URL) -> bool:
    try:
        return url.get_dialect().is_async
    except (ArgumentError, AttributeError):  # SQLAlchemy has no such pair, or no such dialect
        return False
