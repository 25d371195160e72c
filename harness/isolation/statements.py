"""What a statement does to a transaction, told by its first word."""

from __future__ import annotations

import re

__all__ = ["commits_first", "ends_transaction", "first_word", "only_reads"]

READS = {
    *("SELECT", "SHOW", "EXPLAIN", "DESCRIBE", "DESC", "PRAGMA", "VALUES", "SET", "TABLE"),
    *("SAVEPOINT", "RELEASE"),
}
"""First words of statements that write nothing."""

WRITES = re.compile(
    r"\b(INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|UPDATE\s+\S+\s+SET)\b", re.IGNORECASE
)
"""What a statement that begins with ``WITH`` holds if it writes."""

ENDS = {"BEGIN", "COMMIT", "END", "ROLLBACK", "START", "ABORT"}
"""First words of statements that a session sends by its own methods."""

COMMITS_FIRST = {
    *("ALTER", "ANALYZE", "CHECK", "CREATE", "DROP", "FLUSH", "GRANT", "LOCK", "OPTIMIZE"),
    *("RENAME", "REPAIR", "REVOKE", "TRUNCATE", "UNLOCK"),
}
"""First words of statements before which MySQL and MariaDB commit (manual, 15.3.3)."""


def first_word(statement: str) -> str:
    """Give the first word of a statement in capitals, comments left out."""
    text = statement.lstrip().lstrip("(")
    while text.startswith(("--", "/*")):
        end = "\n" if text.startswith("--") else "*/"
        text = text.partition(end)[2].lstrip().lstrip("(")
    return text.split(None, 1)[0].rstrip(";").upper() if text else ""


def only_reads(statement: str) -> bool:
    """Whether a statement writes nothing, as far as its words say; a function may write."""
    word = first_word(statement)
    if word == "WITH":
        return WRITES.search(statement) is None
    return word in READS or (word == "ROLLBACK" and " TO " in statement.upper())


def ends_transaction(statement: str) -> bool:
    """Whether a statement begins or ends a transaction, behind the back of whoever opened it."""
    return first_word(statement) in ENDS and not only_reads(statement)


def commits_first(statement: str) -> bool:
    """Whether MySQL and MariaDB commit before they run a statement."""
    is_temporary = "TEMPORARY" in statement.upper().split(None, 2)[1:2]
    return first_word(statement) in COMMITS_FIRST and not is_temporary
