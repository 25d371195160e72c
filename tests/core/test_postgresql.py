"""Statements for many rows can be cancelled, also those that take several writes."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import insert, text

from andamios import AndamiosEngine
from andamios.core.postgresql import ONE_WRITE, pieces
from tests.models.domain import LibPlain


async def test_an_insert_of_many_rows_can_be_cancelled(engine: AndamiosEngine) -> None:
    """A task that is cancelled while it sends megabytes ends, and leaves nothing behind."""
    rows = [{"title": "x" * 200, "pages": number} for number in range(10_000)]
    assert await _ends_when_cancelled(engine, insert(LibPlain), rows)


async def test_an_update_of_many_rows_can_be_cancelled(engine: AndamiosEngine) -> None:
    """The same, where no statement with many rows in it exists."""
    statement = text("UPDATE lib_plain SET title = :title WHERE pages = :number")
    rows = [{"number": number, "title": "x" * 200} for number in range(10_000)]
    assert await _ends_when_cancelled(engine, statement, rows)


async def _ends_when_cancelled(engine: AndamiosEngine, statement: Any, rows: Any) -> bool:
    """Cancel at eight moments; a task that was done before is done as well."""

    async def write() -> None:
        async with engine.session() as session:
            await session.execute(statement, rows)

    for step in range(8):
        task = asyncio.create_task(write())
        await asyncio.sleep(0.02 * step)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=20)
        if not done:
            return False
    return engine.connections.stats().in_use == 0


@pytest.mark.parametrize("count", [0, 1, 7, 5000])
def test_pieces_hold_every_row_once(count: int) -> None:
    """Nothing is lost, nothing is empty, and no piece is larger than one write."""
    rows = [(number, "é" * 100, b"x" * 50, None) for number in range(count)]
    parts = list(pieces(rows))
    assert rows == [row for part in parts for row in part]
    assert all(parts) or count == 0
    assert all(len(part) * 300 < ONE_WRITE for part in parts)


def test_one_huge_row_is_a_piece() -> None:
    """A row larger than one write is sent alone."""
    huge = ("x" * ONE_WRITE,)
    assert [[("a",)], [huge], [("b",)]] == [list(part) for part in pieces([("a",), huge, ("b",)])]
