"""The operations that are measured, with what each is to cost at most."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.speed import checks

if TYPE_CHECKING:
    from benchmarks.speed.checks import Check
    from benchmarks.speed.workload import Workload

__all__ = ["OPERATIONS", "Operation"]

Inputs = Callable[["Workload"], Awaitable[list[tuple[Any, ...]]]]
"""Gives the arguments of each call of one round."""

Targets = Mapping[str, float]
"""The largest ratio to the floor that is good enough, by backend."""


@dataclass(frozen=True)
class Operation:
    """
    One operation.

    Args:
        name: What the command line calls it.
        title: What reports call it.
        method: The method of a system.
        inputs: Gives the arguments of each call of a round.
        check: Finds out whether a system did it.
        targets: The largest good ratio.
        stretch: The ratio on PostgreSQL that was seen to be possible.
        floor: The method of the floor that it is compared with, where it is another one.
        each: What one call does so often that its time is divided by this.
        writes: ``rows`` are new ones that are removed at the end, ``many`` after each round.
    """

    name: str
    title: str
    method: str
    inputs: Inputs
    check: Check
    targets: Targets = field(default_factory=dict)
    stretch: float | None = None
    floor: str = ""
    each: int = 1
    writes: str = ""

    def method_for(self, *, is_floor: bool) -> str:
        """Name the method that a system, or the floor, is measured by."""
        return self.floor or self.method if is_floor else self.method


def _keys(times: int) -> Inputs:
    async def inputs(work: Workload) -> list[tuple[Any, ...]]:
        return [(key,) for key in work.keys(times)]

    return inputs


def _same(*values: Any, times: int = 1) -> Inputs:
    async def inputs(_work: Workload) -> list[tuple[Any, ...]]:
        return [values] * times

    return inputs


async def _emails(work: Workload) -> list[tuple[Any, ...]]:
    return [(f"user{key - 1}@example.org",) for key in work.keys(100)]


async def _filters(work: Workload) -> list[tuple[Any, ...]]:
    return [(work.city(), age % 40, 50) for age in work.keys(30)]


async def _ranges(work: Workload) -> list[tuple[Any, ...]]:
    return [(first, first + work.many - 1) for first in work.starts(40, work.many)]


async def _hundreds(work: Workload) -> list[tuple[Any, ...]]:
    return [(first, 100) for first in work.starts(20, 100)]


async def _families(work: Workload) -> list[tuple[Any, ...]]:
    return [(first, 100) for first in work.starts(10, 100)]


async def _new(work: Workload) -> list[tuple[Any, ...]]:
    return [(values,) for values in work.new_rows(30)]


async def _changes(work: Workload) -> list[tuple[Any, ...]]:
    return [(key, work.number()) for key in work.keys(30)]


async def _condemned(work: Workload) -> list[tuple[Any, ...]]:
    return [(key,) for key in await work.stored(30)]


async def _ten_thousand(work: Workload) -> list[tuple[Any, ...]]:
    return [(work.new_rows(work.most),)]


async def _updates(work: Workload) -> list[tuple[Any, ...]]:
    return [(work.updates(work.many),)]


async def _upserts(work: Workload) -> list[tuple[Any, ...]]:
    return [(work.known_rows(work.many // 2) + work.new_rows(work.many // 2),)]


async def _fifty(work: Workload) -> list[tuple[Any, ...]]:
    return [([work.keys(10) for _ in range(50)],)]


def _postgresql(target: float, **others: float) -> Targets:
    return {"postgresql": target, **others}


OPERATIONS = {
    each.name: each
    for each in (
        Operation(
            "get",
            "get by key, on its own",
            "get",
            _keys(100),
            checks.row,
            _postgresql(1.5, sqlite=2.0, mysql=1.5),
            1.25,
        ),
        Operation(
            "unique",
            "one by unique column",
            "get_by_email",
            _emails,
            checks.row,
            _postgresql(1.5),
            1.25,
        ),
        Operation(
            "session-get",
            "get by key, in an open session",
            "session",
            _keys(100),
            checks.in_session,
            _postgresql(2.0),
            1.3,
            floor="get",
        ),
        Operation(
            "transaction",
            "own transaction around one read",
            "get_in_transaction",
            _keys(50),
            checks.row,
            _postgresql(3.0),
            2.6,
            floor="get",
        ),
        Operation(
            "list-10",
            "list 10 entities",
            "list_rows",
            _same(10, times=50),
            checks.rows,
            _postgresql(1.5),
            1.3,
        ),
        Operation(
            "list-100",
            "list 100",
            "list_rows",
            _same(100, times=20),
            checks.rows,
            _postgresql(1.5),
            1.3,
        ),
        Operation(
            "list-1000",
            "list 1,000",
            "list_rows",
            _same(1000, times=4),
            checks.rows,
            _postgresql(1.6, sqlite=4.0, mysql=2.8),
            1.3,
        ),
        Operation(
            "dicts",
            "1,000 dicts",
            "dicts",
            _same(1000, times=4),
            checks.rows,
            _postgresql(1.15),
            1.0,
        ),
        Operation(
            "filter",
            "filter + order + limit 50",
            "filtered",
            _filters,
            checks.rows,
            _postgresql(1.6),
            1.35,
        ),
        Operation(
            "join",
            "join, 100 rows",
            "joined",
            _hundreds,
            checks.pairs,
            _postgresql(1.4),
            1.2,
        ),
        Operation(
            "children",
            "100 parents + children",
            "with_children",
            _families,
            checks.families,
            _postgresql(2.5),
            1.9,
        ),
        Operation("count", "count", "count", _ranges, checks.equal, _postgresql(1.6), 1.3),
        Operation(
            "insert",
            "insert one, key back",
            "insert",
            _new,
            checks.stored,
            _postgresql(1.5),
            1.25,
            writes="rows",
        ),
        Operation(
            "update",
            "update one",
            "update",
            _changes,
            checks.changed,
            _postgresql(1.5),
            1.2,
            writes="rows",
        ),
        Operation(
            "delete",
            "delete one",
            "delete",
            _condemned,
            checks.gone,
            _postgresql(1.5),
            1.2,
            writes="rows",
        ),
        Operation(
            "change",
            "load, change, save",
            "change",
            _changes,
            checks.changed,
            _postgresql(1.7),
            1.4,
            writes="rows",
        ),
        Operation(
            "bulk",
            "bulk insert 10,000",
            "bulk_insert",
            _ten_thousand,
            checks.all_stored,
            _postgresql(1.3),
            1.1,
            writes="many",
        ),
        Operation(
            "bulk-keys",
            "bulk insert, keys back",
            "bulk_keys",
            _ten_thousand,
            checks.keys_stored,
            _postgresql(1.4),
            1.2,
            floor="bulk_insert",
            writes="many",
        ),
        Operation(
            "bulk-instances",
            "bulk insert, instances built",
            "bulk_instances",
            _ten_thousand,
            checks.instances_stored,
            _postgresql(2.0),
            1.7,
            floor="bulk_insert",
            writes="many",
        ),
        Operation(
            "update-many",
            "update 1,000",
            "update_many",
            _updates,
            checks.all_updated,
            _postgresql(1.3),
            1.1,
            writes="many",
        ),
        Operation(
            "upsert-many",
            "upsert 1,000",
            "upsert_many",
            _upserts,
            checks.all_stored,
            _postgresql(1.3),
            1.1,
            writes="many",
        ),
        Operation(
            "iterate",
            "iterate 100,000",
            "iterate",
            _same(),
            checks.every_row,
            _postgresql(1.7),
            1.35,
        ),
        Operation(
            "concurrent",
            "50 tasks × get, vs the driver's pool",
            "get_concurrently",
            _fifty,
            checks.done,
            _postgresql(0.8),
            0.6,
            each=500,
        ),
    )
}
"""By name, in the order of reports."""
