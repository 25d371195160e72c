"""`faults`: keep what a run of trials found, in a folder whose README shows it."""

import argparse
from pathlib import Path

from harness.commands.output import Commands, UsageError, say
from harness.faults.trials.record import keep

__all__ = ["add_parser"]

RUN = Path("reports/faults.json")


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("faults", help="put the table of a run's faults into a README")
    parser.add_argument("folder", type=Path, help="where its README.md is, with marks for it")
    parser.add_argument("--run", dest="found", type=Path, default=RUN, help=f"by default {RUN}")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the JSON, a picture for each database, and the table."""
    try:
        keep(options.found, options.folder)
    except (OSError, ValueError) as error:
        raise UsageError(f"nothing was kept: {error}") from error
    say(f"{options.folder / 'README.md'} says what {options.found} found")
    return 0
