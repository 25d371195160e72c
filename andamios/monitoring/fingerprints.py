"""
Which statements are the same one, whatever values they were sent with.

Statements arrive with placeholders, but ``text()`` may hold values too. Here every literal
becomes ``?`` and lists of values become one, so that what is left can be logged and counted.
How strings end differs between backends, and a wrong guess would show what should be hidden;
so the backend is always asked for.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Literal, TypeAlias

__all__ = ["Operation", "fingerprint", "mask_literals", "operation_of"]

Operation: TypeAlias = Literal["select", "insert", "update", "delete", "other"]

OPERATIONS: dict[str, Operation] = {
    "select": "select",
    "values": "select",
    "table": "select",
    "insert": "insert",
    "replace": "insert",
    "update": "update",
    "delete": "delete",
}

# A string or comment without an end goes on to the end of the statement: it must not show.
PLAIN = r"'(?:[^']|'')*(?:'|\Z)"
ESCAPED = r"'(?:[^'\\]|''|\\.)*(?:'|\\?\Z)"
DOUBLE_ESCAPED = r'"(?:[^"\\]|""|\\.)*(?:"|\\?\Z)'
DOLLAR = r"\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)"
LONG_COMMENT = r"/\*.*?(?:\*/|\Z)"
SPACE = r"\s+"
NUMBER = r"0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.[\d_]*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?"
PLACEHOLDER = r"\$\d+|%\(\w+\)s|%s|\?\d*|(?<!:):[^\W\d]\w*|@[^\W\d]\w*"
WORD = r"[^\W\d][\w$]*"
BACKTICKED = r"`(?:[^`]|``)*(?:`|\Z)"
QUOTED = r'"(?:[^"]|"")*(?:"|\Z)'

ITEM = r"\?(?:::[A-Za-z][\w ]*(?:\[\])*)?"
ROW = rf"\( ?{ITEM}(?: ?, ?{ITEM})* ?\)"
LISTS = re.compile(rf"\b(IN|VALUES) ?{ROW}(?: ?, ?{ROW})*", re.IGNORECASE)

WORDS_AND_BRACKETS = re.compile(r"[()]|[A-Za-z_]\w*")


def _compiled(gap: str, value: str, name: str) -> re.Pattern[str]:
    parts = [
        f"(?P<gap>{SPACE}|{LONG_COMMENT}|{gap})",
        f"(?P<value>{value}|{NUMBER}|{PLACEHOLDER})",
        f"(?P<name>{WORD}|{name})",
    ]
    return re.compile("|".join(parts), re.DOTALL)


MYSQL = _compiled(
    r"(?:--(?=\s|\Z)|\#)[^\n]*",
    f"[NnBbXx]?{ESCAPED}|{DOUBLE_ESCAPED}",
    BACKTICKED,
)
POSTGRESQL = _compiled(r"--[^\n]*", f"[Ee]{ESCAPED}|(?:[NnBbXx]|[Uu]&)?{PLAIN}|{DOLLAR}", QUOTED)
SQLITE = _compiled(r"--[^\n]*", f"[Xx]?{PLAIN}", f"{QUOTED}|{BACKTICKED}")

TOKENS = {"mysql": MYSQL, "mariadb": MYSQL, "postgresql": POSTGRESQL, "sqlite": SQLITE}


@lru_cache(maxsize=256)
def mask_literals(statement: str, backend: str) -> str:
    """
    Write a statement without its values, comments, and breaks of lines.

    SQLite takes ``"text"`` for a string where no column has that name; such text stays.

    Args:
        statement: SQL, with placeholders or values.
        backend: ``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``.

    Returns:
        The statement with ``?`` for each value and ``(...)`` for each list of values.

    Example:
        >>> mask_literals("SELECT * FROM t WHERE a = 'x' AND b IN (1, 2)", "sqlite")
        'SELECT * FROM t WHERE a = ? AND b IN (...)'
    """
    masked = TOKENS.get(backend, POSTGRESQL).sub(_masked_token, statement)
    return LISTS.sub(r"\1 (...)", " ".join(masked.split()))


def _masked_token(found: re.Match[str]) -> str:
    if found["gap"]:
        return " "
    return "?" if found["value"] else found[0]


def fingerprint(statement: str, backend: str) -> str:
    """
    Give the short name of a statement: equal for those that differ in values only.

    Args:
        statement: SQL, with placeholders or values.
        backend: ``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``.

    Returns:
        Twelve hexadecimal digits.
    """
    masked = mask_literals(statement, backend)
    return hashlib.sha256(masked.encode()).hexdigest()[:12]


@lru_cache(maxsize=256)
def operation_of(statement: str, backend: str) -> Operation:
    """
    Say what a statement does; behind WITH, what its main part does.

    Args:
        statement: SQL.
        backend: ``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``.
    """
    text = mask_literals(statement, backend).lower().lstrip("( ")
    words = WORDS_AND_BRACKETS.findall(text)
    if words[:1] != ["with"]:
        return OPERATIONS.get(words[0], "other") if words else "other"
    depth = 0
    for word in words:
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth == 0 and word in OPERATIONS:
            return OPERATIONS[word]
    return "other"
