"""
Which indexes could help a statement, read from its clauses.

An index serves columns that are compared for equality first, and after them one range or
an order. What is found here is only worth trying; the planner decides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BooleanClauseList,
    ColumnClause,
    Grouping,
    UnaryExpression,
)

from andamios.models.tables import NAMING_CONVENTION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Candidate", "candidates_of", "tables_of", "uses_of"]

WIDEST = 4
"""Columns; a wider index is rarely worth its writes."""

EQUAL = {operators.eq, operators.in_op, operators.is_, operators.is_not_distinct_from}
RANGE = {
    *(operators.lt, operators.le, operators.gt, operators.ge, operators.between_op),
    *(operators.like_op, operators.startswith_op),
}
BOOLEAN = {operators.is_true, operators.is_false}

UNFIT = (sa.JSON, sa.LargeBinary, sa.ARRAY, sa.Text)
"""Types that a plain index cannot hold, on one backend at least."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    An index worth trying.

    Args:
        table: Its table.
        columns: Its columns in order.
        descending: Of each column, whether it runs downwards.
    """

    table: sa.Table
    columns: tuple[sa.Column[Any], ...]
    descending: tuple[bool, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns in order."""
        return tuple(column.name for column in self.columns)

    @property
    def is_mixed(self) -> bool:
        """Whether some columns run upwards and others downwards."""
        return len(set(self.descending)) > 1

    def index(self, name: str | None = None, schema: str | None = None) -> sa.Index:
        """
        Build the index on a copy of its table, so that the model's own stays as it is.

        Args:
            name: By default what the naming convention says, or the library's, if that one
                says nothing or names the first column only.
            schema: Where the table lies, if elsewhere than the model says.
        """
        metadata = sa.MetaData(naming_convention=self._convention())
        copied = [sa.Column(column.name, column.type) for column in self.table.columns]
        table = sa.Table(self.table.name, metadata, *copied, schema=schema or self.table.schema)
        columns: list[Any] = [table.c[name] for name in self.names]
        if self.is_mixed:
            pairs = zip(columns, self.descending, strict=True)
            columns = [column.desc() if is_down else column for column, is_down in pairs]
        return sa.Index(name, *columns)

    def _convention(self) -> Any:
        """Give the naming convention of the table, if it tells indexes of its columns apart."""
        own = self.table.metadata.naming_convention
        name = str(own.get("ix", ""))
        tells_all = "0N" in name or "0_N" in name
        return own if tells_all or (name and len(self.columns) == 1) else NAMING_CONVENTION


@dataclass(slots=True)
class _Use:
    """How a statement uses one occurrence of a table."""

    table: sa.Table
    equal: dict[Any, bool] = field(default_factory=dict)
    joined: dict[Any, bool] = field(default_factory=dict)
    ranged: dict[Any, bool] = field(default_factory=dict)
    ordered: dict[Any, bool] = field(default_factory=dict)

    def combined(self) -> Iterator[dict[Any, bool]]:
        """Give sets of columns with their directions, in the order that an index wants."""
        yield self.equal | self.ordered
        yield self.equal
        yield self.joined | self.equal
        yield self.equal | self.joined
        yield self.equal | self.joined | self.ordered
        for column in self.equal:
            yield {column: False} | self.ordered
        for column in self.ranged:
            yield self.equal | {column: False}
            yield from ({equal: False, column: False} for equal in self.equal)
            yield self.joined | {column: False}
        yield self.ordered
        for column in self.equal | self.joined | self.ranged:
            yield {column: False}


def tables_of(statement: Any) -> list[sa.Table]:
    """Give the tables of a statement, each once."""
    found = {each: None for each in visitors.iterate(statement) if isinstance(each, sa.Table)}
    return list({table.key: sa.inspect(table) for table in found}.values())


