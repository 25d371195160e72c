"""
What a statement reads and writes, found by walking through it.

Text says nothing reliable about tables. A statement in plain text that does not begin like a
read counts as a write to everything; a read with text in it depends on every write.
"""

from __future__ import annotations

import re
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql import operators, visitors

from andamios.caching.tags import ANY_WRITE, EVERYTHING, cascaded, row_tag, rows_tag, table_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sqlalchemy.engine.interfaces import Compiled, ExecutionContext

__all__ = ["StatementFacts", "commits_at_once", "facts_of", "key_parameters", "touched_tags"]

READING = {
    *("SELECT", "VALUES", "TABLE", "SHOW", "SET", "RESET", "PRAGMA", "LOCK", "LISTEN", "NOTIFY"),
    *("BEGIN", "START", "SAVEPOINT", "RELEASE", "ROLLBACK", "COMMIT"),
}
PERHAPS = {"WITH", "EXPLAIN", "DESCRIBE", "DESC"}
CHANGING = {"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE"}

# Comments before the first word; one that is nested, or that MySQL executes, hides it.
FIRST_WORD = re.compile(
    r"(?:[\s(]|--[^\n]*\n|\#[^\n]*\n|/\*(?!M?!)(?:(?!/\*|\*/).)*\*/)*([A-Z]+)",
    re.DOTALL | re.IGNORECASE,
)
MULTIPLE = {"mysql", "mariadb"}
"""Backends whose UPDATE may set columns of several tables."""

MANY_ROWS = 200
"""With more rows in one statement, the table as a whole is touched instead."""


@dataclass(frozen=True, slots=True)
class Write:
    """
    One INSERT, UPDATE or DELETE.

    Args:
        table: Full name of the table.
        along: Tables that the database changes by itself.
        adds: Whether it only adds rows.
        key: Names of the parameters that are the key of the row; empty if unknown.
    """

    table: str
    along: frozenset[str]
    adds: bool
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StatementFacts:
    """
    What a statement does with tables.

    Args:
        tables: Full names of all tables that occur in it.
        has_text: Whether a part of it is plain text, which may name others.
        writes: What it writes.
        writes_text: Whether it holds a whole statement in plain text that writes.
    """

    tables: frozenset[str]
    has_text: bool
    writes: tuple[Write, ...]
    writes_text: bool


_known: weakref.WeakKeyDictionary[Compiled, StatementFacts] = weakref.WeakKeyDictionary()


def facts_of(compiled: Compiled) -> StatementFacts:
    """Give the facts of a compiled statement, found once for each."""
    facts = _known.get(compiled)
    if facts is None:
        facts = _known[compiled] = _find(compiled)
    return facts


def touched_tags(context: ExecutionContext, statement: str) -> set[str]:
    """
    Give the tags that a statement which is about to be executed touches; none for a read.

    Args:
        context: As SQLAlchemy's cursor events have it.
        statement: Its SQL.
    """
    compiled = context.compiled
    if compiled is None or isinstance(compiled.statement, sa.TextClause):
        return {EVERYTHING, ANY_WRITE} if _writes(statement) else set()
    if isinstance(compiled.statement, sa.DDLElement):
        return {EVERYTHING, ANY_WRITE}
    facts = facts_of(compiled)
    tags = {EVERYTHING, ANY_WRITE} if facts.writes_text else set()
    for write in facts.writes:
        tags |= _tags(write, getattr(context, "compiled_parameters", ()))
    return tags


def commits_at_once(context: ExecutionContext, statement: str) -> bool:
    """
    Whether the backend commits with this statement, as MySQL does with DDL.

    Args:
        context: As SQLAlchemy's cursor events have it.
        statement: Its SQL.
    """
    if context.dialect.name not in MULTIPLE:
        return False
    compiled = context.compiled
    if compiled is None or isinstance(compiled.statement, sa.TextClause):
        return _first_word(statement) not in READING | PERHAPS | CHANGING
    return isinstance(compiled.statement, sa.DDLElement)


def key_parameters(
    condition: sa.ColumnElement[bool] | None, table: Any
) -> tuple[sa.BindParameter[Any], ...]:
    """
    Find the parameters that a condition compares with all columns of a table's key.

    Args:
        condition: A WHERE; only what is joined by AND is looked at.
        table: The table.

    Returns:
        The parameters in the order of the key; none if rows are chosen in another way.
    """
    if not isinstance(table, sa.Table):
        return ()
    found = {}
    for part in _parts(condition):
        column, value = getattr(part, "left", None), getattr(part, "right", None)
        if (
            getattr(part, "operator", None) is operators.eq
            and isinstance(column, sa.Column)
            and isinstance(value, sa.BindParameter)
            and getattr(column.table, "fullname", None) == table.fullname
        ):
            found[column.name] = value
    key = [column.name for column in table.primary_key]
    return tuple(found[name] for name in key) if key and found.keys() >= set(key) else ()


