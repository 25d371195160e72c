"""What only PostgreSQL has: writes that are cancelled half-way, and statements that it prepares."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from andamios import AndamiosEngine, QueryError
from andamios.core.postgresql import ONE_WRITE, pieces
from tests.core.conftest import EngineMaker
from tests.models.domain import LibPlain, LibWord


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


POOLED: dict[str, dict[str, Any]] = {
    "no caches": {"statement_cache_size": 0, "prepared_statement_cache_size": 0},
    "names of their own": {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"andamios_{uuid.uuid4()}",
    },
}


@pytest.mark.parametrize("way", POOLED)
async def test_prepared_statements_that_are_gone(
    make_engine: EngineMaker, backend: str, way: str
) -> None:
    """Behind a pooler each transaction may be on another connection: caches can be turned off."""
    if backend != "postgresql":
        pytest.skip("no other backend is meant")
    engine = make_engine(pool_size=1, max_overflow=0, connect_args=POOLED[way])
    found = []
    for number in range(3):
        async with engine.session() as session:
            session.add(LibWord(word=f"{number}"))
            await session.flush()
            found.append(len(list(await session.scalars(select(LibWord.word)))))
        async with engine.connections.acquire() as connection:
            await connection.execute(text("DEALLOCATE ALL"))
    assert [1, 2, 3] == found


async def test_prepared_statements_are_kept(make_engine: EngineMaker, backend: str) -> None:
    """Elsewhere they are kept, and one that is gone is an error with the server's code."""
    if backend != "postgresql":
        pytest.skip("no other backend is meant")
    engine = make_engine(pool_size=1, max_overflow=0)
    async with engine.session() as session:
        await session.execute(select(LibWord))
        await session.execute(text("DEALLOCATE ALL"))
        with pytest.raises(QueryError) as caught:
            await session.execute(select(LibWord))
        await session.rollback()
    assert "26000" == caught.value.code
