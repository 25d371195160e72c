"""`sweep`: stop what killed runs left behind; the next run would do so too."""

import argparse
import contextlib

from harness.commands.output import Commands, say
from harness.runs.sweeping import sweep
from harness.services import ProviderError

__all__ = ["add_parser"]


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("sweep", help="stop what killed runs left behind")
    parser.set_defaults(run=run)


def run(_options: argparse.Namespace) -> int:
    """Sweep, and say which runs."""
    swept = sweep()
    say(f"swept {len(swept)} run(s)" + "".join(f"\n  {name}" for name in swept))
    # A temporary folder that was emptied knows no more of runs, but the engine does.
    if containers := _containers():
        say(f"removed {len(containers)} container(s)" + "".join(f"\n  {n}" for n in containers))
    return 0


def _containers() -> list[str]:
    # Without an engine, or the library for it, there are none.
    with contextlib.suppress(ProviderError, ImportError):
        from harness.containers import docker  # noqa: PLC0415  slow, and optional

        return docker.sweep()
    return []
