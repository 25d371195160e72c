"""Redis in a container."""

from collections.abc import Mapping

from harness.containers.recipe import Recipe

__all__ = ["RECIPE"]


def _environment(_password: str) -> dict[str, str]:
    return {}


def _command(password: str, settings: Mapping[str, str]) -> list[str]:
    chosen = {**settings, "requirepass": password}
    options = [part for name, value in chosen.items() for part in (f"--{name}", value)]
    return ["redis-server", *options]


RECIPE = Recipe(
    official="redis:8",
    own="andamios/redis",
    port=6379,
    data="/data",
    user="",
    database="0",
    environment=_environment,
    command=_command,
)