def candidates_of(statement: Any) -> list[Candidate]:
    """Give the indexes worth trying for a statement of Core, each once."""
    found: dict[tuple[Any, ...], Candidate] = {}
    for use in uses_of(statement).values():
        for columns in use.combined():
            kept = dict(list(columns.items())[:WIDEST])
            if kept and not any(isinstance(column.type, UNFIT) for column in kept):
                candidate = Candidate(use.table, tuple(kept), tuple(kept.values()))
                mixed = candidate.descending if candidate.is_mixed else ()
                found.setdefault((use.table.key, candidate.names, mixed), candidate)
    return list(found.values())


def uses_of(statement: Any) -> dict[tuple[str, str], _Use]:
    """Find how a statement uses each occurrence of each table."""
    uses: dict[tuple[str, str], _Use] = {}
    for part in visitors.iterate(statement):
        if isinstance(part, sa.Select):
            _note(uses, part.whereclause)
            _note_order(uses, list(_order(part)))
        elif isinstance(part, sa.Join):
            _note(uses, part.onclause)
    return uses


def _note(uses: dict[tuple[str, str], _Use], condition: Any) -> None:
    for part in _conjuncts(condition):
        if isinstance(part, BinaryExpression):
            _note_comparison(uses, part)
            continue
        if isinstance(part, UnaryExpression) and part.operator in BOOLEAN:
            part = part.element  # noqa: PLW2901  what is asked to be true
        if (use := _use(uses, part)) is not None:
            use.equal.setdefault(_base(part), False)


def _note_comparison(uses: dict[tuple[str, str], _Use], part: BinaryExpression[Any]) -> None:
    left, right = _use(uses, part.left), _use(uses, part.right)
    for own, other, column in ((left, right, part.left), (right, left, part.right)):
        if own is None or (other is own):
            continue
        if other is not None:
            if part.operator is operators.eq:
                own.joined.setdefault(_base(column), False)
        elif part.operator in EQUAL:
            own.equal.setdefault(_base(column), False)
        elif part.operator in RANGE:
            own.ranged.setdefault(_base(column), False)


def _note_order(uses: dict[tuple[str, str], _Use], order: list[tuple[Any, bool]]) -> None:
    found = [_use(uses, column) for column, _ in order]
    first = found[0] if found else None
    if first is not None and all(use is first for use in found):
        for column, is_down in order:
            first.ordered.setdefault(_base(column), is_down)


def _conjuncts(condition: Any) -> Iterator[Any]:
    if isinstance(condition, Grouping):
        yield from _conjuncts(condition.element)
    elif isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        for clause in condition.clauses:
            yield from _conjuncts(clause)
    elif condition is not None:
        yield condition


def _order(select: sa.Select[Any]) -> Iterator[tuple[Any, bool]]:
    for item in _added(select.get_children(), select.order_by(None).get_children()):
        is_down, inner = False, item
        while isinstance(inner, UnaryExpression) and inner.modifier is not None:
            is_down |= inner.modifier is operators.desc_op
            inner = inner.element
        yield inner, is_down


def _added(more: Iterable[Any], less: Iterable[Any]) -> list[Any]:
    """Give what is in the first and not in the second, of equal ones the last."""
    parts = list(more)
    extra = Counter(map(id, parts)) - Counter(map(id, less))
    found = []
    for part in reversed(parts):
        if extra[id(part)] > 0:
            extra[id(part)] -= 1
            found.append(part)
    return found[::-1]


def _use(uses: dict[tuple[str, str], _Use], column: Any) -> _Use | None:
    base = _base(column)
    if base is None:
        return None
    key = (base.table.key, getattr(column.table, "name", ""))
    return uses.setdefault(key, _Use(base.table))


def _base(column: Any) -> Any:
    """Give the column of a table that an expression is, or None."""
    if not isinstance(column, ColumnClause) or column.table is None:
        return None
    bases = [base for base in column.base_columns if isinstance(base, sa.Column)]
    if len(bases) != 1 or not isinstance(bases[0].table, sa.Table):
        return None
    return bases[0].table.c.get(bases[0].key)
