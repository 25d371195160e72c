"""
The command line of the harness: `python -m harness`.

- `images build` makes the images that containers are started from.
- `sweep` stops what killed runs left behind.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import get_args

from harness.services import ProviderError, ServiceName

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Args:
        arguments: The words of the command; by default those of this process.

    Returns:
        0, or 1 after one line that says what went wrong.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except ProviderError as error:
        return _fail(str(error))
    except ImportError as error:
        return _fail(f"{error.name} is missing: pip install 'andamios[harness]'")
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    return 0


def _fail(line: str, code: int = 1) -> int:
    sys.stderr.write(f"harness: {line}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness", description="Servers for tests.")
    commands = parser.add_subparsers(required=True, metavar="command")
    images = commands.add_parser("images", help="the images of the docker provider")
    actions = images.add_subparsers(required=True, metavar="action")
    build = actions.add_parser("build", help="build those that aren't up to date")
    build.add_argument(
        "services", nargs="*", help="postgresql, mysql, mariadb, redis; all by default"
    )
    build.set_defaults(run=_build_images)
    sweep = commands.add_parser("sweep", help="stop what killed runs left behind")
    sweep.set_defaults(run=_sweep)
    return parser


def _build_images(options: argparse.Namespace) -> None:
    from harness.images import build_images  # noqa: PLC0415  needs the engine's library

    known = get_args(ServiceName)
    for name in options.services:
        if name not in known:
            raise ProviderError(f"unknown service {name!r}: use {', '.join(known)}")
    began = time.monotonic()
    build_images(_say, tuple(options.services) or known)
    _say(f"done in {time.monotonic() - began:.1f} s")


def _sweep(_options: argparse.Namespace) -> None:
    from harness.sweeping import sweep  # noqa: PLC0415  an extra

    swept = sweep()
    _say(f"swept {len(swept)} run(s)" + "".join(f"\n  {name}" for name in swept))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
