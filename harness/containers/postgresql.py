"""PostgreSQL in a container."""

from collections.abc import Mapping

from harness.containers.recipe import Recipe

__all__ = ["RECIPE"]

# A folder of our own, as the official image moved its own one with version 18.
_DATA = "/pgdata"


def _environment(password: str) -> dict[str, str]:
    return {
        "PGDATA": f"{_DATA}/data",
        "POSTGRES_PASSWORD": password,
        # Plain passwords, since a log-in by SCRAM costs 10 ms of every connection.
        "POSTGRES_HOST_AUTH_METHOD": "password",
        "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C.UTF-8 --no-sync",
    }


def _command(_password: str, settings: Mapping[str, str]) -> list[str]:
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return ["postgres", *options]


RECIPE = Recipe(
    official="postgres:18",
    own="andamios/postgresql",
    port=5432,
    data=_DATA,
    user="postgres",
    database="postgres",
    environment=_environment,
    command=_command,
)
