"""Here the tables are made by what also makes them in production."""

import hashlib

import pytest
from andamios import AndamiosEngine
from harness.templates import Schema
from sqlalchemy import text

MIGRATIONS = [
    "CREATE TABLE shelf (id INTEGER PRIMARY KEY, label VARCHAR(20) NOT NULL)",
    "INSERT INTO shelf (id, label) VALUES (1, 'left'), (2, 'right')",
]


@pytest.fixture
def db_schema() -> Schema:
    """All migrations, run once; the worker's other databases are copies."""
    return Schema(hashlib.sha256("".join(MIGRATIONS).encode()).hexdigest()[:16], migrate)


async def migrate(url: str) -> None:
    """Run them."""
    async with AndamiosEngine(url) as engine, engine.session() as session:
        for statement in MIGRATIONS:
            await session.execute(text(statement))
