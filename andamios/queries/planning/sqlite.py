"""
Reading SQLite's EXPLAIN QUERY PLAN.

Its rows have ids and parents. The tables of a join stand side by side, and after them
what is done with their rows; here they become a nested loop, and nodes around it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from andamios.queries.planning.nodes import ACCESSES
from andamios.queries.planning.plan import QueryPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read"]

ACCESS = re.compile(
    r"(?P<how>SCAN|SEARCH) (?P<table>.+?)"
    r"( USING ((?P<key>(INTEGER )?PRIMARY KEY)|(?P<automatic>AUTOMATIC )?"
    r"((PARTIAL )?(?P<covering>COVERING )?)INDEX( (?P<index>[^(]+?))?)"
    r"( \(.*\))?)?( LEFT-JOIN)?"
)

AROUND = {"GROUP BY": "aggregate", "DISTINCT": "unique", "ORDER BY": "sort"}

BEGINNINGS = {
    "CO-ROUTINE": "subquery",
    "COMPOUND": "union",
    "CORRELATED": "subquery",
    "LEFT-MOST": "subquery",
    "LIST": "subquery",
    "MATERIALIZE": "materialize",
    "MERGE": "union",
    "MULTI-INDEX": "bitmap scan",
    "SCALAR": "subquery",
    "UNION": "union",
}


def read(rows: Sequence[Any]) -> QueryPlan:
    """Read the rows ``(id, parent, unused, detail)`` that SQLite answers with."""
    below: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        below[row[1]].append(row)
    return _together(_level(below, 0))


def _level(below: dict[int, list[Any]], parent: int) -> tuple[QueryPlan, ...]:
    nodes = [replace(_node(row[3]), children=_level(below, row[0])) for row in below[parent]]
    around = [node for node in nodes if node.detail.startswith("USE TEMP B-TREE")]
    inside = [node for node in nodes if node not in around]
    for node in around:
        inside = [replace(node, children=(_together(tuple(inside)),))]
    accesses = [node for node in inside if node.node in ACCESSES]
    return (_together(tuple(inside)),) if len(accesses) > 1 else tuple(inside)


def _together(nodes: tuple[QueryPlan, ...]) -> QueryPlan:
    if len(nodes) == 1:
        return nodes[0]
    accesses = [node for node in nodes if node.node in ACCESSES]
    if len(accesses) == 1:
        # What stands beside the only table is a subquery that its rows need.
        beside = tuple(node for node in nodes if node is not accesses[0])
        return replace(accesses[0], children=accesses[0].children + beside)
    return QueryPlan("nested loop" if accesses else "result", children=nodes)


def _node(detail: str) -> QueryPlan:
    if detail.startswith("USE TEMP B-TREE"):
        words = next((words for words in AROUND if detail.endswith(words)), "ORDER BY")
        return QueryPlan(AROUND[words], detail=detail)
    access = ACCESS.fullmatch(detail)
    if access is None or detail == "SCAN CONSTANT ROW":
        first = detail.partition(" ")[0]
        return QueryPlan(BEGINNINGS.get(first, "other"), detail=detail)
    return QueryPlan(_kind(access), access["table"], access["index"], detail=detail)


def _kind(access: re.Match[str]) -> str:
    if access["key"]:
        return "primary key lookup"
    if access["covering"]:
        return "index only scan"
    return "index scan" if access["index"] or access["automatic"] else "sequential scan"
