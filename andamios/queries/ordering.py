"""
The order of results, the same on every backend.

Backends place NULL differently: PostgreSQL after every value, MySQL and SQLite before.
Here NULL counts as the largest value, as on PostgreSQL: last when ascending, first when
descending, unless ``nulls_first()`` or ``nulls_last()`` was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql import operators

from andamios.queries.fields import (
    column_keys,
    element_of,
    key_attributes,
    mapper_of,
    relationship_of,
    unknown,
)
from andamios.queries.values import is_expression

if TYPE_CHECKING:
    from collections.abc import Iterable

    from andamios.queries.spec import QuerySpec

__all__ = ["OrderKey", "order_keys", "placed", "tie_broken", "written_order"]

MODIFIERS = {
    operators.asc_op,
    operators.desc_op,
    operators.nulls_first_op,
    operators.nulls_last_op,
}


@dataclass(frozen=True, slots=True)
class OrderKey:
    """
    One thing that results are ordered by.

    Args:
        expression: What is compared.
        descending: From large to small.
        nulls_first: Where NULLs go.
        is_nullable: Whether there can be any.
        is_grouped: Whether rows are grouped by it.
    """

    expression: Any
    descending: bool = False
    nulls_first: bool = False
    is_nullable: bool = True
    is_grouped: bool = False

    @property
    def name(self) -> str:
        """What it is, in words that are the same in every process."""
        direction = "desc" if self.descending else "asc"
        return f"{self.expression} {direction} {'first' if self.nulls_first else 'last'}"

    def reversed(self) -> OrderKey:
        """The same from the other end."""
        return replace(self, descending=not self.descending, nulls_first=not self.nulls_first)


def written_order(spec: QuerySpec) -> list[Any]:
    """Give what was passed to ``order_by``, with names replaced by what they name."""
    return [_resolved(spec, item) for item in spec.order_by]


def order_keys(spec: QuerySpec) -> tuple[OrderKey, ...]:
    """Read the order that a query asks for."""
    return tuple(_read(spec, item) for item in written_order(spec))


def tie_broken(spec: QuerySpec, keys: tuple[OrderKey, ...]) -> tuple[OrderKey, ...]:
    """Add what makes the order total, in the direction of the last key."""
    descending = keys[-1].descending if keys else False
    present = {str(key.expression) for key in keys}
    is_grouped = bool(spec.group_by)
    missing = [part for part in map(element_of, _unique_parts(spec)) if str(part) not in present]
    return keys + tuple(
        OrderKey(part, descending, descending, _is_nullable(part, spec), is_grouped)
        for part in missing
    )


def placed(keys: Iterable[OrderKey], dialect: str) -> list[Any]:
    """
    Spell an order for a backend, naming the place of NULLs only where it differs.

    Args:
        keys: The order.
        dialect: The backend's name.
    """
    return [part for key in keys for part in _spelled(key, dialect)]


def _spelled(key: OrderKey, dialect: str) -> list[Any]:
    if isinstance(key.expression, sa.TextClause):
        return [key.expression]
    plain = key.expression.desc() if key.descending else key.expression.asc()
    is_largest = dialect == "postgresql"
    if not key.is_nullable or key.nulls_first is (key.descending is is_largest):
        return [plain]
    if dialect in {"mysql", "mariadb"}:
        # MySQL knows what rows are grouped by when it stands alone, not inside IS NULL.
        value = sa.func.min(key.expression) if key.is_grouped else key.expression
        is_null = value.is_(None)
        return [is_null.desc() if key.nulls_first else is_null.asc(), plain]
    return [plain.nulls_first() if key.nulls_first else plain.nulls_last()]


def _resolved(spec: QuerySpec, item: Any) -> Any:
    if not isinstance(item, str):
        return item
    found = _named(spec, item.removeprefix("-"))
    return found.desc() if item.startswith("-") else found


def _named(spec: QuerySpec, name: str) -> Any:
    items = (*spec.columns, *spec.group_by, *spec.aggregates)
    labels = {item.name: item for item in items if isinstance(item, sa.Label)}
    if name in labels:
        return labels[name]
    fields = mapper_of(spec.model).all_orm_descriptors
    found = getattr(spec.model, name) if name in fields else None
    if not is_expression(found) or relationship_of(found) is not None:
        raise unknown("field", name, [*labels, *column_keys(spec.model)], spec.model)
    return found


def _read(spec: QuerySpec, item: Any) -> OrderKey:
    element, found = element_of(item), set()
    while getattr(element, "modifier", None) in MODIFIERS:
        found.add(element.modifier)
        element = element.element
    # What desc() makes of a label, or of its name.
    if element.__visit_name__ in {"label_reference", "textual_label_reference"}:
        inner = element.element
        element = _named(spec, inner) if isinstance(inner, str) else inner
    descending = operators.desc_op in found
    nulls_first = operators.nulls_first_op in found or (
        descending and operators.nulls_last_op not in found
    )
    expression = element_of(element)
    is_grouped = str(expression) in {str(element_of(part)) for part in spec.group_by}
    is_nullable = _is_nullable(expression, spec)
    return OrderKey(expression, descending, nulls_first, is_nullable, is_grouped)


def _is_nullable(element: Any, spec: QuerySpec) -> bool:
    element = element_of(element)
    if getattr(element, "nullable", True):
        return True
    is_own = getattr(element, "table", None) in sa.inspect(spec.model).tables
    return not is_own and any(join.is_outer for join in spec.joins)


def _unique_parts(spec: QuerySpec) -> list[Any]:
    """Find what no two results share."""
    if spec.group_by:
        return list(spec.group_by)
    if spec.aggregates:
        return []
    if spec.is_distinct and spec.columns:
        return list(spec.columns)
    keys = list(key_attributes(spec.model))
    if spec.gives_rows:
        for join in spec.joins:
            keys += _joined_key(join.target)
    return keys


def _joined_key(target: Any) -> list[Any]:
    entity = sa.inspect(getattr(target, "entity", target), raiseerr=False)
    mapper = getattr(entity, "mapper", None)
    if mapper is None:
        return list(getattr(target, "primary_key", ()))
    names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    return [getattr(entity.entity, name) for name in names]
