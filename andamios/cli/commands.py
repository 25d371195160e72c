"""All commands in one place: what ``andamios --help`` lists."""

import sys
from typing import Annotated

import typer

import andamios
from andamios.cli.audit import audit
from andamios.cli.explain import explain
from andamios.cli.health import health
from andamios.cli.migrate import migrate
from andamios.cli.secrets import secrets
from andamios.cli.tour import tour

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(tour)
app.command()(health)
app.command()(explain)
app.add_typer(migrate, name="migrate")
app.add_typer(secrets, name="secrets")
app.add_typer(audit, name="audit")


def _version(is_wanted: bool) -> None:
    if is_wanted:
        sys.stdout.write(f"andamios {andamios.__version__}\n")
        raise SystemExit(0)


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Andamios: an async data layer on SQLAlchemy."""
