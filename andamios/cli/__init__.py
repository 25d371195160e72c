"""
The command line: ``andamios`` and ``python -m andamios``.

What it needs is an extra, and so is imported only once it is known to be there.
"""

# No "from __future__ import annotations": Typer reads the annotations of local functions.

import importlib.util
import sys
from collections.abc import Callable
from typing import Annotated

import andamios
from andamios.errors import MissingDependencyError

__all__ = ["main"]

NEEDED = ("typer", "rich")


def main() -> None:
    """
    Run the command that the arguments name.

    Raises:
        SystemExit: Always; with 2 when the extra ``cli`` is not installed.
    """
    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            sys.stderr.write(f"Error: {MissingDependencyError(package, 'cli')}\n")
            raise SystemExit(2)
    _app()(prog_name="andamios")


def _app() -> Callable[..., None]:
    import typer  # noqa: PLC0415  an extra

    from andamios.tour.command import tour  # noqa: PLC0415  needs the extra

    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    wanted = typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)

    @app.callback()
    def root(version: Annotated[bool, wanted] = False) -> None:
        """Andamios: an async data layer on SQLAlchemy."""

    app.command()(tour)
    return app


def _version(is_wanted: bool) -> None:
    if is_wanted:
        sys.stdout.write(f"andamios {andamios.__version__}\n")
        raise SystemExit(0)
