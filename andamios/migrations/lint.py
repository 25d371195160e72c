"""
Lint: operations that lock or lose data, and the safe way to write them.

A finding that is meant to be is silenced by a comment in the script, on a line of its own
or behind the operation, with the rule's name::

    op.drop_column("user", "nickname")  # andamios: allow drop-column
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.operations import ops

from andamios.errors import MigrationError
from andamios.migrations.recording import record_operations
from andamios.migrations.rules import RULES, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.script import Script, ScriptDirectory

__all__ = ["LintFinding", "lint_scripts"]

ALLOWED = re.compile(r"#\s*andamios:\s*allow\s+([\w, -]+)")

UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class LintFinding:
    """
    An operation that had better be written otherwise.

    Args:
        revision: The migration.
        path: Its file.
        rule: The rule's name, which ``# andamios: allow …`` takes; ``unreadable`` for a script
            that cannot be read without a database, and needs eyes.
        operation: What it does to which table.
        reason: Why that is dangerous, and the safe way to write it.
    """

    revision: str
    path: Path
    rule: str
    operation: str
    reason: str

    def __str__(self) -> str:
        return f"{self.revision} [{self.rule}] {self.operation} {self.reason}."


def lint_scripts(scripts: ScriptDirectory, backend: str, since: str) -> list[LintFinding]:
    """
    Ask every rule about every operation; blocks, since it reads files.

    Args:
        scripts: The directory.
        backend: The backend whose locks are meant.
        since: Only scripts after this revision.
    """
    found = scripts.iterate_revisions("heads", since)
    return [finding for each in reversed(list(found)) for finding in _lint(each, backend)]


def _lint(script: Script, backend: str) -> Iterator[LintFinding]:
    path = Path(script.path)
    allowed = _allowed(path.read_text(encoding="utf-8"))
    try:
        operations = record_operations(script, backend)
    except MigrationError:
        if UNREADABLE not in allowed:
            reason = "cannot be read without a database; look at it yourself"
            yield LintFinding(script.revision, path, UNREADABLE, "upgrade()", reason)
        return
    created: set[str | None] = set()
    for operation in operations:
        is_new = table_of(operation) in created
        if isinstance(operation, ops.CreateTableOp):
            created.add(operation.table_name)
        elif not is_new:
            for rule, judge in RULES.items():
                advice = None if rule in allowed else judge(operation, backend)
                if advice is not None:
                    named = _described(operation)
                    yield LintFinding(script.revision, path, rule, named, advice)


def _allowed(source: str) -> set[str]:
    found = (match.group(1) for match in ALLOWED.finditer(source))
    return {name for names in found for name in re.split(r"[,\s]+", names) if name}


def _described(operation: Any) -> str:
    kind = type(operation).__name__.removesuffix("Op")
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
    column = getattr(operation, "column_name", None) or getattr(
        getattr(operation, "column", None), "name", None
    )
    name = getattr(operation, "index_name", None) or getattr(operation, "constraint_name", None)
    parts = [part for part in (table_of(operation), column or name) if part]
    return f"{words} {'.'.join(str(part) for part in parts)}".strip()
