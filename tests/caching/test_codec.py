"""Values survive being written as text, as copies of their own."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import result_tuple

from andamios import CacheError, GenericRepository, LazyLoadError, QueryBuilder
from andamios.caching.codec import decode, encode
from tests.caching.domain import CaBook, CaColor, CaEverything, CaRight, CaShelf

if TYPE_CHECKING:
    from andamios import AndamiosEngine
    from andamios.caching import CacheManager

NOW = dt.datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=dt.UTC)

VALUES: list[Any] = [
    *(None, True, 0, -1.5, "é", 10**30, [], {}, (), [1, [2]], {"a": {1: (2, 3)}}),
    *(NOW, NOW.replace(tzinfo=None), NOW.date(), NOW.time(), dt.timedelta(-1, 2, 3)),
    *(Decimal("1.10"), uuid.UUID(int=7), b"\x00\xff", CaColor.RED, {1, 2}, frozenset("a")),
    *({"tuple": 1, "entity": 0}, CaRight.READ, CaRight.READ | CaRight.WRITE),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back(value: Any) -> None:
    """Equal, of the same type, and not the same object where that matters."""
    found = decode(encode(value))
    assert (type(value), value) == (type(found), found)


def test_a_row_comes_back() -> None:
    """A row has its names again."""
    found = decode(encode([result_tuple(["name", "total"])(("a", Decimal(3)))]))
    assert ("a", Decimal(3)) == found[0]
    assert Decimal(3) == found[0].total


def test_other_types_are_refused() -> None:
    """What would come back as something else is not stored."""
    with pytest.raises(CacheError, match="object cannot be cached"):
        encode({"a": object()})
    here = enum.Enum("here", ["ONE"])
    with pytest.raises(CacheError, match="here cannot be cached"):
        encode(here.ONE)  # type: ignore[attr-defined]
    with pytest.raises(CacheError, match="no row yet"):
        encode(CaShelf(name="a"))


@pytest.mark.parametrize("module", ["os", "tests.nowhere"])
def test_nothing_is_imported_or_called(module: str) -> None:
    """A forged class is no class, and is not looked for."""
    with pytest.raises(LookupError):
        decode(f'[{{"enum":["{module}","system","x"]}},[]]')
    with pytest.raises(LookupError):
        decode(f'[{{"entity":0}},[["{module}:system","",{{}},{{}}]]]')


async def test_an_object_comes_back(engine: AndamiosEngine, cache: CacheManager) -> None:
    """Every type of column is as it was, without a query; what was not loaded says so."""
    values: dict[str, Any] = {
        "moment": NOW,
        "day": NOW.date(),
        "amount": Decimal("1.5000"),
        "code": uuid.UUID(int=7),
        "data": b"\x00",
        "color": CaColor.RED,
        "span": dt.timedelta(seconds=1),
        "document": {"a": [1, None]},
        "remark": None,
    }
    everything = GenericRepository[CaEverything](engine)
    stored = await everything.create(CaEverything(**values))
    cached = cache.repository(everything)
    first, second = [await cached.get_one(stored.id) for _ in range(2)]

    assert 1 == cache.stats().hits
    assert stored.to_dict() == first.to_dict() == second.to_dict()
    assert first is not second
    assert sa.inspect(second).detached
    first.document["a"].append(2)
    assert [1, None] == (await cached.get_one(stored.id)).document["a"]


async def test_a_circle_comes_back(engine: AndamiosEngine, cache: CacheManager) -> None:
    """Loaded relationships come back, each object once; others are not loaded."""
    shelf = CaShelf(name="a", books=[CaBook(title="t")])
    await GenericRepository[CaShelf](engine).create(shelf)
    query = QueryBuilder(CaShelf, engine).load(CaShelf.books, CaBook.shelf).cached(60)
    for _ in range(3):
        (found,) = await query.execute()
        assert found.books[0].shelf is found
    assert 1 == cache.stats().hits
    (plain,) = [await QueryBuilder(CaShelf, engine).cached(60).one() for _ in range(2)][1:]
    with pytest.raises(LazyLoadError):
        _ = plain.books
