"""MySQL in a container."""

from harness.containers.recipe import Recipe
from harness.settings import MYSQL

__all__ = ["RECIPE"]

_DATABASE = "andamios"


def _environment(password: str) -> dict[str, str]:
    return {"MYSQL_ROOT_PASSWORD": password, "MYSQL_DATABASE": _DATABASE}


def _command(_password: str) -> list[str]:
    options = [f"--{name}={value}" for name, value in MYSQL.items()]
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
