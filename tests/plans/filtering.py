"""Filters on each type: every operator, with values that are there, are not, and are wrong."""

import decimal
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from andamios import AndamiosEngine, FilterBuilder, QueryBuilder
from andamios.queries.operators import OPERATORS, SYNONYMS
from harness.conformance.models import ConformanceValue
from tests.plans.cases import Case
from tests.plans.values import VALUES, WRONG

__all__ = ["filter_cases"]

SIZES = (5, 5_000_000_000, 10**20, decimal.Decimal("1.5"), 1.5, -1)
"""Small ones before large ones: the plan of the first is used for the others."""


def filter_cases() -> Iterator[Case]:
    """Give each operator on each column, with values that are there, are not, and are wrong."""
    for column, values in VALUES.items():
        for operator in (*OPERATORS, *SYNONYMS, ""):
            for number, value in enumerate(_operands(operator, values)):
                name = f"{column}__{operator}" if operator else column
                yield _filtered(f"{name} #{number}", {name: value})
    for column, value in itertools.product(VALUES, WRONG):
        yield _filtered(f"{column} against {value!r:.20}", {column: value})
        yield _filtered(f"{column} in {value!r:.20}", {f"{column}__in": [value]})
    for column, values in VALUES.items():
        attribute = getattr(ConformanceValue, column)
        yield _filtered(f"{column} beside a list", {"whole__in": [0, -1, 1], column: values[0]})
        yield _filtered(f"{column} ==", attribute == values[0])
        yield _filtered(f"{column} == again", attribute == values[-1])
        yield _filtered(f"{column} is null", attribute.is_(None))
        yield _filtered(f"{column} in_", attribute.in_(values[:2]))
        yield _filtered(f"{column} negated", ~(attribute == values[0]))
        yield _filtered(
            f"{column} built",
            FilterBuilder(ConformanceValue).or_({column: values[0]}, {column: None}),
        )
        if column not in {"document", "items", "flag"}:
            yield _filtered(f"{column} between", attribute.between(values[0], values[-1]))
    yield from _sized()


def _sized() -> Iterator[Case]:
    """Give whole numbers of each size, for columns that are no integers."""
    for column, size in itertools.product(("ratio", "amount", "exact"), SIZES):
        for name, value in {
            **dict.fromkeys(("", "__gt", "__lte"), size),
            "__between": (1, size),
            "__in": [1, size],
        }.items():
            case = _filtered(f"{column}{name} of {size}", {column + name: value})
            yield replace(case, way="either")


def _operands(operator: str, values: list[Any]) -> list[Any]:
    operator = SYNONYMS.get(operator, operator)
    if operator in {"in", "not_in"}:
        return [[], values[:1], values, [values[0], None], [None]]
    if operator == "between":
        return [(values[0], values[-1]), (values[-1], values[0]), (values[0], None)]
    if operator == "is_null":
        return [True, False]
    if operator == "eq" or not operator:
        return [*values, None]
    return [values[0], values[-1], None]


def _filtered(name: str, condition: Any) -> Case:
    async def ask(engine: AndamiosEngine) -> Any:
        return (
            await QueryBuilder(ConformanceValue, engine)
            .filter(condition)
            .only("id")
            .order_by("id")
            .execute()
        )

    return Case(name, ask)
