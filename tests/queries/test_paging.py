"""Pages by number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import BaseModel, Page, QueryBuilder, QueryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from andamios import AndamiosEngine
    from harness.fixtures.queries import QueryLog


class PagedOwner(BaseModel):
    name: Mapped[str]
    pets: Mapped[list[PagedPet]] = relationship()


class PagedPet(BaseModel):
    kind: Mapped[str]
    owner_id: Mapped[int] = mapped_column(ForeignKey("paged_owner.id"))


@pytest.fixture
async def owners(engine: AndamiosEngine) -> AndamiosEngine:
    """Seven owners of two names, the first five with two pets each."""
    async with engine.session() as session:
        for number in range(7):
            pets = [PagedPet(kind=f"{kind}{number}") for kind in ("cat", "dog") if number < 5]
            session.add(PagedOwner(name="xy"[number % 2], pets=pets))
            await session.flush()
    return engine


async def all_pages(query: QueryBuilder[Any], size: int) -> list[list[Any]]:
    first = await query.page(1, size)
    later = [await query.page(number, size) for number in range(2, first.pages + 1)]
    assert {first.total} == {page.total for page in (first, *later)}
    return [page.items for page in (first, *later)]


async def test_pages_hold_everything_once(owners: AndamiosEngine) -> None:
    """Ties in the order put nothing on two pages, whatever the size of a page."""
    query = QueryBuilder(PagedOwner, owners)
    for size in (1, 2, 3, 6, 7, 8):
        pages = await all_pages(query.order_by("-name"), size)
        ids = [owner.id for page in pages for owner in page]
        first = ids[-1]
        assert [first + number for number in (5, 3, 1, 6, 4, 2, 0)] == ids
        assert [size] * (len(pages) - 1) == [len(page) for page in pages[:-1]]


async def test_default_order_is_the_key(owners: AndamiosEngine) -> None:
    """Without an order the key is one."""
    pages = await all_pages(QueryBuilder(PagedOwner, owners), 3)
    ids = [owner.id for page in pages for owner in page]

    assert sorted(ids) == ids


async def test_a_page_past_the_end(owners: AndamiosEngine) -> None:
    """It is empty and knows the total."""
    page = await QueryBuilder(PagedOwner, owners).page(9, 3)

    assert Page([], 7, 9, 3) == page
    assert (3, False, True) == (page.pages, page.has_next, page.has_previous)


async def test_the_total_is_no_window(owners: AndamiosEngine, query_log: QueryLog) -> None:
    """A window would be computed for every row of the table, to show a few of them."""
    for query in (
        QueryBuilder(PagedOwner, owners),
        QueryBuilder(PagedOwner, owners).join(PagedOwner.pets),
    ):
        await query.page(1, 3)

    assert [1, 1] == [each.text.count("count(") for each in query_log]
    assert not [each.text for each in query_log if " over " in each.text.casefold()]


async def test_nothing_to_page(owners: AndamiosEngine) -> None:
    """No results make no pages."""
    page = await QueryBuilder(PagedOwner, owners).filter_by(name="z").page(1, 3)

    assert (0, 0, False, False) == (page.total, page.pages, page.has_next, page.has_previous)


async def test_joins_count_parents(owners: AndamiosEngine) -> None:
    """Paging over a join to many counts and gives each parent once."""
    query = QueryBuilder(PagedOwner, owners).join(PagedOwner.pets).order_by(PagedPet.kind.desc())
    pages = await all_pages(query, 2)

    assert [2, 2, 1] == [len(page) for page in pages]
    assert 5 == len({owner.id for page in pages for owner in page})


async def test_rows_are_paged_too(owners: AndamiosEngine) -> None:
    """Rows of columns, distinct ones, and groups."""
    pets = QueryBuilder(PagedOwner, owners).join(PagedOwner.pets).only("name", PagedPet.kind)
    distinct = QueryBuilder(PagedOwner, owners).only("name").distinct()
    groups = QueryBuilder(PagedOwner, owners).group_by("name").aggregate(n=func.count())

    assert 10 == len({tuple(row) for page in await all_pages(pets, 3) for row in page})
    assert [["x"], ["y"]] == [[row.name for row in page] for page in await all_pages(distinct, 1)]
    assert [[("x", 4)], [("y", 3)]] == [list(map(tuple, p)) for p in await all_pages(groups, 1)]


@pytest.mark.parametrize("bad", [0, -1, True, 1.0, "1", None])
async def test_bad_numbers(owners: AndamiosEngine, bad: Any) -> None:
    """Numbers and sizes begin at one."""
    query = QueryBuilder(PagedOwner, owners)
    with pytest.raises(QueryError, match="number"):
        await query.page(bad, 3)
    with pytest.raises(QueryError, match="size"):
        await query.page(1, bad)
    with pytest.raises(QueryError, match="size"):
        await query.page_after(None, bad)


async def test_limits_do_not_mix_with_pages(owners: AndamiosEngine) -> None:
    """A page sets the limit, so that a second one is refused."""
    query = QueryBuilder(PagedOwner, owners).limit(5)
    with pytest.raises(QueryError, match="limit"):
        await query.page(1, 3)
    with pytest.raises(QueryError, match="limit"):
        await query.page_after(None, 3)


async def test_one_round_trip(
    owners: AndamiosEngine, max_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    """The total comes with the page, also of joins, of rows and of groups, and beside loads."""
    query = QueryBuilder(PagedOwner, owners)
    groups = query.group_by(PagedOwner.name).aggregate(number=func.count())
    pages = [
        (query, 3),
        (query.load(PagedOwner.pets), 3),
        (query.join(PagedOwner.pets), 3),
        (query.only(PagedOwner.name), 3),
        (groups, 2),
    ]
    for each, size in pages:
        loads = 1 if each is pages[1][0] else 0
        with max_queries(1 + loads):
            page = await each.page(1, size)
        assert await each.count() == page.total
        assert size == len(page.items)
