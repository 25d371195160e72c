"""
Going through the places that a server may come from.

For each service there is a list of places where its binaries may come from; the first
from which a server starts is taken.
"""

import shutil
from collections.abc import Callable, Iterable
from typing import TypeAlias

from harness.answers import checked
from harness.local import mariadb, mysql, postgresql, redis
from harness.local.disk import explain
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
        except (ProviderError, OSError) as error:
            end_servers(request.folder)
            # Data of a start that failed must not take the space of the next one.
            shutil.rmtree(request.folder / "data", ignore_errors=True)
            reasons.append(str(explain(error, request.folder.parent, "TMPDIR")))
    raise ProviderError(" / ".join(dict.fromkeys(reasons)) + _advice(request))


def _advice(request: ServiceRequest) -> str:
    version = request.options.version
    return f": install {request.service} {version}, or ask for another" if version else ""
