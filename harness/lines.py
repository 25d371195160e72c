"""
Files of JSON lines that many processes append to at once.

Each line is one write at the end of the file, which the system keeps apart from those of
others. A line that was cut short by a kill or a full disk is skipped by the reader, and
spoils no other.
"""

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from harness.folders import explained

__all__ = ["append_line", "read_lines", "read_records"]

_Record = TypeVar("_Record")


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """
    Append one record; only this user can read the file.

    Args:
        path: The file; it is made if it isn't there, but its folder is not.
        record: What JSON can hold.

    Raises:
        RunFolderError: The disk is full, or the folder is gone.
    """
    # The line break ahead ends what another process could not write to its end.
    line = f"\n{json.dumps(record)}\n".encode()
    with explained(path.parent):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Give the complete records of a file, in the order of their writing."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    return [record for line in text.splitlines() if line for record in _parsed(line)]


def read_records(path: Path, kind: type[_Record]) -> list[_Record]:
    """Give the records of a file that are of one kind; another version may write others."""
    found = []
    for line in read_lines(path):
        with contextlib.suppress(TypeError):
            found.append(kind(**line))
    return found


def _parsed(line: str) -> list[dict[str, Any]]:
    try:
        record = json.loads(line)
    except ValueError:
        return []
    return [record] if isinstance(record, dict) else []
