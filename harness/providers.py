"""
Where a service can come from, and in which order that is tried.

An address that somebody set counts as a decision and is never replaced in silence; else
a container engine comes first, since it gives the exact server that people deploy, and
this machine's own binaries and packages second.
"""

import contextlib
import os
import threading
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import cast, get_args
from urllib.parse import unquote, urlsplit

from harness.answers import checked
from harness.probes import identify
from harness.services import (
    SERVICES,
    ProviderError,
    ProviderName,
    ServiceDetails,
    ServiceName,
    ServiceOptions,
    ServiceRequest,
    ServiceUnavailableError,
)
from harness.settings import settings_of

__all__ = [
    "URL_VARIABLES",
    "candidates",
    "import_docker",
    "start",
    "starting_candidates",
    "stop",
    "with_image",
]

URL_VARIABLES: dict[ServiceName, str] = {
    "postgresql": "ANDAMIOS_POSTGRES_URL",
    "mysql": "ANDAMIOS_MYSQL_URL",
    "mariadb": "ANDAMIOS_MARIADB_URL",
    "redis": "ANDAMIOS_REDIS_URL",
}
_PORTS: dict[ServiceName, int] = {
    "postgresql": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "redis": 6379,
}

_IMPORTING = threading.Lock()
"""Threads that import the container engine's library at once would see it half imported."""


def candidates(service: ServiceName, provider: str) -> tuple[ProviderName, ...]:
    """
    List the providers to try for a service.

    Args:
        service: The service.
        provider: `auto`, or the only provider to use.

    Returns:
        Provider names, first choice first.

    Raises:
        ServiceUnavailableError: The service or the provider has an unknown name.
    """
    if service not in SERVICES:
        raise ServiceUnavailableError(service, [f"unknown service: use {', '.join(SERVICES)}"])
    if provider == "auto":
        return ("url",) if os.environ.get(URL_VARIABLES[service]) else ("docker", "local")
    for name in get_args(ProviderName):
        if name == provider:
            return (name,)
    known = ", ".join(("auto", *get_args(ProviderName)))
    raise ServiceUnavailableError(service, [f"unknown provider {provider!r}: use {known}"])


def starting_candidates(service: ServiceName, provider: str) -> tuple[ProviderName, ...]:
    """
    List the providers that start a server of its own, first choice first.

    Args:
        service: The service.
        provider: `auto`, or the only provider to use.

    Raises:
        ServiceUnavailableError: An unknown name, or the provider only knows addresses.
    """
    if provider == "auto":
        return ("docker", "local")
    if provider == "url":
        raise ServiceUnavailableError(
            service, ["url: a server that somebody else runs is not broken: use docker or local"]
        )
    return candidates(service, provider)


def with_image(
    service: ServiceName, provider: ProviderName, options: ServiceOptions
) -> ServiceOptions:
    """
    Name the image that a variable such as `ANDAMIOS_HARNESS_REDIS_IMAGE` asks for.

    A server that outlives this process is found again by its options, and by nothing else.
    """
    image = os.environ.get(f"ANDAMIOS_HARNESS_{service.upper()}_IMAGE")
    if provider != "docker" or options.image or not image:
        return options
    return replace(options, image=image)


def start(request: ServiceRequest, provider: ProviderName) -> ServiceDetails:
    """
    Start a service and wait until it lets us in.

    Args:
        request: What to start, and for whom.
        provider: Who starts it.

    Returns:
        The running service.

    Raises:
        ProviderError: This provider can't give it.
    """
    # A setting that nobody may have is found out before anything is started.
    settings_of(request.service, request.options)
    match provider:
        case "url":
            return _from_url(request)
        case "docker":
            return _from_docker(request)
        case "local":
            return _from_local(request)


def stop(request: ServiceRequest, provider: ProviderName) -> None:
    """End whatever was started for a request, whether or not the start came to its end."""
    if provider == "docker":
        # Without an engine, or the library for it, there are no containers either.
        with contextlib.suppress(ProviderError, ImportError):
            import_docker().remove(request.labels)
    elif provider == "local":
        from harness.local.server import end_servers  # noqa: PLC0415  only this branch

        end_servers(request.folder)


def import_docker() -> ModuleType:
    """
    Import what starts containers, which is slow, and not needed for servers that run already.

    Raises:
        ImportError: The engine's library is not installed.
    """
    with _IMPORTING:
        return import_module("harness.containers.docker")


def _from_docker(request: ServiceRequest) -> ServiceDetails:
    try:
        docker = import_docker()
    except ImportError as error:
        raise ProviderError(f"{error.name} is missing: pip install 'andamios[harness]'") from error
    return cast("ServiceDetails", docker.start(request))


def _from_local(request: ServiceRequest) -> ServiceDetails:
    from harness.local.places import start as start_here  # noqa: PLC0415  only this branch

    return start_here(request)


def _from_url(request: ServiceRequest) -> ServiceDetails:
    variable = URL_VARIABLES[request.service]
    address = os.environ.get(variable)
    if not address:
        raise ProviderError(f"{variable} is not set")
    try:
        _check_options(request.options)
        return _checked_flavour(identify(_parse(request.service, address, variable)), request)
    except ProviderError as error:
        raise ProviderError(f"{error} (unset {variable} to have one started)") from error


def _check_options(options: ServiceOptions) -> None:
    what = [name for name in ("image", "settings") if getattr(options, name)]
    if what:
        raise ProviderError(f"a server that runs already takes no {' and no '.join(what)}")


def _checked_flavour(details: ServiceDetails, request: ServiceRequest) -> ServiceDetails:
    for other in SERVICES:
        if other != details.name and other == details.flavour.lower():
            hint = f"{details.flavour} belongs in {URL_VARIABLES[other]}"
            raise ProviderError(f"{details.source} leads to {details.flavour}: {hint}")
    return checked(details, request)


def _parse(service: ServiceName, address: str, variable: str) -> ServiceDetails:
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS[service]
    except ValueError as error:
        raise ProviderError(f"{variable} is no URL: {error}") from error
    if not parts.hostname:
        raise ProviderError(f"{variable} names no host: use {service}://user:password@host/name")
    return ServiceDetails(
        service,
        parts.hostname,
        port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=unquote(parts.path.lstrip("/")),
        provider="url",
        source=variable,
        query=parts.query,
    )
