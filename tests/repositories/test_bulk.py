"""Many rows at once: creating, updating, and what stays of a failure."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey, event, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import (
    BaseModel,
    DataError,
    DuplicateError,
    GenericRepository,
    NotFoundError,
    QueryError,
    StaleVersionError,
    TimestampedModel,
    UnknownFieldError,
    UnscopedWriteError,
    VersioningMixin,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from andamios import AndamiosEngine


class BulkItem(VersioningMixin, TimestampedModel):
    name: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int | None] = mapped_column(default=3)
    parts: Mapped[list[BulkPart]] = relationship()


class BulkPart(BaseModel):
    name: Mapped[str]
    item_id: Mapped[int] = mapped_column(ForeignKey("bulk_item.id"))


def items(bind: Any) -> GenericRepository[BulkItem]:
    return GenericRepository[BulkItem](bind)


def rows(count: int, start: int = 0) -> Iterator[dict[str, Any]]:
    return ({"name": f"n{number:05}", "size": number} for number in range(start, start + count))


async def later(count: int) -> AsyncIterator[dict[str, Any]]:
    for row in rows(count):
        yield row


async def names(engine: AndamiosEngine) -> list[str]:
    return [item.name for item in await items(engine).query().order_by("id").execute()]


async def test_dicts(engine: AndamiosEngine) -> None:
    """Dicts become rows, with defaults, times and versions, and None is NULL."""
    count = await items(engine).create_many([{"name": "a"}, {"name": "b", "size": None}])
    found = await items(engine).query().order_by("name").execute()

    assert 2 == count
    assert [("a", 3, 1), ("b", None, 1)] == [(i.name, i.size, i.version) for i in found]
    assert all(item.created_at is not None for item in found)


async def test_batches(engine: AndamiosEngine) -> None:
    """Batches of any size store everything, and progress is told after each."""
    seen: list[int] = []

    assert 25 == await items(engine).create_many(rows(25), batch=10, progress=seen.append)
    assert [10, 20, 25] == seen
    assert 25 == len(set(await names(engine)))


async def test_expressions(engine: AndamiosEngine) -> None:
    """SQL is a value like any other."""
    three = func.length("abc")
    await items(engine).create_many(
        [{"name": "a", "size": three}, {"name": "b", "size": three + 1}]
    )
    found = await items(engine).query().order_by("name").execute()

    assert [3, 4] == [item.size for item in found]


async def test_fields_may_differ(engine: AndamiosEngine) -> None:
    """Rows with different fields take a statement for each kind, not one for each row."""
    inserts = []

    def note(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if sql.startswith("INSERT"):
            inserts.append(sql)

    event.listen(engine.async_engine.sync_engine, "before_cursor_execute", note)
    mixed = [{"name": f"n{n}", "size": n} if n % 2 else {"name": f"n{n}"} for n in range(10)]
    await items(engine).create_many(mixed)
    found = await items(engine).query().order_by("name").execute()

    assert 2 == len(inserts)
    assert [3, 1, 3, 3, 3, 5, 3, 7, 3, 9] == [item.size for item in found]


async def test_sources(engine: AndamiosEngine) -> None:
    """Lists, generators, asynchronous generators, objects, and dicts between objects."""
    repository = items(engine)

    assert 0 == await repository.create_many([])
    assert 12 == await repository.create_many(later(12), batch=5)
    assert 2 == await repository.create_many(BulkItem(name=name) for name in ("x", "y"))
    mixed = [BulkItem(name="p"), {"name": "q"}, BulkItem(name="r", parts=[BulkPart(name="s")])]
    assert 3 == await repository.create_many(mixed)
    assert 17 == await repository.count()
    assert 1 == await GenericRepository[BulkPart](engine).count()


@pytest.mark.parametrize("source", ["dicts", "objects"])
async def test_returning(engine: AndamiosEngine, source: str) -> None:
    """Keys or objects come back in the order of the rows."""

    def make(start: int) -> Any:
        found = list(rows(7, start))
        return found if source == "dicts" else [BulkItem(**row) for row in found]

    keys = await items(engine).create_many(make(0), returning="keys", batch=3)
    created = await items(engine).create_many(make(10), returning="entities", batch=3)

    by_key = await items(engine).get_many(keys)
    assert [f"n{number:05}" for number in range(7)] == [item.name for item in by_key]
    assert [f"n{number:05}" for number in range(10, 17)] == [item.name for item in created]
    assert {1} == {item.version for item in created}
    assert len(created) == len({item.id for item in created})


async def test_all_or_none(engine: AndamiosEngine) -> None:
    """A row that is refused takes the others of the call along, and the session goes on."""
    with pytest.raises(DuplicateError):
        await items(engine).create_many([*rows(25), {"name": "n00003"}], batch=10)
    assert [] == await names(engine)

    async with engine.session() as session:
        await items(session).create_many([{"name": "before"}])
        with pytest.raises(DuplicateError):
            await items(session).create_many([*rows(25), {"name": "before"}], batch=10)
        await items(session).create_many([{"name": "after"}])
    assert ["before", "after"] == await names(engine)


async def test_a_source_that_fails(engine: AndamiosEngine) -> None:
    """An exception of the iterable comes out as it is, and nothing is stored."""

    def broken() -> Iterator[dict[str, Any]]:
        yield from rows(15)
        raise RuntimeError("the file is cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        await items(engine).create_many(broken(), batch=10)
    assert 0 == await items(engine).count()


class CountedRow(dict[str, Any]):
    """A row that knows how many of its kind are alive."""

    alive = most = 0

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__(row)
        CountedRow.alive += 1
        CountedRow.most = max(CountedRow.most, CountedRow.alive)

    def __del__(self) -> None:
        CountedRow.alive -= 1


async def test_rows_are_let_go(engine: AndamiosEngine) -> None:
    """No more than a batch of rows, and of objects made of rows, is held at a time."""
    assert 1000 == await items(engine).create_many(map(CountedRow, rows(1000)), batch=50)
    assert 100 >= CountedRow.most

    alive: weakref.WeakSet[BulkItem] = weakref.WeakSet()
    counts = []

    def make(row: dict[str, Any]) -> BulkItem:
        item = BulkItem(**row)
        alive.add(item)
        counts.append(len(alive))
        return item

    await items(engine).create_many(map(make, rows(1000, start=1000)), batch=50)
    assert 1000 == len(counts)
    assert 150 >= max(counts)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ([{"nmae": "a"}], UnknownFieldError),
        ([{"name": "a", "parts": []}], UnknownFieldError),
        ([BulkPart(name="a")], DataError),
        (["a"], DataError),
        ({"name": "a"}, DataError),
        ("ab", DataError),
        (5, DataError),
        (None, DataError),
    ],
)
async def test_bad_rows(engine: AndamiosEngine, bad: Any, error: type[Exception]) -> None:
    """Unknown fields and what is no row are refused before any SQL."""
    for returning in (None, "keys"):
        with pytest.raises(error):
            await items(engine).create_many(bad, returning=returning)
    with pytest.raises(error):
        await items(engine).update_many(bad)


@pytest.mark.parametrize("batch", [0, -1, 1.5, True])
async def test_bad_batches(engine: AndamiosEngine, batch: Any) -> None:
    """A batch has at least one row."""
    with pytest.raises(QueryError, match="batch"):
        await items(engine).create_many(rows(1), batch=batch)
    with pytest.raises(QueryError, match="batch"):
        await items(engine).update_many([], batch=batch)


async def test_unknown_returning(engine: AndamiosEngine) -> None:
    """Only keys and entities can come back."""
    with pytest.raises(QueryError, match="entities"):
        await items(engine).create_many(rows(1), returning="ids")  # type: ignore[call-overload]


async def test_update_many(engine: AndamiosEngine) -> None:
    """Different values are set by key, from dicts and objects, and versions count."""
    created = await items(engine).create_many(rows(5), returning="entities")
    before = [item.updated_at for item in created]
    created[4].size = 44
    changed: list[Any] = [{"id": created[n].id, "size": n * 10} for n in range(3)]
    count = await items(engine).update_many([*changed, created[4]], batch=2)
    found = await items(engine).query().order_by("name").execute()

    assert 4 == count
    assert [0, 10, 20, 3, 44] == [item.size for item in found]
    assert [1, 2, 2, 1, 2] == [item.version for item in found]
    assert [1, 2, 4] == [n for n in range(5) if found[n].updated_at > before[n]]


async def test_update_many_compares_versions(engine: AndamiosEngine) -> None:
    """A stale version among the rows stops all of them."""
    first, second = await items(engine).create_many(rows(2), returning="entities")
    await items(engine).update_where({"id": second.id}, {"size": 9})
    second.size = 7
    for stale in (second, {"id": second.id, "size": 7, "version": 1}):
        with pytest.raises(StaleVersionError) as caught:
            await items(engine).update_many([{"id": first.id, "size": 7}, stale])
        assert (1, 2) == (caught.value.expected, caught.value.actual)
    fresh = {"id": second.id, "size": 8, "version": 2}

    assert 1 == await items(engine).update_many([fresh])
    assert [0, 8] == [item.size for item in await items(engine).get_many([first.id, second.id])]


async def test_update_many_misses(engine: AndamiosEngine) -> None:
    """A missing row stops all of them, and a row without its key is refused."""
    (first,) = await items(engine).create_many(rows(1), returning="entities")
    with pytest.raises(NotFoundError):
        await items(engine).update_many([{"id": first.id, "size": 7}, {"id": -1, "size": 7}])
    with pytest.raises(QueryError, match="id"):
        await items(engine).update_many([{"size": 7}])

    assert 0 == (await items(engine).get_one(first.id)).size


async def test_update_many_inside_a_session(engine: AndamiosEngine) -> None:
    """Objects that the session has are changed in place; a refusal leaves them readable."""
    async with engine.session() as session:
        repository = items(session)
        held = await repository.create_many(rows(3), returning="entities")
        await repository.update_many([{"id": held[0].id, "size": 70}])
        held[1].size = 71
        held[2].name = held[0].name
        with pytest.raises(DuplicateError):
            await repository.update_many([held[1], held[2]])
        assert [70, 1, 2] == [item.size for item in held]
        assert 3 == len({item.name for item in held})
        held[1].size = 72
        await repository.update_many([held[1]])

    assert [70, 72, 2] == [i.size for i in await items(engine).query().order_by("name").execute()]


async def test_where(engine: AndamiosEngine) -> None:
    """Set-based writes count what they find and refuse to touch everything unasked."""
    repository = items(engine)
    await repository.create_many(rows(5))

    assert 2 == await repository.update_where({"size__lt": 2}, {"size": BulkItem.size + 100})
    assert 2 == await repository.delete_where(BulkItem.size >= 100)
    for empty in ({}, None, []):
        with pytest.raises(UnscopedWriteError):
            await repository.update_where(empty, {"size": 1})
        with pytest.raises(UnscopedWriteError):
            await repository.delete_where(empty)
    assert 3 == await repository.update_where({}, {"size": 1}, unscoped=True)
    assert 3 == await repository.delete_where(None, unscoped=True)
    assert 0 == await repository.count()
