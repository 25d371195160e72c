"""Reading MySQL's EXPLAIN FORMAT=JSON: version 2, a tree, and version 1, blocks like MariaDB's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from andamios.queries.planning import mariadb
from andamios.queries.planning.plan import QueryPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read"]

NODES = {
    "aggregate": "aggregate",
    "filter": "filter",
    "limit": "limit",
    "materialize": "materialize",
    "remove_duplicates": "unique",
    "remove_duplicates_on_index": "unique",
    # One row by its primary or a unique key, which it does not name.
    "rows_fetched_before_execution": "primary key lookup",
    "sort": "sort",
    "stream": "materialize",
    "table": "sequential scan",
    "temp_table_aggregate": "aggregate",
    "union_all": "union",
    "append": "union",
    "window": "window",
}


def read(rows: Sequence[Any]) -> QueryPlan:
    """Read the one row that MySQL answers with."""
    answer = json.loads(rows[0][0])
    return _read(answer["query_plan"]) if "query_plan" in answer else mariadb.read_block(answer)


def _read(node: dict[str, Any]) -> QueryPlan:
    return QueryPlan(
        _kind(node),
        table=node.get("alias") or node.get("table_name"),
        index=node.get("index_name"),
        estimated_rows=node.get("estimated_rows"),
        actual_rows=node.get("actual_rows"),
        cost=node.get("estimated_total_cost"),
        detail=node.get("operation", ""),
        children=tuple(_read(child) for child in _below(node)),
    )


def _below(node: dict[str, Any]) -> list[dict[str, Any]]:
    # Subqueries in conditions and in the list of columns have places of their own.
    return [child for key, part in node.items() if key.startswith("inputs") for child in part]


def _kind(node: dict[str, Any]) -> str:
    access = node.get("access_type", "")
    if access == "join":
        return "hash join" if node.get("join_algorithm") == "hash" else "nested loop"
    if str(node.get("table_name", "")).startswith("<"):
        return "materialize"  # a temporary table, read back
    if access != "index":
        return NODES.get(access, "other")
    if node.get("index_name") == "PRIMARY":
        # The table is its primary key: reading all of that is reading all of the table.
        is_whole = node.get("index_access_type") == "index_scan"
        return "sequential scan" if is_whole else "primary key lookup"
    return "index only scan" if node.get("covering") else "index scan"
