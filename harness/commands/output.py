"""What commands say: results on stdout, progress on stderr, one line for what is wrong."""

import sys
from typing import TYPE_CHECKING, TypeAlias, cast

from harness.services import SERVICES, ServiceName

__all__ = ["Commands", "UsageError", "note", "say", "services_named", "table"]

if TYPE_CHECKING:
    import argparse

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001
else:
    Commands = object


class UsageError(Exception):
    """A command was called in a way that makes no sense; the message is one line."""


def say(line: str) -> None:
    """Print a line of the result."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """Print a line of progress, which doesn't mix with a result that a program reads."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def services_named(names: list[str]) -> tuple[ServiceName, ...]:
    """
    Check the names of services.

    Args:
        names: What was typed.

    Returns:
        The same names, each once.

    Raises:
        UsageError: One of them is unknown.
    """
    unknown = [name for name in names if name not in SERVICES]
    if unknown:
        raise UsageError(f"unknown service {', '.join(unknown)}: use {', '.join(SERVICES)}")
    return cast("tuple[ServiceName, ...]", tuple(dict.fromkeys(names)))


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Align the columns of some rows."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
