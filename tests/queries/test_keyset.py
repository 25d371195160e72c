"""Pages by position, compared with sorting in Python."""

from __future__ import annotations

import datetime as dt
import functools
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import BaseModel, QueryBuilder, QueryError

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class KeysetShelf(BaseModel):
    name: Mapped[str]
    items: Mapped[list[KeysetItem]] = relationship(back_populates="shelf")


class KeysetItem(BaseModel):
    text: Mapped[str | None]
    number: Mapped[int | None]
    ratio: Mapped[float | None]
    price: Mapped[Decimal | None]
    moment: Mapped[dt.datetime | None]
    is_good: Mapped[bool]
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("keyset_shelf.id"))
    shelf: Mapped[KeysetShelf | None] = relationship(back_populates="items")


EPOCH = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
CHOICES: dict[str, list[Any]] = {
    "text": [None, "", "a", "B", "b", "é", "100%"],
    "number": [None, -1, 0, 1, 2**40],
    "ratio": [None, -0.5, 0.1, 1e300],
    "price": [None, Decimal("-1.5"), Decimal(0), Decimal("0.1")],
    "moment": [None, EPOCH, EPOCH + dt.timedelta(microseconds=1)],
    "is_good": [True, False],
}


async def fill(engine: AndamiosEngine, count: int, seed: int) -> list[KeysetItem]:
    dice = random.Random(seed)
    items = [
        KeysetItem(id=number, **{name: dice.choice(values) for name, values in CHOICES.items()})
        for number in range(1, count + 1)
    ]
    async with engine.session() as session:
        session.add_all(items)
    return items


Order = list[tuple[str, bool, bool | None]]
"""Field, descending, NULLs first (None: as they fall)."""


def expected_order(items: list[KeysetItem], order: Order) -> list[int]:
    last_descending = order[-1][1] if order else False

    def compare(left: KeysetItem, right: KeysetItem) -> int:
        for name, descending, nulls_first in [*order, ("id", last_descending, None)]:
            a, b = getattr(left, name), getattr(right, name)
            if a == b:
                continue
            if a is None or b is None:
                first = descending if nulls_first is None else nulls_first
                return -1 if (a is None) is first else 1
            return -1 if (a < b) is not descending else 1
        return 0

    return [item.id for item in sorted(items, key=functools.cmp_to_key(compare))]


def expressions(order: Order) -> list[Any]:
    found = []
    for name, descending, nulls_first in order:
        column = getattr(KeysetItem, name)
        column = column.desc() if descending else column.asc()
        if nulls_first is not None:
            column = column.nulls_first() if nulls_first else column.nulls_last()
        found.append(column)
    return found


async def walk(query: QueryBuilder[Any], size: int) -> list[Any]:
    """Read all pages to the end, then all the way back, and compare."""
    forth = [await query.page_after(None, size)]
    assert forth[0].previous is None
    while forth[-1].next is not None:
        forth.append(await query.page_after(forth[-1].next, size))
    back = [forth[-1]]
    while back[-1].previous is not None:
        back.append(await query.page_after(back[-1].previous, size))
    items = [item for page in forth for item in page.items]
    before_last = [item.id for item in items[: len(items) - len(forth[-1].items)]]
    assert before_last == [item.id for page in reversed(back[1:]) for item in page.items]
    return items


def random_order(dice: random.Random) -> Order:
    fields = dice.sample(list(CHOICES), dice.randint(0, 3))
    return [(name, dice.random() < 0.5, dice.choice([None, None, True, False])) for name in fields]


@pytest.mark.parametrize("seed", range(12))
async def test_pages_are_what_python_sorts(engine: AndamiosEngine, seed: int) -> None:
    """Random data with NULLs and ties, random orders: every page, both ways, as Python sorts."""
    dice = random.Random(seed)
    items = await fill(engine, dice.choice([1, 7, 30]), seed)
    for _ in range(3):
        order = random_order(dice)
        query = QueryBuilder(KeysetItem, engine).order_by(*expressions(order))
        found = await walk(query.only("id"), dice.choice([1, 2, 5, 40]))
        assert expected_order(items, order) == [row.id for row in found], order


async def test_ties_keep_nobody_out(engine: AndamiosEngine) -> None:
    """Rows that are equal in every key that was asked for are told apart by the key."""
    async with engine.session() as session:
        session.add_all(KeysetItem(number=0, is_good=True) for _ in range(9))
    query = QueryBuilder(KeysetItem, engine).order_by("number", "is_good")

    assert 9 == len({item.id for item in await walk(query, 2)})


async def test_nothing(engine: AndamiosEngine) -> None:
    """An empty result is one page without neighbours."""
    page = await QueryBuilder(KeysetItem, engine).page_after(None, 3)

    assert ([], None, None) == (page.items, page.next, page.previous)


