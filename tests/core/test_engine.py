"""The engine: options, environment, and when it connects."""

import asyncio
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from andamios import (
    ENGINE_CONFIG,
    AndamiosEngine,
    BaseModel,
    ConfigurationError,
    ConnectionFailedError,
)
from tests.core.conftest import EngineMaker
from tests.models.domain import LibWord

URL = "ANDAMIOS_DATABASE_URL"


def test_defaults() -> None:
    """What the documents promise is what an engine uses."""
    engine = AndamiosEngine("postgresql://h/d", uvloop=False)
    pool: Any = engine.async_engine.pool
    assert {
        "pool_size": 20,
        "max_overflow": 30,
        "pool_pre_ping": True,
        "pool_recycle": 3600,
        "echo": False,
    } == ENGINE_CONFIG
    assert (20, 30, 3600) == (pool.size(), pool.max_overflow, pool._recycle)  # noqa: SLF001


def test_options_override_the_defaults() -> None:
    """A key that is given wins, and the defaults stay as they are."""
    before = dict(ENGINE_CONFIG)
    engine = AndamiosEngine("postgresql://h/d", uvloop=False, pool_size=3, echo=False)
    assert (3, before) == (engine.connections.stats().size, ENGINE_CONFIG)


def test_defaults_can_be_changed_for_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed default holds for the engines that are built after it."""
    monkeypatch.setitem(ENGINE_CONFIG, "pool_size", 7)
    engine = AndamiosEngine("sqlite://", uvloop=False)
    assert 7 == engine.connections.stats().size


@pytest.mark.parametrize(
    "options",
    [
        {"no_such_option": 1},
        {"pool_size": "many"},
    ],
    ids=str,
)
def test_wrong_option(options: dict[str, Any]) -> None:
    """A wrong option is one clear line when the engine is built."""
    with pytest.raises(ConfigurationError) as caught:
        AndamiosEngine("postgresql://u:secret@h/d", uvloop=False, **options)
    assert 1 == len(str(caught.value).splitlines())
    assert "secret" not in str(caught.value)


async def test_options_of_sqlalchemy(make_engine: EngineMaker) -> None:
    """Anything that SQLAlchemy's engine takes works, a pool of another kind too."""
    engine = make_engine(poolclass=NullPool)
    async with engine.session() as session:
        assert 1 == await session.scalar(text("SELECT 1"))
    assert 0 == engine.connections.stats().in_use


def test_environment() -> None:
    """URL and every key of the defaults come from the environment."""
    engine = AndamiosEngine.from_env(
        {
            URL: "postgresql://u@h/d",
            "ANDAMIOS_POOL_SIZE": "4",
            "ANDAMIOS_MAX_OVERFLOW": "-1",
            "ANDAMIOS_ECHO": "off",
            "ANDAMIOS_POOL_PRE_PING": "No",
        }
    )
    assert ("h", 4) == (engine.url.host, engine.connections.stats().size)


def test_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the process's own environment is read."""
    monkeypatch.setenv(URL, "sqlite://")
    assert "sqlite" == AndamiosEngine.from_env().backend


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, f"{URL} is not set"),
        ({URL: ""}, f"{URL} is not set"),
        ({"ANDAMIOS_POOL_SIZE": "many"}, "ANDAMIOS_POOL_SIZE must be a whole number"),
        ({"ANDAMIOS_POOL_SIZE": "²"}, "ANDAMIOS_POOL_SIZE must be a whole number"),
        ({"ANDAMIOS_POOL_SIZE": "--5"}, "ANDAMIOS_POOL_SIZE must be a whole number"),
        ({"ANDAMIOS_ECHO": "perhaps"}, "ANDAMIOS_ECHO must be true or false"),
    ],
)
def test_wrong_environment(environ: dict[str, str], words: str) -> None:
    """A wrong variable is named, with what it should be."""
    url = {URL: "sqlite://"} if words.startswith("ANDAMIOS_P") or "ECHO" in words else {}
    with pytest.raises(ConfigurationError, match=words):
        AndamiosEngine.from_env(url | environ)


def test_nothing_connects_before_the_first_use(tmp_path: Path) -> None:
    """Building an engine touches neither network nor disk."""
    engine = AndamiosEngine(f"sqlite:///{tmp_path}/new.db", uvloop=False)
    engine.session()
    assert (0, False) == (engine.connections.stats().idle, (tmp_path / "new.db").exists())


def test_unreachable_server_is_no_error_before_the_first_use() -> None:
    """An engine can be built for a server that is not there yet."""
    engine = AndamiosEngine("postgresql://u:secret@127.0.0.1:1/d", uvloop=False)
    assert 0 == engine.connections.stats().in_use


async def test_block_connects_at_once_and_closes(make_engine: EngineMaker) -> None:
    """``async with engine`` finds out at its start, and leaves no connection behind."""
    async with make_engine() as engine:
        assert 1 == engine.connections.stats().idle
    assert 0 == engine.connections.stats().idle