def _parts(condition: Any) -> Iterator[Any]:
    if isinstance(condition, sa.BooleanClauseList) and condition.operator is operators.and_:
        for part in condition.clauses:
            yield from _parts(part)
    elif condition is not None:
        yield condition


def _find(compiled: Compiled) -> StatementFacts:
    # Of a query on models, only the SELECT it became has the tables of joined relationships.
    state = getattr(compiled, "compile_state", None)
    roots = [compiled.statement, getattr(state, "statement", None)]
    parts = [part for root in roots if root is not None for part in visitors.iterate(root)]
    # SQLAlchemy keeps the table of a write out of its walk in some forms.
    writes = {id(part): part for part in parts if isinstance(part, sa.UpdateBase)}
    tables = {part.fullname for part in parts if isinstance(part, sa.TableClause)}
    found = tuple(_write(part, compiled) for part in writes.values())
    return StatementFacts(
        tables=frozenset(tables | {write.table for write in found}),
        has_text=any(_is_text(part) for part in parts),
        writes=found,
        writes_text=any(map(_writes, _whole_texts(roots, parts))),
    )


def _whole_texts(roots: list[Any], parts: list[Any]) -> Iterator[str]:
    """Give each text that is a statement, and not a part of one."""
    # What select(…).from_statement() was given is its element.
    for part in (*roots, *(getattr(root, "element", None) for root in roots)):
        if isinstance(part, sa.TextClause):
            yield part.text
    for part in parts:
        if isinstance(part, sa.TextualSelect):
            yield str(part.element)


def _is_text(part: Any) -> bool:
    if isinstance(part, sa.TextClause | sa.TextualSelect):
        return True
    # The star of count(*) is one too, and names nothing.
    if not isinstance(part, sa.ColumnClause) or not part.is_literal:
        return False
    return part.name != "*" and not part.name.isdigit()  # a limit that is part of the SQL


def _write(statement: Any, compiled: Any) -> Write:
    table = statement.table
    # INSERT OR REPLACE and ON CONFLICT change rows that are there.
    adds = statement.is_insert and _is_general(statement) and _begins_plainly(compiled)
    along: set[str] = set()
    if isinstance(table, sa.Table) and not adds:
        actions = ["onupdate"] if statement.is_update else ["ondelete", "onupdate"]
        for action in actions:
            along |= cascaded(table.metadata, table.fullname, action)
    if statement.is_update and compiled.dialect.name in MULTIPLE:
        along |= _tables_set(statement) - {table.fullname}
    key: tuple[str, ...] = ()
    if not statement.is_insert and statement is compiled.statement:
        parameters = key_parameters(statement.whereclause, table)
        names = compiled.bind_names
        if all(parameter in names for parameter in parameters):
            key = tuple(names[parameter] for parameter in parameters)
    return Write(table.fullname, frozenset(along), bool(adds), key)


def _tables_set(statement: Any) -> set[str]:
    """Give the tables of all columns in an UPDATE, any of which it may set."""
    sources = (getattr(part, "table", None) for part in visitors.iterate(statement))
    tables = (getattr(source, "element", source) for source in sources)  # of an alias
    return {table.fullname for table in tables if isinstance(table, sa.TableClause)}


def _is_general(statement: Any) -> bool:
    """Whether it is SQLAlchemy's general INSERT; that of a dialect may do more than insert."""
    kinds = [kind for kind in type(statement).__mro__ if issubclass(kind, sa.Insert)]
    return all(kind.__module__.startswith("sqlalchemy.sql.") for kind in kinds)


def _begins_plainly(compiled: Any) -> bool:
    # Not OR REPLACE or IGNORE; a WITH may come before it.
    return "INSERT INTO" in str(compiled).upper()


def _tags(write: Write, parameters: Iterable[Mapping[str, Any]]) -> set[str]:
    tags = {ANY_WRITE, table_tag(write.table)}
    for table in write.along:
        tags |= {table_tag(table), rows_tag(table)}
    if not write.adds:
        rows = {_row(write, values) for values in parameters}
        known = {row for row in rows if row is not None}
        is_known = bool(rows) and len(known) == len(rows) and len(known) <= MANY_ROWS
        tags |= known if is_known else {rows_tag(write.table)}
    return tags


def _row(write: Write, values: Mapping[str, Any]) -> str | None:
    return row_tag(write.table, [values.get(name) for name in write.key])


def _writes(statement: str) -> bool:
    word = _first_word(statement)
    if word in PERHAPS:
        return not CHANGING.isdisjoint(re.findall(r"[A-Z]+", statement.upper()))
    return word not in READING


def _first_word(statement: str) -> str:
    found = FIRST_WORD.match(statement)
    return found[1].upper() if found else ""
