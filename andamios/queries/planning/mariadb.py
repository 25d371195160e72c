"""
Reading the blocks of MariaDB's EXPLAIN FORMAT=JSON, and of MySQL's first version of it.

MariaDB documents its format under "EXPLAIN FORMAT=JSON" and "ANALYZE FORMAT=JSON"; what
it counted has names that begin with ``r_``. Costs it tells from version 11 on.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from andamios.queries.planning.plan import QueryPlan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["read", "read_block"]

OPERATIONS = {
    "buffer_result": "materialize",
    "duplicates_removal": "unique",
    "filesort": "sort",
    "grouping_operation": "aggregate",
    "materialized": "materialize",
    "materialized_from_subquery": "materialize",
    "ordering_operation": "sort",
    "temporary_table": "materialize",
    "union_result": "union",
    "window_functions_computation": "window",
}

ESCAPE = re.compile(r"\\(.)")
"""In conditions MariaDB writes quotes as SQL does, with a backslash that JSON does not know."""

ACCESS = {
    "ALL": "sequential scan",
    "const": "primary key lookup",
    "eq_ref": "primary key lookup",
    "index_merge": "bitmap scan",
    "system": "primary key lookup",
}


def read(rows: Sequence[Any]) -> QueryPlan:
    """Read the one row that MariaDB answers with."""
    return read_block(json.loads(ESCAPE.sub(_as_json, rows[0][0])))


def read_block(answer: dict[str, Any]) -> QueryPlan:
    """Read a document with one ``query_block``."""
    return _joined(list(_nodes(answer["query_block"])), _cost(answer["query_block"]))


def _as_json(escape: re.Match[str]) -> str:
    return escape[0] if escape[1] in '"\\/bfnrtu' else escape[1]


def _nodes(part: dict[str, Any]) -> Iterator[QueryPlan]:
    """Give what stands in a part of the document, each operation around what it works on."""
    for key, value in part.items():
        if key == "table":
            yield _table(value)
        elif key == "query_block":
            yield _joined(list(_nodes(value)), _cost(value))
        elif key in OPERATIONS:
            yield QueryPlan(
                OPERATIONS[key],
                cost=_cost(value),
                actual_rows=value.get("r_output_rows"),
                detail=key,
                children=tuple(_nodes(value)),
            )
        elif key == "nested_loop":
            yield _joined([node for item in value for node in _nodes(item)], None)
        elif key == "block-nl-join":
            yield _table(value["table"])
        elif isinstance(value, dict):
            yield from _nodes(value)
        elif isinstance(value, list):
            yield from (n for item in value if isinstance(item, dict) for n in _nodes(item))


def _joined(nodes: list[QueryPlan], cost: float | None) -> QueryPlan:
    if len(nodes) == 1:
        return nodes[0] if cost is None or nodes[0].cost is not None else _costing(nodes[0], cost)
    return QueryPlan("nested loop" if nodes else "result", cost=cost, children=tuple(nodes))


def _costing(plan: QueryPlan, cost: float) -> QueryPlan:
    return QueryPlan("result", cost=cost, detail="query_block", children=(plan,))


def _table(table: dict[str, Any]) -> QueryPlan:
    rows = table.get("rows", table.get("rows_examined_per_scan"))
    words = [table.get("access_type"), table.get("message")]
    plan = QueryPlan(
        _access(table),
        table=table.get("table_name"),
        index=table.get("key"),
        estimated_rows=rows,
        actual_rows=table.get("r_rows"),
        cost=_cost(table),
        detail="; ".join(word for word in words if word),
        children=tuple(_nodes({k: v for k, v in table.items() if isinstance(v, dict)})),
    )
    return _filtered(plan, table) if table.get("attached_condition") else plan


def _filtered(plan: QueryPlan, table: dict[str, Any]) -> QueryPlan:
    """Put the condition on the rows that were read into a node of its own, as MySQL does."""
    return QueryPlan(
        "filter",
        estimated_rows=_part(plan.estimated_rows, table.get("filtered")),
        actual_rows=_part(plan.actual_rows, table.get("r_filtered")),
        cost=plan.cost,
        detail=table["attached_condition"],
        children=(plan,),
    )


def _part(rows: float | None, percent: float | str | None) -> float | None:
    return None if rows is None or percent is None else rows * float(percent) / 100


def _access(table: dict[str, Any]) -> str:
    access, key = table.get("access_type"), table.get("key")
    if access is None:
        return "result"
    if key is not None and key != "PRIMARY":
        return "index only scan" if table.get("using_index") else "index scan"
    if key == "PRIMARY":
        return "sequential scan" if access == "index" else "primary key lookup"
    return ACCESS.get(access, "other")


def _cost(part: dict[str, Any]) -> float | None:
    told = part.get("cost_info", {})
    cost = part.get("cost", told.get("query_cost", told.get("prefix_cost")))
    return None if cost is None else float(cost)
