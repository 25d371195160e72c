"""Finding the line of a server's log that says why it ended."""

import re

__all__ = ["telling_line"]

_TELLING = re.compile(r"error|fatal|panic|bad |can.?t|cannot|could not|unknown", re.IGNORECASE)
# Said after the reason, or around it.
_EMPTY = re.compile(r"aborting|\*\*\*|shutdown|shutting down", re.IGNORECASE)
_ROOT = re.compile(r"no space left on device", re.IGNORECASE)
# What stands before it is the time and the process.
_SEVERITY = re.compile(r"\[ERROR\]|FATAL:|PANIC:|ERROR:")
_LONGEST = 300


def telling_line(text: str) -> str:
    """
    Choose the line to show of a log that may be long.

    Args:
        text: The log.

    Returns:
        What other failures follow from, if it says so; else the last line about a failure,
        else the last one.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    roots = [line for line in lines if _ROOT.search(line)]
    telling = [line for line in lines if _TELLING.search(line) and not _EMPTY.search(line)]
    line = (roots or telling or lines or ["it said nothing"])[-1]
    severity = _SEVERITY.search(line)
    return line[severity.start() if severity else 0 :][:_LONGEST]
