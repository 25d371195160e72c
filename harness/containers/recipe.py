"""What has to be known about a service to run it in a container."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """
    How to run one service.

    The project's `own` image takes the same environment as the `official` one. `data`
    is the folder that is kept in memory; `environment` and `command` take the password, and the
    latter the server's settings.
    """

    official: str
    own: str
    port: int
    data: str
    user: str
    database: str
    environment: Callable[[str], dict[str, str]]
    command: Callable[[str, Mapping[str, str]], list[str]]
