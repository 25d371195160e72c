"""What one backend would let pass is refused on all of them, and no backend is stricter."""

import math
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import inspect, select

from andamios import AndamiosEngine, ConfigurationError, DataError, SessionTaskError
from tests.models.domain import LibKinds, LibPlain, LibTag

LONG = "x" * 300


async def test_a_long_text_is_found_nowhere(engine: AndamiosEngine) -> None:
    """A text longer than its column may be asked for; nothing has it."""
    async with engine.session() as session:
        session.add(LibPlain(title="short", pages=1, weight=Decimal(1)))
        await session.flush()
        found = await session.scalars(select(LibPlain).where(LibPlain.title == LONG))
        assert [] == found.all()


async def test_a_long_text_is_not_stored(engine: AndamiosEngine) -> None:
    """It is refused where it would be written, by one row or by many."""
    for rows in ([LONG], ["short", LONG]):
        with pytest.raises(DataError):
            async with engine.session() as session:
                session.add_all(LibPlain(title=title, pages=1) for title in rows)


@pytest.mark.parametrize("value", [math.nan, math.inf])
async def test_numbers_have_a_size(engine: AndamiosEngine, value: float) -> None:
    """NaN and infinity are refused, in columns and inside JSON."""
    for values in ({"real": value}, {"facts": {"n": value}}):
        with pytest.raises(DataError):
            async with engine.session() as session:
                session.add(LibKinds(**values))


async def test_one_model_means_its_own_table(engine: AndamiosEngine) -> None:
    """Creating or dropping a model leaves the tables of the others alone."""
    await engine.drop_all(LibPlain)
    try:
        async with engine.connections.acquire() as connection:
            tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    finally:
        await engine.create_all(LibPlain)
    assert LibPlain.__tablename__ not in tables
    assert LibTag.__tablename__ in tables


@pytest.mark.parametrize(
    "options",
    [
        {"echo": "yes"},
        {"isolation_level": "nope"},
        {"pool_size": -3},
        {"pool_size": "many"},
        {"nonsense": 1},
    ],
)
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    """A wrong option is a ConfigurationError when the engine is built."""
    with pytest.raises(ConfigurationError):
        AndamiosEngine("sqlite://", uvloop=False, **options)


@pytest.mark.parametrize(
    "url", ["postgresql://u@127.0.0.1:1/d?foo=1", "mysql://u@127.0.0.1:1/d?foo=1"]
)
async def test_unknown_options_of_a_url_are_named(url: str) -> None:
    """What the driver does not know is a ConfigurationError that names it."""
    engine = AndamiosEngine(url, uvloop=False)
    with pytest.raises(ConfigurationError, match="foo"):
        await engine.open()


async def test_a_reader_in_memory_refuses_to_wait_for_itself() -> None:
    """Without WAL, writing while the same task reads would wait for ever."""
    async with AndamiosEngine("sqlite://", uvloop=False) as engine:
        await engine.create_all(LibPlain)
        async with engine.session(read_only=True) as reading:
            await reading.scalars(select(LibPlain))
            with pytest.raises(SessionTaskError, match="reads"):
                async with engine.session() as writing:
                    await writing.execute(LibPlain.__table__.insert(), {"title": "a", "pages": 1})
        async with engine.session() as writing:
            await writing.execute(LibPlain.__table__.insert(), {"title": "a", "pages": 1})
