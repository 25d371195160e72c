"""
Going through the places that a server may come from.

For each service there is a list of places where its binaries may come from; the first
from which a server starts is taken.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from harness.answers import checked
from harness.local import mariadb, mysql, postgresql, redis
from harness.local.server import end_servers
from harness.services import ProviderError, ServiceDetails, ServiceName, ServiceRequest

__all__ = ["STARTERS", "Starter", "start"]

Starter: TypeAlias = Callable[[ServiceRequest], ServiceDetails]

STARTERS: dict[ServiceName, Callable[[], Iterable[Starter]]] = {
    "postgresql": postgresql.starters,
    "mysql": mysql.starters,
    "mariadb": mariadb.starters,
    "redis": redis.starters,
}


def start(request: ServiceRequest) -> ServiceDetails:
    """
    Start a service from the first place whose binaries work.

    Args:
        request: What to start, and the folder for its data.

    Returns:
        The running service.

    Raises:
        ProviderError: None of the places gave a server; the message names each.
    """
    if request.options.image:
        raise ProviderError(f"only a container engine runs the image {request.options.image}")
    reasons = []
    for starter in STARTERS[request.service]():
        try:
            return checked(starter(request), request)
        except ProviderError as error:
            end_servers(request.folder)
            reasons.append(str(error))
    raise ProviderError(" / ".join(reasons))
