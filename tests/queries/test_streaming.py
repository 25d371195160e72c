"""Streams: row by row, in constant memory, and closed when one leaves early."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey, insert
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import BaseModel, QueryBuilder, QueryError

if TYPE_CHECKING:
    from andamios import AndamiosEngine

COUNT = 2000


class StreamedRow(BaseModel):
    text: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(
        ForeignKey("streamed_row.id", ondelete="SET NULL"), index=True
    )
    children: Mapped[list[StreamedRow]] = relationship()


@pytest.fixture
async def rows(engine: AndamiosEngine) -> AndamiosEngine:
    """Rows of about a kilobyte."""
    async with engine.session() as session:
        texts = [{"text": f"{number:05}" + "x" * 250} for number in range(COUNT)]
        await session.execute(insert(StreamedRow), texts)
    return engine


async def test_everything_in_order(rows: AndamiosEngine) -> None:
    """A stream gives all objects, in order, whatever the batch."""
    query = QueryBuilder(StreamedRow, rows).order_by("text")
    for batch in (7, 1000, 9999):
        found = [int(row.text[:5]) async for row in query.stream(batch)]
        assert list(range(COUNT)) == found


async def test_rows_and_relationships(rows: AndamiosEngine) -> None:
    """Columns can be streamed, and collections come along batch by batch."""
    query = QueryBuilder(StreamedRow, rows).limit(10)

    assert 10 == len([row.text async for row in query.only("text").stream(3)])
    assert [[]] * 10 == [row.children async for row in query.load(StreamedRow.children).stream(3)]
    with pytest.raises(QueryError, match="selectin"):
        async for _ in query.load(StreamedRow.children, strategy="joined").stream():
            pass


@pytest.mark.parametrize("bound_to", ["engine", "session"])
async def test_objects_are_let_go(rows: AndamiosEngine, bound_to: str) -> None:
    """No more than a few batches of objects are held at a time."""
    alive: weakref.WeakSet[StreamedRow] = weakref.WeakSet()
    counts = []
    async with rows.session(read_only=True) as session:
        query = QueryBuilder(StreamedRow, rows if bound_to == "engine" else session)
        async for row in query.stream(50):
            alive.add(row)
            counts.append(len(alive))

    assert COUNT == len(counts)
    assert 150 >= max(counts)


@pytest.mark.parametrize("way", ["objects", "rows", "in a session"])
async def test_memory_does_not_grow(engine: AndamiosEngine, way: str) -> None:
    """Nobody reads the whole result first: not the session, not the driver."""
    size = 5000
    async with engine.session() as session:
        texts = [{"text": f"{number:05}" + "x" * 240} for number in range(size)]
        await session.execute(insert(StreamedRow), texts)
    del texts

    async def peak(batch: int) -> int:
        async with engine.session(read_only=True) as session:
            query = QueryBuilder(StreamedRow, session if way == "in a session" else engine)
            chosen: Any = query.only("id", "text") if way == "rows" else query
            await chosen.first()
            gc.collect()
            tracemalloc.start()
            try:
                assert size == len([None async for _ in chosen.stream(batch)])
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert await peak(100) < await peak(size) / 3


async def test_leaving_early(rows: AndamiosEngine) -> None:
    """A stream that is closed early gives its connection back, and the session works on."""
    before = rows.connections.stats().in_use
    async with aclosing(QueryBuilder(StreamedRow, rows).stream(10)) as stream:
        async for _ in stream:
            break
    assert before == rows.connections.stats().in_use

    async with rows.session() as session:
        query = QueryBuilder(StreamedRow, session)
        async with aclosing(query.stream(10)) as stream:
            async for _ in stream:
                break
        assert COUNT == await query.count()


async def test_leaving_early_without_closing(rows: AndamiosEngine) -> None:
    """A stream that is merely forgotten is closed by the event loop, a moment later."""
    async for _ in QueryBuilder(StreamedRow, rows).stream(10):
        break
    async with asyncio.timeout(5):
        while rows.connections.stats().in_use:  # noqa: ASYNC110  nothing tells when
            await asyncio.sleep(0.01)

    async with rows.session() as session:
        query = QueryBuilder(StreamedRow, session)
        for _ in range(3):
            async for _ in query.stream(10):
                break
            assert COUNT == await query.count()
    assert COUNT == await QueryBuilder(StreamedRow, rows).count()


async def test_other_statements_meanwhile(rows: AndamiosEngine) -> None:
    """Inside a session, other statements between the rows take nothing away from a stream."""
    async with rows.session() as session:
        query = QueryBuilder(StreamedRow, session)
        seen = 0
        async for row in query.order_by("-id").offset(5).limit(50).stream(7):
            assert COUNT == await query.count()
            row.text = "seen"
            seen += 1
        assert 50 == seen
        assert 50 == await query.filter_by(text="seen").count()
        groups = query.group_by("text").stream(7)
        assert COUNT - 49 == len([row async for row in groups])


async def test_a_stream_is_nobodys_current_session(rows: AndamiosEngine) -> None:
    """The code around a stream keeps its own session of the task."""
    async with rows.session(read_only=True) as session:
        async for _ in QueryBuilder(StreamedRow, rows).limit(3).stream():
            first = await QueryBuilder(StreamedRow).first()
            assert first in session


@pytest.mark.parametrize("batch", [0, -1, 1.5, None])
async def test_bad_batches(engine: AndamiosEngine, batch: int) -> None:
    """A batch has at least one row."""
    with pytest.raises(QueryError, match="batch"):
        async for _ in QueryBuilder(StreamedRow, engine).stream(batch):
            pass
