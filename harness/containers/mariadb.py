"""MariaDB in a container."""

from collections.abc import Mapping

from harness.containers.recipe import Recipe

__all__ = ["RECIPE"]

_DATABASE = "andamios"


def _environment(password: str) -> dict[str, str]:
    return {"MARIADB_ROOT_PASSWORD": password, "MARIADB_DATABASE": _DATABASE}


def _command(_password: str, settings: Mapping[str, str]) -> list[str]:
    options = [f"--{name}={value}" for name, value in settings.items()]
    return ["mariadbd", *options]


RECIPE = Recipe(
    official="mariadb:11",
    own="andamios/mariadb",
    port=3306,
    data="/var/lib/mysql",
    user="root",
    database=_DATABASE,
    environment=_environment,
    command=_command,
)
