"""``andamios secrets``: connection strings in an encrypted file."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from andamios.cli.options import SECRETS, SECRETS_VARIABLE, AsJson
from andamios.cli.output import print_json, print_lines
from andamios.cli.stopping import one_line_errors
from andamios.errors import ConfigurationError

__all__ = ["secrets"]

secrets = typer.Typer(
    no_args_is_help=True,
    help="Keep connection strings encrypted. The key comes from ANDAMIOS_SECRETS_KEY, or from "
    "the file that ANDAMIOS_SECRETS_KEY_FILE names. Commands with --database-url take "
    "secret:NAME.",
)

File = Annotated[Path, typer.Option(help="The encrypted file.", envvar=SECRETS_VARIABLE)]
FILE = Path(SECRETS)
Name = Annotated[str, typer.Argument(help="What to find it by.")]


@secrets.command()
def key(path: Annotated[Path, typer.Argument(help="Where to write it; must not exist.")]) -> None:
    """Make a new key in a file that only its owner may read."""
    with one_line_errors():
        from andamios.security.keys import create_key_file  # noqa: PLC0415  needs an extra

        create_key_file(path)
        print_lines([f"Wrote a key to {path}. Without it the secrets are lost: keep a copy."])


@secrets.command()
def add(
    name: Name,
    file: File = FILE,
    replace: Annotated[bool, typer.Option(help="There may be one of that name.")] = False,
) -> None:
    """Store a connection string, which is asked for and not shown, or read from a pipe."""
    with one_line_errors():
        _file(file).add(name, _ask(), replace=replace)
        print_lines([f"Stored {name} in {file}."])


@secrets.command(name="list")
def list_(file: File = FILE, as_json: AsJson = False) -> None:
    """List the names."""
    with one_line_errors():
        names = _file(file).names()
        print_json(names) if as_json else print_lines(names)


@secrets.command()
def show(name: Name, file: File = FILE) -> None:
    """Print a connection string, password and all."""
    with one_line_errors():
        print_lines([_file(file).get(name).get_secret_value()])


@secrets.command()
def remove(name: Name, file: File = FILE) -> None:
    """Forget a connection string."""
    with one_line_errors():
        _file(file).remove(name)
        print_lines([f"Removed {name}."])


@secrets.command()
def rotate(
    new_key_file: Annotated[Path, typer.Argument(help="The file of the new key.")],
    file: File = FILE,
) -> None:
    """Encrypt everything with another key; the old one opens nothing from then on."""
    with one_line_errors():
        from andamios.security.keys import read_key_file  # noqa: PLC0415

        _file(file).rotate(read_key_file(new_key_file))
        print_lines([f"{file} is under the new key."])


def _ask() -> str:
    is_typed = sys.stdin.isatty()
    text = getpass.getpass("Connection string: ") if is_typed else sys.stdin.readline()
    if not text.strip():
        raise ConfigurationError("The connection string is empty.")
    return text.strip()


def _file(path: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202  a class of an extra
    from andamios.security.credentials import CredentialsFile  # noqa: PLC0415

    return CredentialsFile(path)
