"""Connections that are not what they seem: of another engine, or amid a transaction of theirs."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from andamios import AndamiosEngine, AsyncSession, BaseModel, GenericRepository
from tests.plans.both_ways import both_ways

pytestmark = pytest.mark.isolation("committing")


class ElsewhereWord(BaseModel):
    """Is in one database, and not in the other."""

    word: Mapped[str]


Words = GenericRepository[ElsewhereWord]


async def test_a_model_of_another_engine(twin_databases: list[str]) -> None:
    """A session that has another engine for a model asks, and writes, there."""
    here, there = [AndamiosEngine(url, uvloop=False) for url in twin_databases]
    async with here, there:
        await Words(there).create_many([{"word": "a"}, {"word": "b"}])
        binds = {ElsewhereWord: there.async_engine}

        async def ask(engine: AndamiosEngine) -> Any:
            async with AsyncSession(engine, binds=binds) as session:
                words = Words(session)
                found = [each.word for each in await words.query().order_by("id").execute()]
                one = await words.find_one({"word": "b"})
                changed = await words.query().filter({"word": "a"}).update({"word": "a"})
                made = await words.create(ElsewhereWord(word="c"))
                is_there = await words.get_by_id(made.id) is made
                await session.rollback()
            return found, one is not None, changed, is_there, await Words(engine).query().count()

        assert (["a", "b"], True, 1, True, 0) == await both_ways(here, ask)


async def test_a_transaction_of_the_driver(engine: AndamiosEngine) -> None:
    """One that a raw cursor began is rolled back, and its connection kept, as SQLAlchemy does."""

    def write(session: Any) -> None:
        cursor = session.connection.cursor()
        if engine.backend == "sqlite":
            cursor.execute("BEGIN")
        cursor.execute("INSERT INTO elsewhere_word (word) VALUES ('lost')")
        cursor.close()

    async def used(connection: Any) -> int:
        raw = await connection.get_raw_connection()
        return id(raw.driver_connection)

    async with engine.connections.acquire() as connection:
        before = await used(connection)
    for begin in (engine.async_engine.connect, engine.connections.acquire):
        async with begin() as connection:
            assert before == await used(connection)
            await connection.run_sync(write)
        assert 0 == engine.connections.stats().in_use
        async with begin() as connection:
            assert before == await used(connection)
            found = await connection.scalar(sa.select(sa.func.count(ElsewhereWord.id)))
        assert 0 == found
