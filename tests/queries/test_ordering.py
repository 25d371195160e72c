"""The order of results: the same on every backend, NULLs included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import case, desc, func, text
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped  # noqa: TC002  SQLAlchemy reads annotations

from andamios import BaseModel, QueryBuilder, QueryError, UnknownFieldError

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class OrderedThing(BaseModel):
    name: Mapped[str]
    rank: Mapped[int | None]

    @hybrid_property
    def reversed_rank(self) -> Any:
        return 0 - self.rank  # type: ignore[operator]


@pytest.fixture
async def things(engine: AndamiosEngine) -> AndamiosEngine:
    """Four things, one of which has no rank."""
    async with engine.session() as session:
        for name, rank in [("b", 2), ("a", None), ("B", 1), ("é", 2)]:
            session.add(OrderedThing(name=name, rank=rank))
            await session.flush()
    return engine


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["name"], "Babé"),
        (["-name"], "ébaB"),
        (["rank", "name"], "Bbéa"),
        (["-rank", "name"], "abéB"),
        ([OrderedThing.rank, OrderedThing.name.desc()], "Béba"),
        ([OrderedThing.rank.desc().nulls_last(), "name"], "béBa"),
        ([OrderedThing.rank.asc().nulls_first(), "name"], "aBbé"),
        ([OrderedThing.rank.nulls_first(), "name"], "aBbé"),
        ([desc(OrderedThing.rank), "-name"], "aébB"),
        ([func.coalesce(OrderedThing.rank, 0), "name"], "aBbé"),
        (["reversed_rank", "name"], "béBa"),
        (["-reversed_rank", "name"], "aBbé"),
        ([text("name desc")], "ébaB"),
        ([func.lower(OrderedThing.name), "rank"], "aBbé"),
    ],
)
async def test_order(things: AndamiosEngine, order: list[Any], expected: str) -> None:
    """NULL is the largest value, unless told otherwise, and text compares by code point."""
    found = await QueryBuilder(OrderedThing, things).order_by(*order).execute()

    assert expected == "".join(thing.name for thing in found)


async def test_orders_add_up(things: AndamiosEngine) -> None:
    """A second order_by breaks the ties of the first."""
    query = QueryBuilder(OrderedThing, things).order_by("-rank").order_by("-name")

    assert "aébB" == "".join(thing.name for thing in await query.execute())


async def test_order_of_groups(things: AndamiosEngine) -> None:
    """Values of groups are ordered like any other."""
    query = QueryBuilder(OrderedThing, things).group_by("rank").aggregate(n=func.count())

    assert [None, 2, 1] == [row.rank for row in await query.order_by("-rank").execute()]
    assert [2, None, 1] == [row.rank for row in await query.order_by("-n", "-rank").execute()]


def test_unknown_order() -> None:
    """A name that is no field is refused, and aggregates are among the suggestions."""
    query = QueryBuilder(OrderedThing).aggregate(total=func.count())

    with pytest.raises(UnknownFieldError, match="'total'"):
        query.order_by("-totl").statement()


@pytest.mark.parametrize("order", ["size", "-size"])
async def test_order_of_labelled_groups(things: AndamiosEngine, order: str) -> None:
    """Groups of an expression are ordered by its label, the one for NULL at its end."""
    size = case((OrderedThing.rank > 1, "large"), (OrderedThing.rank > 0, "small")).label("size")
    query = QueryBuilder(OrderedThing, things).group_by(size).aggregate(n=func.count())
    expected = [("large", 2), ("small", 1), (None, 1)]

    found = [tuple(row) for row in await query.order_by(order).execute()]
    assert (expected if order == "size" else expected[::-1]) == found
    by_expression = await query.order_by(size.desc()).page()
    assert expected[::-1] == [tuple(row) for row in by_expression.items]
    assert expected == [tuple(row) for row in (await query.page()).items]


async def test_text_has_no_place_to_go_on_from(things: AndamiosEngine) -> None:
    """An order that is a text cannot be paged by position."""
    with pytest.raises(QueryError, match="text"):
        await QueryBuilder(OrderedThing, things).order_by(text("name desc")).page_after()
