"""MySQL in a container."""

from collections.abc import Mapping

from harness.containers.recipe import Recipe

__all__ = ["RECIPE"]

_DATABASE = "andamios"


def _environment(password: str) -> dict[str, str]:
    return {"MYSQL_ROOT_PASSWORD": password, "MYSQL_DATABASE": _DATABASE}


def _command(_password: str, settings: Mapping[str, str]) -> list[str]:
    options = [f"--{name}={value}" for name, value in settings.items()]
    return ["mysqld", *options, "--mysqlx=OFF", "--secure-file-priv=NULL"]


RECIPE = Recipe(
    official="mysql:9",
    own="andamios/mysql",
    port=3306,
    data="/var/lib/mysql",
    user="root",
    database=_DATABASE,
    environment=_environment,
    command=_command,
)
