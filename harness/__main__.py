"""
The command line of the harness: `python -m harness`.

- `up` starts servers that go on running, for exploring and for `--harness-keep`.
- `down` stops them.
- `status` lists them, with runs that are under way and databases of failed tests.
- `sweep` stops what killed runs left behind.
- `faults` keeps what a run of trials found, in a README.
- `images build` makes the images that containers are started from.
"""

import argparse
import sys
from collections.abc import Sequence

from harness.commands import down, faults, images, status, sweep, up
from harness.commands.output import UsageError
from harness.services import ProviderError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Args:
        arguments: The words of the command; by default those of this process.

    Returns:
        0; 1 or 2, for a wrong call, after one line that says what went wrong.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except UsageError as error:
        return _fail(str(error), 2)
    except ProviderError as error:
        return _fail(str(error))
    except ImportError as error:
        return _fail(f"{error.name} is missing: pip install 'andamios[harness]'")
    except BrokenPipeError:
        # Whoever reads has seen enough; the interpreter would complain when it ends.
        sys.stdout = None
        return 0
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _fail(line: str, code: int = 1) -> int:
    sys.stderr.write(f"harness: {line}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness", description="Servers for tests.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in (up, down, status, sweep, faults, images):
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
