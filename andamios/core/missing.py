"""
Which table or column a statement asked for that is not there.

A program whose tables were never made, or whose migrations have not run, meets this first.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["missing_name"]

# The code decides on servers. SQLite has one code for all that it cannot compile, so that
# nothing but its fixed wording tells; the class of the error is the same either way.
NAMES: dict[str | int, re.Pattern[str]] = {
    "42P01": re.compile(r"relation \"(?P<table>[^\"]+)\""),
    "42703": re.compile(r"column (?:\w+\.)?\"?(?P<column>[^\" ]+)"),
    1146: re.compile(r"'(?:[^'.]+\.)?(?P<table>[^']+)'"),
    1054: re.compile(r"'(?:[^'.]+\.)?(?P<column>[^']+)'"),
    "SQLITE_ERROR": re.compile(
        r"^no such table: (?:\w+\.)?(?P<table>\S+)$|"
        r"^no such column: (?:\w+\.)?(?P<column>\S+)$|"
        r"^table \S+ has no column named (?P<named>\S+)$"
    ),
}


def missing_name(error: BaseException, code: str | int | None) -> str | None:
    """
    Say which table or column is missing.

    Args:
        error: The driver's error.
        code: Its code, as ``error_code`` gives it.

    Returns:
        A sentence with its name, or None when the error is about something else.
    """
    pattern = NAMES.get(code) if code is not None else None
    match = pattern.search(_text(error)) if pattern else None
    if match is None:
        return None
    found: dict[str, Any] = match.groupdict()
    if found.get("table"):
        return (
            f"There is no table {found['table']!r} in this database. Create the tables "
            "(engine.create_all), or apply the migrations"
        )
    name = found.get("column") or found["named"]
    return (
        f"There is no column {name!r}. Apply the migrations; create_all leaves tables that are "
        "there as they are"
    )


def _text(error: BaseException) -> str:
    # MySQL's drivers put the number in front.
    is_numbered = len(error.args) > 1 and isinstance(error.args[0], int)
    return str(error.args[1]) if is_numbered else str(error.__cause__ or error)
