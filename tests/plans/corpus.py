"""
What is asked both ways, by name: each filter, each query with each of its ends, and repositories.

The words are those of the conformance suite: every operator on every type of column, NULLs and
values at the edge, values of a wrong type, orders, slices, joins, groups, shapes and ends.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from andamios import AndamiosEngine, GenericRepository, QueryBuilder
from harness.conformance.models import (
    ConformanceAuthor,
    ConformanceBook,
    ConformanceDraft,
    ConformanceParcel,
    ConformancePlace,
)
from tests.plans.cases import Ask, Case, Way, is_night
from tests.plans.filtering import filter_cases
from tests.plans.models import (
    PlansFolder,
    PlansNumbered,
    PlansOdd,
    PlansPartial,
    PlansPlain,
    PlansRecord,
    PlansSwitch,
)
from tests.plans.queries import DEEP, EITHER, LONG, QUERIES

__all__ = ["READS", "read_cases"]

AUTHOR, BOOK = ConformanceAuthor, ConformanceBook


def _r(model: type[Any]) -> Callable[[AndamiosEngine], GenericRepository[Any]]:
    return GenericRepository[model]  # type: ignore[valid-type]


ENDS: dict[str, Callable[[QueryBuilder[Any]], Awaitable[Any]]] = {
    "execute": lambda q: q.execute(),
    "first": lambda q: q.first(),
    "one": lambda q: q.one(),
    "one_or_none": lambda q: q.one_or_none(),
    "scalar": lambda q: q.scalar(),
    "count": lambda q: q.count(),
    "exists": lambda q: q.exists(),
    "as_dicts": lambda q: q.as_dicts(),
}

RARE = {"one", "one_or_none", "scalar"}
"""Ends that are much like others, and wait for the night."""

CALLS: dict[str, Ask] = {
    "get_by_id": lambda e: _r(AUTHOR)(e).get_by_id(1),
    "get_by_id of none": lambda e: _r(AUTHOR)(e).get_by_id(99),
    "get_by_id of a wrong key": lambda e: _r(AUTHOR)(e).get_by_id("1"),
    "get_by_id of a large key": lambda e: _r(AUTHOR)(e).get_by_id(2**63 - 1),
    "get_by_id of two parts": lambda e: _r(ConformancePlace)(e).get_by_id(("A", 1)),
    "get_by_id of one part": lambda e: _r(ConformancePlace)(e).get_by_id("A"),
    "get_by_id of a deleted": lambda e: _r(ConformanceDraft)(e).get_by_id(3),
    "get_by_id of a kept": lambda e: _r(ConformanceDraft)(e).get_by_id(1),
    "get_by_id of a uuid": lambda e: _r(ConformanceParcel)(e).get_by_id(uuid.UUID(int=1)),
    "get_by_id of an odd": lambda e: _r(PlansOdd)(e).get_by_id(1),
    "get_by_id of an unreadable": lambda e: _r(PlansOdd)(e).get_by_id(2),
    "get_by_id of a folder": lambda e: _r(PlansFolder)(e).get_by_id(2),
    "get_by_id of a plain": lambda e: _r(PlansPlain)(e).get_by_id(1),
    "get_by_id of a switch": lambda e: _r(PlansSwitch)(e).get_by_id((True, 1)),
    "get_by_id of another switch": lambda e: _r(PlansSwitch)(e).get_by_id((False, 1)),
    "get_many of switches": lambda e: _r(PlansSwitch)(e).get_many([(False, 1), (True, 1)]),
    "get_by_id of a number": lambda e: _r(PlansNumbered)(e).get_by_id(5),
    "get_by_id of a large number": lambda e: _r(PlansNumbered)(e).get_by_id(2**40),
    "get_by_id of a larger number": lambda e: _r(PlansNumbered)(e).get_by_id(10**18),
    "get_many of numbers": lambda e: _r(PlansNumbered)(e).get_many([5, 2**40]),
    "get_by_id of a partial": lambda e: _r(PlansPartial)(e).get_by_id(1),
    "get_by_id of a record": lambda e: _r(PlansRecord)(e).get_by_id(1),
    "get_by_id with books": lambda e: _r(AUTHOR)(e).get_by_id(1, load=AUTHOR.books),
    "get_one": lambda e: _r(AUTHOR)(e).get_one(2),
    "get_one of none": lambda e: _r(AUTHOR)(e).get_one(99),
    "get_many": lambda e: _r(AUTHOR)(e).get_many([3, 1, 99, 1]),
    "get_many of none": lambda e: _r(AUTHOR)(e).get_many([]),
    "get_many of two parts": lambda e: _r(ConformancePlace)(e).get_many(
        [("B", 1), ("A", 0), ("C", 0)]
    ),
    "get_many with books": lambda e: _r(AUTHOR)(e).get_many([1, 2], load=[AUTHOR.books]),
    "find_one": lambda e: _r(AUTHOR)(e).find_one({"name": "Beto"}),
    "find_one of none": lambda e: _r(AUTHOR)(e).find_one({"name": "Nobody"}),
    "find_one of several": lambda e: _r(AUTHOR)(e).find_one({"age": 40}),
    "list": lambda e: _r(AUTHOR)(e).list(),
    "list with all": lambda e: _r(AUTHOR)(e).list({"age__gt": 1}, order_by=["-age", "id"], limit=3),
    "list with books": lambda e: _r(AUTHOR)(e).list(order_by="id", load=AUTHOR.books),
    "list with profiles": lambda e: _r(AUTHOR)(e).list(
        order_by="id", load=[AUTHOR.books, AUTHOR.profile]
    ),
    "list with authors": lambda e: _r(BOOK)(e).list(order_by="id", load=BOOK.author),
    "list with both": lambda e: (
        QueryBuilder(AUTHOR, e).load(AUTHOR.books, BOOK.author).order_by("id").execute()
    ),
    "list joined with books": lambda e: (
        QueryBuilder(AUTHOR, e).load(AUTHOR.books, strategy="joined").order_by("id").execute()
    ),
    "list with remarks": lambda e: _r(ConformanceDraft)(e).list(
        order_by="id", load=ConformanceDraft.remarks
    ),
    "count": lambda e: _r(AUTHOR)(e).count({"age": 40}),
    "exists": lambda e: _r(AUTHOR)(e).exists({"age": 41}),
    "page": lambda e: _page(QueryBuilder(AUTHOR, e).order_by("id").page(2, 2)),
    "page_after": lambda e: _page(QueryBuilder(AUTHOR, e).order_by("id").page_after(None, 2)),
    "for_update": lambda e: QueryBuilder(AUTHOR, e).for_update().execute(),
    "stream": lambda e: _streamed(QueryBuilder(AUTHOR, e).order_by("id")),
}

LONG_CALLS = {"get_by_id of a folder", "page", "page_after", "for_update"}


async def _page(found: Awaitable[Any]) -> Any:
    page = await found
    return page.items, getattr(page, "total", None)


async def _streamed(query: QueryBuilder[Any]) -> list[Any]:
    return [item async for item in query.stream(2)]


def read_cases() -> Iterator[Case]:
    """Give each query with each of its ends, and the reading methods of a repository."""
    for name, query in QUERIES.items():
        for end, work in ENDS.items():
            if end in RARE and not is_night():
                continue
            way: Way = "either" if name in EITHER | LONG else "short"
            if name in LONG - EITHER and end == "execute":
                way = "long"
            yield Case(
                f"{name}: {end}", _ended(query, work), way, name in DEEP and end == "execute"
            )
    for name, ask in CALLS.items():
        way = "long" if name in LONG_CALLS else "either"
        yield Case(name, ask, way, is_deep=True)


def _ended(
    query: Callable[[AndamiosEngine], QueryBuilder[Any]],
    work: Callable[[QueryBuilder[Any]], Awaitable[Any]],
) -> Ask:
    async def ask(engine: AndamiosEngine) -> Any:
        return await work(query(engine))

    return ask


READS = {"filters": filter_cases, "queries": read_cases}
