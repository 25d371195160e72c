"""
Database URLs: which driver a bare scheme means, and what is wrong with a bad one.

Several hosts may be written as libpq and Connector/J do (``postgresql://h1:5432,h2:5433/db``)
or as SQLAlchemy does (``postgresql:///db?host=h1:5432&host=h2:5433``). The URL that comes out
has the first one where a single host stands, and all of them in its query, which SQLAlchemy can
read again.

Nothing here connects. A URL that passes can still point at a server that is not there.
"""

from __future__ import annotations

import importlib.util

from sqlalchemy.engine import URL
from sqlalchemy.engine import make_url as sa_make_url
from sqlalchemy.exc import ArgumentError

from andamios.core.hosts import Place, split_place
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

PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mariadb": 3306}
"""Where servers listen unless told otherwise; these may have several hosts."""


def make_url(url: str | URL) -> URL:
    """
    Read a URL and give a bare scheme its asynchronous driver.

    Args:
        url: For instance ``sqlite:///app.db``, ``postgresql://user:pw@host/db``,
            ``mysql+asyncmy://user:pw@host/db`` or ``mysql://user:pw@h1:3306,h2:3306/db``; a
            driver that is written out stays.

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
        rest, hosts = _take_hosts(url) if isinstance(url, str) else (url, "")
        parsed = _with_hosts(sa_make_url(rest), hosts)
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


def _take_hosts(text: str) -> tuple[str, str]:
    """Leave the first of several hosts in a URL, and give all of them."""
    scheme, separator, rest = text.partition("://")
    if scheme.partition("+")[0] not in PORTS:
        return text, ""
    end = min(at for at in (rest.find("/"), rest.find("?"), len(rest)) if at >= 0)
    user, at_sign, hosts = rest[:end].rpartition("@")
    if "," not in hosts:
        return text, ""
    first = hosts.partition(",")[0]
    return f"{scheme}{separator}{user}{at_sign}{first}{rest[end:]}", hosts


def _with_hosts(url: URL, hosts: str) -> URL:
    """Write several hosts into the query, each with its port."""
    usual = None if hosts else url.port
    if not hosts and "," in (url.host or ""):
        hosts = str(url.host)
    written = url.query.get("host", ())
    if not hosts and not (isinstance(written, tuple) and written) and "," not in written:
        return url
    if "@" in (url.host or "") or (hosts and written):
        raise ValueError
    listed = (hosts or (written if isinstance(written, str) else ",".join(written))).split(",")
    ports = _ports(url, len(listed)) or [usual or PORTS[url.get_backend_name()]] * len(listed)
    places = [
        place if place.port else Place(place.host, port)
        for place, port in zip(map(split_place, listed), ports, strict=True)
    ]
    if not all(place.host for place in places):
        raise ValueError
    if not places[0].host.startswith("/"):  # a socket
        url = url.set(host=places[0].host, port=places[0].port)
    url = url.difference_update_query(["port"])
    return url.update_query_dict({"host": tuple(map(str, places))})


def _ports(url: URL, number: int) -> list[int]:
    """Give the ports of libpq's ``host=h1,h2&port=5432,5433``; one is for all."""
    written = url.query.get("port", ())
    texts = written.split(",") if isinstance(written, str) else list(written)
    ports = [int(text) for text in texts]
    return ports * number if len(ports) == 1 else ports


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
