"""
Which constraint was broken: name, columns and table, from a driver's error.

PostgreSQL tells the name of the constraint, MySQL the name of the key, SQLite the
columns. The table's own definition completes the rest, so that a caller finds the same
facts on every backend.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKeyConstraint, PrimaryKeyConstraint, UniqueConstraint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Table

__all__ = ["ConstraintFacts", "complete", "read_facts"]


@dataclass(frozen=True, slots=True)
class ConstraintFacts:
    """What is known of a broken constraint; None where nobody told."""

    constraint: str | None = None
    columns: tuple[str, ...] | None = None
    table: str | None = None

    def __str__(self) -> str:
        columns = ", ".join(self.columns or ())
        target = ".".join(part for part in (self.table, columns) if part)
        return ", ".join(part for part in (target, self.constraint) if part)


# Names only: the code has decided the class before any of these is looked at. Servers speak
# many languages (lc_messages), so that the quotes count, and not the words between them.
MYSQL_NAMES = {
    1062: re.compile(r".*'(?:(?P<table>[^'.]+)\.)?(?P<constraint>[^']+)'[^']*$", re.DOTALL),
    1048: re.compile(r"'(?P<column>[^']+)'"),
    1364: re.compile(r"'(?P<column>[^']+)'"),
    1451: re.compile(r"`(?P<table>[^`]+)`, CONSTRAINT `(?P<constraint>[^`]+)`"),
    1452: re.compile(r"`(?P<table>[^`]+)`, CONSTRAINT `(?P<constraint>[^`]+)`"),
    3819: re.compile(r"'(?P<constraint>[^']+)'"),
    4025: re.compile(r"`(?P<constraint>[^`]+)`[^`]*`[^`]*`[^`]*`(?P<table>[^`]+)`"),
}

SQLITE_COLUMNS = re.compile(r"^(?:UNIQUE|NOT NULL) constraint failed: (?P<columns>.+)$")
SQLITE_INDEX = re.compile(r"^UNIQUE constraint failed: index '(?P<constraint>[^']+)'$")
SQLITE_CHECK = re.compile(r"^CHECK constraint failed: (?P<constraint>\S+)$")


def read_facts(error: BaseException, code: str | int | None) -> ConstraintFacts:
    """
    Read what the driver tells.

    Args:
        error: The driver's error, or SQLAlchemy's adapted one with the driver's as its cause.
        code: Its code, as ``error_code`` gives it.
    """
    if isinstance(code, int):
        return _read_mysql(error, code)
    if code is not None and code.startswith("SQLITE_"):
        return _read_sqlite(str(error))
    return _read_postgresql(error.__cause__ or error)


def complete(facts: ConstraintFacts, table: Table | None, *, is_key: bool) -> ConstraintFacts:
    """
    Fill in from the table's definition what the driver left out.

    Args:
        facts: What the driver told.
        table: The table that the statement wrote to.
        is_key: Whether a key was broken, so that columns say which constraint it was.
    """
    if table is None or facts.table not in {None, table.name}:
        return facts
    facts = replace(facts, table=table.name)
    for name, columns in _named_constraints(table):
        if facts.constraint is not None and facts.constraint == name:
            return replace(facts, columns=facts.columns or columns)
        if is_key and facts.constraint is None and facts.columns == columns:
            return replace(facts, constraint=name)
    if facts.constraint == "PRIMARY":
        key = table.primary_key
        return replace(facts, constraint=_name(key), columns=tuple(key.columns.keys()))
    return facts


def _named_constraints(table: Table) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    kinds = (UniqueConstraint, PrimaryKeyConstraint, ForeignKeyConstraint)
    for constraint in table.constraints:
        name = _name(constraint)
        if name and isinstance(constraint, kinds):
            yield name, tuple(column.name for column in constraint.columns)
    for index in table.indexes:
        name = _name(index)
        if index.unique and name:
            yield name, tuple(column.name for column in index.columns) or None


def _name(item: Any) -> str | None:
    name = getattr(item, "name", None)
    return str(name) if isinstance(name, str) else None


def _read_postgresql(error: BaseException) -> ConstraintFacts:
    column = getattr(error, "column_name", None)
    return ConstraintFacts(
        constraint=getattr(error, "constraint_name", None),
        columns=(column,) if column else None,
        table=getattr(error, "table_name", None),
    )


def _read_mysql(error: BaseException, code: int) -> ConstraintFacts:
    pattern = MYSQL_NAMES.get(code)
    text = str(error.args[1]) if len(error.args) > 1 else ""
    match = pattern.search(text) if pattern else None
    found = match.groupdict() if match else {}
    column = found.get("column")
    return ConstraintFacts(
        constraint=found.get("constraint"),
        columns=(column,) if column else None,
        table=found.get("table"),
    )


def _read_sqlite(text: str) -> ConstraintFacts:
    for pattern in (SQLITE_INDEX, SQLITE_CHECK):
        match = pattern.match(text)
        if match:
            return ConstraintFacts(constraint=match["constraint"])
    match = SQLITE_COLUMNS.match(text)
    if match is None:
        return ConstraintFacts()
    names = [name.rpartition(".") for name in match["columns"].split(", ")]
    return ConstraintFacts(columns=tuple(name[2] for name in names), table=names[0][0] or None)
