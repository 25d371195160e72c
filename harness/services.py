"""
What a running service is, whoever started it.

A provider (a container engine, this machine, somebody's address) hands back one
`ServiceDetails`; everything else in the harness only ever sees that.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import quote

__all__ = [
    "SERVICES",
    "ProviderError",
    "ProviderName",
    "ServiceDetails",
    "ServiceName",
    "ServiceOptions",
    "ServiceRequest",
    "ServiceUnavailableError",
]

ServiceName: TypeAlias = Literal["postgresql", "mysql", "mariadb", "redis"]
ProviderName: TypeAlias = Literal["url", "docker", "local"]

SERVICES: tuple[ServiceName, ...] = ("postgresql", "mysql", "mariadb", "redis")


@dataclass(frozen=True)
class ServiceDetails:
    """
    Where a service listens, how to log in, and what it turned out to be.

    `flavour` and `version` are what the server itself answered after a real log-in,
    for example `Valkey` and `9.1.2` for the service `redis`; `source` is one line for
    people.

    Example:
        >>> details = ServiceDetails("redis", "127.0.0.1", 6379, password="p", database="0")
        >>> details.url()
        'redis://:p@127.0.0.1:6379/0'
    """

    name: ServiceName
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    database: str = ""
    provider: ProviderName = "local"
    flavour: str = ""
    version: str = ""
    source: str = ""
    query: str = ""

    def url(self, driver: str | None = None, database: str | None = None) -> str:
        """
        Write the address as a URL.

        Args:
            driver: A driver to name in the scheme, such as `asyncpg`.
            database: Another database than the one these details name.

        Returns:
            A URL such as `postgresql+asyncpg://user:password@127.0.0.1:5432/database`.
        """
        scheme = f"{self.name}+{driver}" if driver else self.name
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = quote(self.database if database is None else database, safe="")
        query = f"?{self.query}" if self.query else ""
        return f"{scheme}://{self._credentials()}{host}:{self.port}/{path}{query}"

    def _credentials(self) -> str:
        if not self.user and not self.password:
            return ""
        password = f":{quote(self.password, safe='')}" if self.password else ""
        return f"{quote(self.user, safe='')}{password}@"


@dataclass(frozen=True)
class ServiceOptions:
    """
    Which server a project wants, where the usual one won't do.

    `image` is a container image, so that only a container engine can give it. `version`
    is the beginning of a version, such as `18` or `9.7`, whoever gives the service.
    `settings` are the server's own; they are laid over those of `harness.settings`.

    Example:
        >>> ServiceOptions().key
        ''
        >>> options = ServiceOptions(version="18", settings={"max_connections": "50"})
        >>> options.key == ServiceOptions(version="18").key
        False
    """

    image: str | None = None
    version: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "settings", {name: str(value) for name, value in self.settings.items()}
        )

    def fits(self, version: str) -> bool:
        """Whether a server's version is one that these options allow."""
        if self.version is None:
            return True
        wanted = self.version.split(".")
        return wanted == version.split(".")[: len(wanted)]

    @property
    def key(self) -> str:
        """A name for exactly these options, fit for a file; empty for the defaults."""
        if self == ServiceOptions():
            return ""
        facts = json.dumps([self.image, self.version, sorted(self.settings.items())])
        return hashlib.sha256(facts.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class ServiceRequest:
    """
    What a provider is asked to start, and for whom.

    `folder` is the service's own in the run directory, `labels` say whose run it is,
    `options` say which server it has to be. Data that is durable is still there when the
    server is started again. The password is the server's administrator's.
    """

    service: ServiceName
    folder: Path
    labels: dict[str, str]
    options: ServiceOptions = field(default_factory=ServiceOptions)
    is_durable: bool = False
    password: str = field(default_factory=partial(secrets.token_hex, 8), repr=False)


class ProviderError(Exception):
    """One provider can't give a service; the message is one line that says what to do."""


class ServiceUnavailableError(Exception):
    """
    A service can't be had.

    Args:
        service: The service that was asked for.
        reasons: One line `provider: reason` for each provider that was tried.
    """

    def __init__(self, service: str, reasons: Sequence[str]) -> None:
        super().__init__(service, list(reasons))
        self.service = service
        self.reasons = list(reasons)

    def __str__(self) -> str:
        return " | ".join([f"{self.service} is not available", *self.reasons])
