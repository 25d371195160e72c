"""Which statements count as writes, to what, and when they take effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from andamios import AndamiosEngine, GenericRepository, QueryBuilder
from andamios.caching.tags import cascaded
from tests.caching.domain import CaBook, CaShelf

if TYPE_CHECKING:
    from collections.abc import Callable

    from andamios.caching import CacheManager

BOOKS: Any = CaBook.__table__
OTHER: Any = sa.alias(CaShelf.__table__, "other")
UPDATE = "UPDATE ca_shelf SET number = 5"

STATEMENTS: dict[str, tuple[set[str], Callable[[], Any]]] = {
    "text with columns": (
        {"sqlite", "postgresql"},
        lambda: sa.text(f"{UPDATE} RETURNING id").columns(CaShelf.id),
    ),
    "objects from text": (
        {"sqlite", "postgresql"},
        lambda: sa.select(CaShelf).from_statement(sa.text(f"{UPDATE} RETURNING *")),
    ),
    "objects from an UPDATE": (
        {"sqlite", "postgresql"},
        lambda: sa.select(CaShelf).from_statement(
            sa.update(CaShelf).values(number=5).returning(CaShelf)
        ),
    ),
    "text in WITH": (
        {"postgresql"},
        lambda: sa.select(sa.text(f"{UPDATE} RETURNING id").columns(CaShelf.id).cte()),
    ),
    "UPDATE in WITH": (
        {"postgresql"},
        lambda: sa.select(sa.update(CaShelf).values(number=5).returning(CaShelf.id).cte()),
    ),
    "nested comment": ({"postgresql"}, lambda: sa.text(f"/* a /* b */ SELECT */ {UPDATE}")),
    "comment to the end of its line": ({"mysql"}, lambda: sa.text(f"# SELECT\n{UPDATE}")),
    "comment that is executed": ({"mysql"}, lambda: sa.text(f"/*!40000 {UPDATE} */")),
    "columns of another table": (
        {"mysql"},
        lambda: (
            sa.update(BOOKS)
            .values({BOOKS.c.title: "u", OTHER.c.number: 5})
            .where(BOOKS.c.shelf_id == OTHER.c.id)
        ),
    ),
    "OR REPLACE after WITH": (
        {"sqlite"},
        lambda: (
            sa.insert(CaShelf)
            .prefix_with("OR REPLACE")
            .from_select(
                ["id", "name", "number"],
                sa.select(
                    sa.select(CaShelf.id, CaShelf.name, sa.literal(5).label("five")).cte("old")
                ),
            )
        ),
    ),
}


async def shelf_with_book(engine: AndamiosEngine) -> int:
    shelf = CaShelf(name="a", books=[CaBook(title="t")])
    await GenericRepository[CaShelf](engine).create(shelf)
    return shelf.id


async def numbers(engine: AndamiosEngine, key: int) -> list[int]:
    """Read a list and one by its key, since an answer may depend on a row alone."""
    query = QueryBuilder(CaShelf, engine).cached(60)
    found = [*await query.execute(), await query.filter_by(id=key).one()]
    return [shelf.number for shelf in found]


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_that_writes(
    engine: AndamiosEngine, cache: CacheManager, name: str
) -> None:
    """However a write is written, it is seen after its COMMIT."""
    backends, statement = STATEMENTS[name]
    if engine.backend not in backends:
        pytest.skip("no such statement")
    key = await shelf_with_book(engine)
    assert [[0, 0]] * 2 == [await numbers(engine, key) for _ in range(2)]
    assert 2 == cache.stats().hits
    async with engine.session() as session:
        await session.execute(statement())
    assert [5, 5] == await numbers(engine, key)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("text", ["CREATE TABLE ca_made (a INT)", "TRUNCATE TABLE ca_emptied"])
async def test_ddl_that_commits(engine: AndamiosEngine, text: str) -> None:
    """MySQL commits before DDL, so that a rollback after it takes nothing back."""
    if engine.backend != "mysql":
        pytest.skip("DDL is part of a transaction")
    key = await shelf_with_book(engine)
    async with engine.session() as session:
        await session.execute(sa.text("CREATE TABLE ca_emptied (a INT)"))
    assert [[0, 0]] * 2 == [await numbers(engine, key) for _ in range(2)]
    try:
        async with engine.session() as session:
            await session.execute(sa.update(CaShelf).values(number=5))
            await session.execute(sa.text(text))
            await session.rollback()
        assert [5, 5] == await numbers(engine, key)
    finally:
        async with engine.session() as session:
            await session.execute(sa.text("DROP TABLE IF EXISTS ca_made, ca_emptied"))


@pytest.mark.usefixtures("cache")
async def test_reading_text_makes_nothing_void(engine: AndamiosEngine, cache: CacheManager) -> None:
    """A SELECT in plain text, with a comment before it or in brackets, is no write."""
    key = await shelf_with_book(engine)
    await numbers(engine, key)
    async with engine.session() as session:
        for text in ("SELECT 1", "-- why\n/* so */ select 1", "WITH a AS (SELECT 1) SELECT 2"):
            await session.execute(sa.text(text))
        await session.commit()
    await numbers(engine, key)
    assert 2 == cache.stats().hits


def test_a_key_whose_schema_its_metadata_names() -> None:
    """A foreign key that leaves out the schema of all tables leads to its table."""
    metadata = sa.MetaData(schema="harbour")
    sa.Table("ship", metadata, sa.Column("id", sa.Integer, primary_key=True))
    key = sa.ForeignKey("ship.id", ondelete="CASCADE")
    sa.Table("crew", metadata, sa.Column("ship_id", sa.Integer, key))
    assert {"harbour.crew"} == cascaded(metadata, "harbour.ship", "ondelete")
