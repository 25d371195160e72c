"""Several callers at once, and transactions that the database ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.orm import Mapped, mapped_column

from andamios import (
    BaseModel,
    DeadlockError,
    DuplicateError,
    GenericRepository,
    NotFoundError,
    StaleVersionError,
    VersioningMixin,
)

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class SharedSeat(BaseModel):
    name: Mapped[str] = mapped_column(unique=True)
    count: Mapped[int] = mapped_column(default=0)


class SharedDoc(VersioningMixin, BaseModel):
    text: Mapped[str]
    count: Mapped[int] = mapped_column(default=0)


def seats(bind: Any) -> GenericRepository[SharedSeat]:
    return GenericRepository[SharedSeat](bind)


async def outcomes(*calls: Any) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_one_of_many_creates(engine: AndamiosEngine) -> None:
    """Of many callers that create the same unique value one wins; the others are told so."""
    results = await outcomes(*(seats(engine).create(SharedSeat(name="x")) for _ in range(8)))

    assert 1 == sum(isinstance(result, SharedSeat) for result in results)
    assert 7 == sum(isinstance(result, DuplicateError) for result in results)
    assert 1 == await seats(engine).count()


async def test_one_of_many_deletes(engine: AndamiosEngine) -> None:
    """Of many callers that delete the same row, one did."""
    seat = await seats(engine).create(SharedSeat(name="x"))
    results = await outcomes(*(seats(engine).delete(seat.id) for _ in range(8)))

    assert [False] * 7 + [True] == sorted(results)


async def test_a_delete_waits_for_another(engine: AndamiosEngine) -> None:
    """Who deletes what somebody else is deleting waits, and deleted nothing."""
    seat = await seats(engine).create(SharedSeat(name="x"))
    async with engine.session() as session:
        assert await seats(session).delete(seat.id)
        second = asyncio.create_task(seats(engine).delete(seat.id))
        await asyncio.sleep(0.1)
        assert not second.done()

    assert not await second


async def test_nobody_overwrites_anybody(engine: AndamiosEngine) -> None:
    """Optimistic locking: as many updates are counted as were accepted."""
    docs = GenericRepository[SharedDoc](engine)
    created = await docs.create(SharedDoc(text="x"))

    async def add_one() -> None:
        doc = await docs.get_one(created.id)
        doc.count += 1
        await docs.update(doc)

    results = await outcomes(*(add_one() for _ in range(8)))
    accepted = sum(result is None for result in results)

    assert accepted >= 1
    assert 8 - accepted == sum(isinstance(result, StaleVersionError) for result in results)
    found = await docs.get_one(created.id)
    assert (accepted, accepted + 1) == (found.count, found.version)


async def test_set_based_updates_add_up(engine: AndamiosEngine) -> None:
    """An update that counts in SQL loses nothing."""
    await seats(engine).create(SharedSeat(name="x"))
    adding = (
        seats(engine).update_where({"name": "x"}, {"count": SharedSeat.count + 1}) for _ in range(8)
    )

    assert [1] * 8 == await outcomes(*adding)
    assert 8 == (await seats(engine).find_one({"name": "x"}) or SharedSeat()).count


async def test_a_deadlock_is_named(engine: AndamiosEngine) -> None:
    """The loser of a deadlock learns of it, though it took the savepoint along."""
    if engine.backend == "sqlite":
        return  # one writer at a time
    a, b = [await seats(engine).create(SharedSeat(name=name)) for name in "ab"]
    both_hold = asyncio.Barrier(2)

    async def cross(first: int, second: int, by: str) -> None:
        async with engine.session() as session:
            repository = seats(session)
            await repository.update_where({"id": first}, {"count": SharedSeat.count + 1})
            await both_hold.wait()
            if by == "statement":
                await repository.update_where({"id": second}, {"count": SharedSeat.count + 1})
            else:
                seat = await repository.get_one(second)
                seat.count += 1
                await repository.update(seat)

    for by in ("statement", "object"):
        results = await outcomes(cross(a.id, b.id, by), cross(b.id, a.id, by))
        kinds = {type(result) for result in results}
        assert {type(None), DeadlockError} == kinds, (by, results)
    assert [2, 2] == [seat.count for seat in await seats(engine).list()]
    assert 0 == engine.connections.stats().in_use


async def test_nothing_goes_on_after_a_lost_transaction(engine: AndamiosEngine) -> None:
    """Who swallows a deadlock commits everything or nothing, never the second half alone."""
    if engine.backend == "sqlite":
        return  # one writer at a time
    a, b = [await seats(engine).create(SharedSeat(name=name)) for name in "ab"]
    both_hold = asyncio.Barrier(2)

    async def stubborn(first: int, second: int) -> None:
        async with engine.session() as session:
            repository = seats(session)
            await repository.update_where({"id": first}, {"count": SharedSeat.count + 1})
            await both_hold.wait()
            try:
                await repository.update_where({"id": second}, {"count": SharedSeat.count + 1})
            except DeadlockError:
                await repository.create(SharedSeat(name="written after a deadlock"))

    await outcomes(stubborn(a.id, b.id), stubborn(b.id, a.id))
    counts = [seat.count for seat in await seats(engine).list()]

    assert sorted(counts) in ([1, 1], [0, 1, 2])


async def test_cancelled_writes(engine: AndamiosEngine) -> None:
    """A write that is cancelled is done or not done, and its connection comes back."""
    names = []
    for number, delay in enumerate((0, 0.0005, 0.001, 0.002, 0.004)):
        names.append(f"n{number}")
        task = asyncio.create_task(seats(engine).create(SharedSeat(name=names[-1])))
        await asyncio.sleep(delay)
        task.cancel()
        await outcomes(task)

    assert 0 == engine.connections.stats().in_use
    assert {seat.name for seat in await seats(engine).list()} <= set(names)
    await seats(engine).create(SharedSeat(name="after"))


async def test_a_row_that_goes_while_it_is_updated(engine: AndamiosEngine) -> None:
    """An object of a session, whose row somebody else deleted, is not found any more."""
    if engine.backend == "sqlite":
        return  # one writer at a time
    created = await seats(engine).create(SharedSeat(name="x"))
    async with engine.session() as session:
        seat = await seats(session).get_one(created.id)
        await seats(engine).delete(created.id)
        seat.count = 5
        with pytest.raises(NotFoundError):
            await seats(session).update(seat)
        await seats(session).create(SharedSeat(name="y"))

    assert ["y"] == [seat.name for seat in await seats(engine).list()]
