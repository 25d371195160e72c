"""What a server turned out to be, held against what was asked for."""

from harness.services import ProviderError, ServiceDetails, ServiceName, ServiceRequest

__all__ = ["check_answer", "checked"]

# Redis has a successor that does all that Redis does; MySQL and MariaDB are two servers.
_FLAVOURS: dict[ServiceName, tuple[str, ...]] = {
    "postgresql": ("PostgreSQL",),
    "mysql": ("MySQL",),
    "mariadb": ("MariaDB",),
    "redis": ("Redis", "Valkey"),
}


def checked(details: ServiceDetails, request: ServiceRequest) -> ServiceDetails:
    """
    Return the details of a server if it is the one that was asked for.

    Args:
        details: What the server answered.
        request: What was asked for.

    Raises:
        ProviderError: It is another server, or another version.
    """
    check_answer(details.flavour, details.version, details.source, request)
    return details


def check_answer(flavour: str, version: str, source: str, request: ServiceRequest) -> None:
    """
    Hold flavour and version against what was asked for.

    Args:
        flavour: What the server says it is, such as `MariaDB`.
        version: Its version.
        source: Where it comes from.
        request: What was asked for.

    Raises:
        ProviderError: It is another server, or another version.
    """
    wanted = _FLAVOURS[request.service]
    if flavour not in wanted:
        raise ProviderError(f"found {flavour} {version}, not {wanted[0]} ({source})")
    if not request.options.fits(version):
        raise ProviderError(f"found {flavour} {version}, not {request.options.version} ({source})")