async def test_rows_that_come_and_go(engine: AndamiosEngine) -> None:
    """Rows that come or go between two pages shift nothing."""
    await fill(engine, 6, seed=1)
    query = QueryBuilder(KeysetItem, engine)
    first = await query.page_after(None, 3)
    async with engine.session() as session:
        session.add(KeysetItem(id=-5, is_good=True))
        for gone in (1, 3):
            await session.delete(await session.get_one(KeysetItem, gone))
    second = await query.page_after(first.next, 3)
    back = await query.page_after(second.previous, 9)

    assert [4, 5, 6] == [item.id for item in second.items]
    assert [-5, 2] == [item.id for item in back.items]
    assert back.previous is None


async def test_a_side_that_is_gone(engine: AndamiosEngine) -> None:
    """When everything on one side is deleted, the empty page leads back."""
    await fill(engine, 4, seed=1)
    query = QueryBuilder(KeysetItem, engine)
    second = await query.page_after((await query.page_after(None, 2)).next, 1)
    await query.filter(KeysetItem.id < 3).delete()
    before = await query.page_after(second.previous, 2)
    again = await query.page_after(before.next, 2)
    await query.filter(KeysetItem.id > 3).delete()
    behind = await query.page_after(second.next, 2)

    assert ([], None) == (before.items, before.previous)
    assert [3, 4] == [item.id for item in again.items]
    assert ([], None) == (behind.items, behind.next)
    assert [3] == [item.id for item in (await query.page_after(behind.previous, 2)).items]


async def test_expressions_and_other_tables(engine: AndamiosEngine) -> None:
    """An expression, or a column of a joined object, can be the order."""
    items = await fill(engine, 12, seed=3)
    async with engine.session() as session:
        session.add_all([KeysetShelf(id=1, name="one"), KeysetShelf(id=2, name="two")])
        await session.flush()
        for item in items[:8]:
            row = await session.get_one(KeysetItem, item.id)
            row.shelf_id = 1 + item.id % 2
    query = QueryBuilder(KeysetItem, engine)
    by_rest = [item.id for item in await walk(query.order_by(KeysetItem.id % 5, "-id"), 2)]
    by_shelf = [
        item.id
        for item in await walk(
            query.outerjoin(KeysetItem.shelf).order_by(KeysetShelf.name.desc(), "id"), 3
        )
    ]

    assert sorted(range(1, 13), key=lambda number: (number % 5, -number)) == by_rest
    assert [9, 10, 11, 12, 1, 3, 5, 7, 2, 4, 6, 8] == by_shelf


async def test_joins_to_many(engine: AndamiosEngine) -> None:
    """Over a join to many, each parent is on one page."""
    async with engine.session() as session:
        for number in range(5):
            items = [KeysetItem(number=n, is_good=True) for n in range(number)]
            session.add(KeysetShelf(name=f"shelf {number}", items=items))
    query = QueryBuilder(KeysetShelf, engine).join(KeysetShelf.items)
    found = await walk(query.order_by(KeysetItem.number.desc(), KeysetShelf.name.desc()), 2)
    loaded = await query.load(KeysetShelf.items).order_by("name").page_after(None, 3)

    assert ["shelf 4", "shelf 3", "shelf 2", "shelf 1"] == [shelf.name for shelf in found]
    assert [1, 2, 3] == [len(shelf.items) for shelf in loaded.items]


async def test_positions_come_from_the_database(engine: AndamiosEngine) -> None:
    """A cursor follows the row that was read, not an object that the session changed."""
    await fill(engine, 4, seed=2)
    async with engine.session() as session:
        items = await QueryBuilder(KeysetItem, session).order_by("id").execute()
        with session.no_autoflush:
            items[0].number = 99
            query = QueryBuilder(KeysetItem, session).order_by("id")
            page = await query.page_after((await query.page_after(None, 1)).next, 1)
        assert [2] == [item.id for item in page.items]


async def test_cursors_of_others(engine: AndamiosEngine) -> None:
    """A cursor of another order, or none at all, is refused; one of other filters is fine."""
    await fill(engine, 5, seed=1)
    query = QueryBuilder(KeysetItem, engine)
    cursor = (await query.order_by("number").page_after(None, 2)).next
    assert cursor is not None

    for other in (query, query.order_by("-number"), query.order_by("ratio")):
        with pytest.raises(QueryError, match="cursor"):
            await other.page_after(cursor, 2)
    with pytest.raises(QueryError, match="cursor"):
        await query.order_by("number").page_after("", 2)
    await query.order_by("number").filter_by(is_good=True).page_after(cursor, 2)


async def test_what_has_no_key(engine: AndamiosEngine) -> None:
    """Groups and distinct rows are refused, with the word that does it."""
    query = QueryBuilder(KeysetItem, engine)
    for keyless in (
        query.group_by("number").aggregate(n=func.count()),
        query.only("number").distinct(),
    ):
        with pytest.raises(QueryError, match="page\\(number, size\\)"):
            await keyless.page_after(None, 2)
