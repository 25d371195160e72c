"""Reading PostgreSQL's EXPLAIN (FORMAT JSON)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, text

from andamios.queries.planning.plan import QueryPlan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from sqlalchemy.engine import Connection

__all__ = ["read", "with_primary_keys"]

NODES = {
    "Aggregate": "aggregate",
    "Append": "union",
    "Bitmap Heap Scan": "bitmap scan",
    "Bitmap Index Scan": "bitmap index",
    "Group": "aggregate",
    "Hash": "hash",
    "Hash Join": "hash join",
    "Incremental Sort": "sort",
    "Index Only Scan": "index only scan",
    "Index Scan": "index scan",
    "Limit": "limit",
    "Materialize": "materialize",
    "Memoize": "materialize",
    "Merge Append": "union",
    "Merge Join": "merge join",
    "Nested Loop": "nested loop",
    "Result": "result",
    "Seq Scan": "sequential scan",
    "Sort": "sort",
    "Subquery Scan": "subquery",
    "Unique": "unique",
    "WindowAgg": "window",
}

CONDITIONS = (
    *("Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter"),
    *("Sort Key", "Group Key"),
)

PRIMARY_KEYS = text(
    "SELECT c.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
    " WHERE i.indisprimary AND c.relname IN :names"
).bindparams(bindparam("names", expanding=True))


def read(rows: Sequence[Any]) -> QueryPlan:
    """Read the one row that PostgreSQL answers with."""
    answer = rows[0][0]
    return _read(json.loads(answer)[0]["Plan"] if isinstance(answer, str) else answer[0]["Plan"])


def _read(node: dict[str, Any]) -> QueryPlan:
    kind = node["Node Type"]
    return QueryPlan(
        NODES.get(kind, "other"),
        table=node.get("Alias") or node.get("Relation Name"),
        index=node.get("Index Name"),
        estimated_rows=node.get("Plan Rows"),
        actual_rows=node.get("Actual Rows"),
        cost=node.get("Total Cost"),
        detail=_detail(kind, node),
        children=tuple(_read(child) for child in node.get("Plans", ())),
    )


def _detail(kind: str, node: dict[str, Any]) -> str:
    parts = [f"{name}: {node[name]}" for name in CONDITIONS if name in node]
    return "; ".join([kind, *parts])


def with_primary_keys(connection: Connection, plan: QueryPlan) -> QueryPlan:
    """Tell look-ups by primary key from others, which PostgreSQL's plan alone does not."""
    if connection.dialect.name != "postgresql":
        return plan
    names = {each.index for each in plan.find("index scan") if "Index Cond" in each.detail}
    if not names:
        return plan
    keys = set(connection.execute(PRIMARY_KEYS, {"names": sorted(filter(None, names))}).scalars())
    return _renamed(plan, keys) if keys else plan


def _renamed(plan: QueryPlan, keys: AbstractSet[str]) -> QueryPlan:
    is_lookup = plan.node == "index scan" and plan.index in keys and "Index Cond" in plan.detail
    node = "primary key lookup" if is_lookup else plan.node
    return replace(plan, node=node, children=tuple(_renamed(each, keys) for each in plan.children))