async def test_engine_opens_again_after_its_end(make_engine: EngineMaker) -> None:
    """A closed engine connects again when it is used."""
    engine = make_engine()
    for _ in range(2):
        async with engine, engine.session() as session:
            assert 1 == await session.scalar(text("SELECT 1"))


BAD_SERVERS = [
    "postgresql://u:secret@127.0.0.1:1/d",
    "mysql://u:secret@127.0.0.1:1/d",
    "postgresql://u:secret@no-such-host.invalid/d",
    "mysql://u:secret@no-such-host.invalid/d",
    "sqlite:////no/such/folder/app.db",
]


@pytest.mark.parametrize("url", BAD_SERVERS)
async def test_server_that_is_not_there(url: str) -> None:
    """The error says where it tried, and repeats no password."""
    engine = AndamiosEngine(url, uvloop=False)
    with pytest.raises(ConnectionFailedError) as caught:
        await engine.open()
    parsed = make_url(url)
    assert (parsed.host or parsed.database or "") in str(caught.value)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert 1 == len(str(caught.value).splitlines())
    assert not await engine.connections.validate()


@pytest.mark.parametrize("part", ["password", "database"])
async def test_server_that_refuses(test_database: str, part: str, is_sqlite: bool) -> None:
    """A wrong password or database is a failed connection, with the server's code."""
    if is_sqlite:
        pytest.skip("SQLite has neither")
    url = make_url(test_database).set(**{part: "no_such_secret"})
    engine = AndamiosEngine(url, uvloop=False)
    with pytest.raises(ConnectionFailedError) as caught:
        await engine.open()
    assert caught.value.code in {"28P01", "3D000", 1045, 1049}
    assert part == "database" or "no_such_secret" not in str(caught.value)


async def test_create_and_drop_all(make_engine: EngineMaker) -> None:
    """Tables of a base or of a MetaData are made and removed, twice without harm."""
    engine, metadata = make_engine(), MetaData()
    Table("lib_other", metadata, Column("id", Integer, primary_key=True))

    async def exists() -> bool:
        async with engine.connections.acquire() as connection:
            return await connection.run_sync(lambda c: inspect(c).has_table("lib_other"))

    found = []
    for change in (engine.create_all, engine.create_all, engine.drop_all, engine.drop_all):
        await change(metadata)
        found.append(await exists())
    assert [True, True, False, False] == found
    await engine.create_all(BaseModel)


async def test_memory_is_shared_between_sessions() -> None:
    """All sessions of an engine on ``sqlite://`` see one database."""
    async with AndamiosEngine("sqlite://", uvloop=False) as engine:
        await engine.create_all(BaseModel)
        async with engine.session() as session:
            session.add(LibWord(word="here"))
        words = select(LibWord.word)

        async def read() -> list[str]:
            async with engine.session(read_only=True) as session:
                return list(await session.scalars(words))

        assert [["here"]] * 3 == await asyncio.gather(read(), read(), read())


async def test_memory_is_not_shared_between_engines() -> None:
    """Each engine on ``sqlite://`` has a database of its own."""
    async with (
        AndamiosEngine("sqlite://", uvloop=False) as one,
        AndamiosEngine("sqlite://", uvloop=False) as other,
    ):
        await one.create_all(BaseModel)
        async with other.connections.acquire() as connection:
            assert [] == await connection.run_sync(lambda c: inspect(c).get_table_names())


async def test_memory_is_kept_while_idle() -> None:
    """A database in memory lives as long as its engine, not as its connections."""
    async with AndamiosEngine("sqlite://", uvloop=False, poolclass=NullPool) as engine:
        await engine.create_all(BaseModel)
        async with engine.session() as session:
            session.add(LibWord(word="here"))
        async with engine.session() as session:
            assert ["here"] == list(await session.scalars(select(LibWord.word)))


def test_engine_that_is_never_closed_makes_no_noise() -> None:
    """A script that forgets to close its engine ends without a warning."""
    code = """
import andamios
from sqlalchemy import text

async def main():
    engine = andamios.AndamiosEngine("sqlite://")
    async with engine.session() as session:
        print(await session.scalar(text("SELECT 42")))

andamios.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (0, "42\n", "") == (done.returncode, done.stdout, done.stderr)


async def test_several_workers_create_the_same_tables(make_engine: EngineMaker) -> None:
    """All of them start at once, each with an engine of its own, and none of them fails."""
    metadata = MetaData()
    for number in range(3):
        Table(f"created_at_once_{number}", metadata, Column("id", Integer, primary_key=True))
    workers = [make_engine(pool_size=1) for _ in range(5)]
    try:
        await asyncio.gather(*(worker.create_all(metadata) for worker in workers))
        async with workers[0].connections.acquire() as connection:
            names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        assert set(metadata.tables) <= set(names)
    finally:
        await asyncio.gather(*(worker.drop_all(metadata) for worker in workers))
