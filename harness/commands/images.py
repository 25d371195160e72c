"""`images build`: make the images that containers are started from."""

import argparse
import time

from harness.commands.output import Commands, say, services_named
from harness.services import SERVICES

__all__ = ["add_parser"]


def add_parser(commands: Commands) -> None:
    """Add the command and its one action."""
    parser = commands.add_parser("images", help="the images of the docker provider")
    actions = parser.add_subparsers(required=True, metavar="action")
    build = actions.add_parser("build", help="build those that aren't up to date")
    build.add_argument("services", nargs="*", help=f"{', '.join(SERVICES)}; all by default")
    build.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Build them and say how long that took."""
    from harness.images import build_images  # noqa: PLC0415  needs the engine's library

    began = time.monotonic()
    build_images(say, services_named(options.services) or SERVICES)
    say(f"done in {time.monotonic() - began:.1f} s")
    return 0
