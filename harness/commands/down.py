"""`down`: stop the servers that `up` and `--harness-keep` left running."""

import argparse

from filelock import Timeout

from harness.commands.output import Commands, say
from harness.folders import base_folder
from harness.runs.kept import KeptRun
from harness.runs.kept_databases import KeptDatabases
from harness.services import ProviderError

__all__ = ["add_parser"]


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("down", help="stop these servers, drop databases that were kept")
    parser.set_defaults(run=run)


def run(_options: argparse.Namespace) -> int:
    """Stop the servers, whose databases go with them, and drop those on other servers."""
    base = base_folder(None)
    databases = KeptDatabases(base)
    number = len(databases.all())
    try:
        stopped = KeptRun(base).stop()
    except Timeout as error:
        raise ProviderError("another process is starting a server: try again later") from error
    for key in stopped:
        say(f"stopped {key}")
    left = databases.drop()
    if number > len(left):
        say(f"dropped {number - len(left)} database(s)")
    for entry in left:
        say(f"could not drop {entry.shown}: drop it by hand, it is forgotten here")
    if not stopped and not number:
        say("nothing is kept")
    return 1 if left else 0
