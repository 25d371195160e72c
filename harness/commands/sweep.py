"""`sweep`: stop what killed runs left behind; the next run would do so too."""

import argparse

from harness.commands.output import Commands, say
from harness.sweeping import sweep

__all__ = ["add_parser"]


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("sweep", help="stop what killed runs left behind")
    parser.set_defaults(run=run)


def run(_options: argparse.Namespace) -> int:
    """Sweep, and say which runs."""
    swept = sweep()
    say(f"swept {len(swept)} run(s)" + "".join(f"\n  {name}" for name in swept))
    return 0
