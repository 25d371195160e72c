"""
The command line: ``andamios`` and ``python -m andamios``.

What it needs is an extra, and so is imported only once it is known to be there.
"""

import importlib.util
import sys

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
    from andamios.cli.commands import app  # noqa: PLC0415  needs the extra

    app(prog_name="andamios")
