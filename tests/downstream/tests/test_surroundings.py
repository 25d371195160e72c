"""What the harness gave us is what we asked for, and comes from what is installed."""

import sqlite3
import sys
from pathlib import Path
from typing import Any

import andamios
import harness
import pytest
from andamios import AndamiosEngine
from sqlalchemy import inspect, make_url, text


@pytest.mark.parametrize("package", [andamios, harness])
def test_packages_are_installed(package: Any) -> None:
    """Nothing of anybody's source tree is imported."""
    assert Path(package.__file__).is_relative_to(sys.prefix)


async def test_tables(engine: AndamiosEngine) -> None:
    """The database has the tables of our base, and none of Andamios' own models."""
    async with engine.connections.acquire() as connection:
        found = await connection.run_sync(lambda sync: inspect(sync).get_table_names())

    assert {"book", "loan"} == set(found) - {"shelf"}, "migrated/ makes the shelf"


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
async def test_settings(engine: AndamiosEngine) -> None:
    """PostgreSQL has the settings that our conftest asks for."""
    async with engine.session() as session:
        assert "77" == await session.scalar(text("SHOW max_connections"))


async def test_redis(redis_client: Any) -> None:
    """Redis is there, and has nothing in it."""
    assert 0 == await redis_client.dbsize()
    await redis_client.set("key", "value")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_without_asyncio(test_database: str) -> None:
    """A test that needs no event loop takes the address, and goes its own way."""
    with sqlite3.connect(str(make_url(test_database).database)) as connection:
        assert [(0,)] == list(connection.execute("SELECT count(*) FROM book"))
    connection.close()


async def test_alter(own_database: str) -> None:
    """A database of one's own may be changed in every way."""
    async with AndamiosEngine(own_database) as engine, engine.connections.acquire() as connection:
        await connection.execute(text("ALTER TABLE book ADD COLUMN pages INTEGER"))
        await connection.execute(text("DROP TABLE loan"))
        await connection.commit()
        columns = await connection.run_sync(lambda sync: inspect(sync).get_columns("book"))

    assert "pages" in {column["name"] for column in columns}
