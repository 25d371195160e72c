"""URLs with several hosts: which one is connected to, and what is done when it changes its role."""

from __future__ import annotations

import asyncio
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.engine import URL, make_url
from tenacity import wait_none

from andamios import (
    AndamiosEngine,
    AsyncSession,
    ConfigurationError,
    ConnectionFailedError,
    GenericRepository,
    ReadOnlyError,
)
from andamios.resilience import ConnectionResilience, is_retryable
from tests.core.tls_proxy import Authority, proxy, terminating
from tests.models.domain import LibWord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from harness.faults import FaultProxy
    from harness.fixtures.faults import FaultProxyMaker
    from harness.fixtures.service_faults import ServiceFaultsMaker

URLS = [
    ("postgresql://u:p@a:1,b:2/d", "a", 1, ("a:1", "b:2")),
    ("postgresql://u:p@a,b:2/d", "a", 5432, ("a:5432", "b:2")),
    ("postgresql://a,b", "a", 5432, ("a:5432", "b:5432")),
    ("postgresql://u@[::1]:7,[fe80::2]/d", "::1", 7, ("[::1]:7", "[fe80::2]:5432")),
    ("mysql://u:p@a:1,b/d?charset=utf8mb4", "a", 1, ("a:1", "b:3306")),
    ("mysql+asyncmy://u:p@a,b/d", "a", 3306, ("a:3306", "b:3306")),
    ("mariadb://u:p@a,b/d", "a", 3306, ("a:3306", "b:3306")),
    ("postgresql://u@/d?host=a:1&host=b:2", "a", 1, ("a:1", "b:2")),
    ("postgresql://u@/d?host=a&host=b", "a", 5432, ("a:5432", "b:5432")),
    ("postgresql://u@/d?host=a,b&port=1,2", "a", 1, ("a:1", "b:2")),
    ("postgresql://u@/d?host=a,b&port=7", "a", 7, ("a:7", "b:7")),
    ("postgresql://u:p%2C@a,b/d", "a", 5432, ("a:5432", "b:5432")),
    (URL.create("mysql", host="a,b", port=7), "a", 7, ("a:7", "b:7")),
]


@pytest.mark.parametrize(("url", "host", "port", "hosts"), URLS)
async def test_all_ways_to_write_them(
    url: str | URL, host: str, port: int, hosts: tuple[str, ...]
) -> None:
    """The URL shows the first host where one stands, and all of them; it can be read again."""
    engine = await asyncio.to_thread(AndamiosEngine, url, uvloop=False)
    shown = engine.url
    assert (host, port, hosts) == (shown.host, shown.port, shown.query["host"])
    again = await asyncio.to_thread(
        AndamiosEngine, shown.render_as_string(hide_password=False), uvloop=False
    )
    assert shown == again.url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@a:1,b:port/d",
        "postgresql://u:secret@a,/d",
        "postgresql://u:sec@ret,x@a,b/d",
        "postgresql://u:secret@a,b/d?host=c",
        "postgresql://u:secret@/d?host=a,b&port=1,2,3",
    ],
)
def test_what_cannot_be_read(url: str) -> None:
    """A part that makes no sense is one clear line, which does not repeat a password."""
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        AndamiosEngine(url, uvloop=False)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_passwords_are_hidden_and_hosts_shown() -> None:
    """The engine's text says where it goes."""
    shown = repr(AndamiosEngine("postgresql://u:secret@a:1,b:2/d", uvloop=False))
    assert "secret" not in shown
    assert all(host in shown for host in ("a%3A1", "b%3A2"))


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_unknown_role(backend: str) -> None:
    """A mistyped role is told when the engine is built, with the choices."""
    with pytest.raises(ConfigurationError, match="prefer-standby"):
        AndamiosEngine(f"{backend}://a,b/d?target_session_attrs=writer", uvloop=False)


@pytest.fixture
async def pair(
    engine: AndamiosEngine, fault_proxy: FaultProxyMaker
) -> tuple[FaultProxy, FaultProxy]:
    """Two ways to the test's server."""
    return await fault_proxy(engine.url), await fault_proxy(engine.url)


def address(pair: tuple[FaultProxy, FaultProxy], **query: str) -> URL:
    """Write both ways into one URL."""
    url = make_url(pair[0].url)
    hosts = tuple(f"{each.host}:{each.port}" for each in pair)
    return url.update_query_dict({"host": hosts, **query})


@pytest.fixture
async def through(pair: tuple[FaultProxy, FaultProxy]) -> AsyncIterator[AndamiosEngine]:
    """An engine that knows both ways."""
    made = await build(address(pair))
    yield made
    await made.close()


async def build(url: URL, **options: Any) -> AndamiosEngine:
    """Build an engine in a thread: SQLAlchemy reads asyncmy's version from a file."""
    return await asyncio.to_thread(AndamiosEngine, url, uvloop=False, **options)


async def write(engine: AndamiosEngine, word: str) -> None:
    """Write one row in a session."""
    async with engine.session() as session:
        session.add(LibWord(word=word))


async def words(engine: AndamiosEngine) -> list[str]:
    """Read the rows."""
    async with engine.session(read_only=True) as session:
        return sorted(await session.scalars(select(LibWord.word)))


async def test_the_first_that_answers(
    pair: tuple[FaultProxy, FaultProxy], through: AndamiosEngine
) -> None:
    """Hosts are tried in order; one that comes and goes is noticed without a restart."""
    await write(through, "one")
    assert [True, False] == [each.connections > 0 for each in pair]
    await pair[0].down()
    await write(through, "two")
    assert pair[1].connections > 0
    await pair[0].up()
    await pair[1].down()
    await write(through, "three")
    assert ["one", "three", "two"] == await words(through)


async def test_sessions_of_a_url(pair: tuple[FaultProxy, FaultProxy]) -> None:
    """A session that is opened from a URL knows all hosts too."""
    await pair[0].down()
    session = await asyncio.to_thread(AsyncSession, address(pair))
    async with session:
        assert 1 == await session.scalar(text("SELECT 1"))


async def test_none_of_them(pair: tuple[FaultProxy, FaultProxy], through: AndamiosEngine) -> None:
    """One error names all that were tried, each with its reason, and no password."""
    await pair[0].down()
    await pair[1].down()
    with pytest.raises(ConnectionFailedError) as caught:
        await words(through)
    for each in pair:
        assert f"{each.host}:{each.port}: " in str(caught.value)
    assert "refused" in str(caught.value).lower() or "Connect call failed" in str(caught.value)
    assert is_retryable(caught.value)
    assert str(through.url.password) not in "".join(traceback.format_exception(caught.value))


async def test_a_silent_one(pair: tuple[FaultProxy, FaultProxy], backend: str) -> None:
    """It gets its share of the time, and is then tried last for a while."""
    option = "timeout" if backend == "postgresql" else "connect_timeout"
    pair[0].timeout()
    engine = await build(address(pair, **{option: "1"}), pool_size=2)
    began = time.monotonic()
    async with engine.connections.acquire():
        assert 0.4 < time.monotonic() - began
        began = time.monotonic()
        async with engine.connections.acquire():
            assert time.monotonic() - began < 0.4
    assert 1 == pair[0].connections
    await engine.close()


async def test_a_wrong_password_ends_the_search(pair: tuple[FaultProxy, FaultProxy]) -> None:
    """Others would refuse it as well, and lock the account sooner."""
    engine = await build(address(pair).set(password="wrong"))
    with pytest.raises(ConnectionFailedError, match="user or the password"):
        await engine.open()
    assert 0 == pair[1].connections


@pytest.mark.parametrize(
    ("role", "is_found"),
    [
        ("any", True),
        ("primary", True),
        ("read-write", True),
        ("prefer-standby", True),
        ("standby", False),
        ("read-only", False),
    ],
)
async def test_roles(pair: tuple[FaultProxy, FaultProxy], role: str, is_found: bool) -> None:
    """A server that is not what was asked for is passed over."""
    engine = await build(address(pair, target_session_attrs=role))
    if is_found:
        assert [] == await words(engine)
    else:
        with pytest.raises(ConnectionFailedError, match=r"it (is not|takes writes)"):
            await words(engine)
        assert [1, 1] == [each.connections for each in pair]
    await engine.close()


async def test_role_of_a_single_host(engine: AndamiosEngine, backend: str) -> None:
    """One host may be asked for its role too."""
    if backend == "sqlite":
        pytest.skip("SQLite has no server")
    query = {"target_session_attrs": "standby"}
    alone = await build(engine.url.update_query_dict(query))
    with pytest.raises(ConnectionFailedError, match="any of the hosts"):
        await alone.open()


REFUSE = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'read-only'",
}


async def test_a_real_server_changes_its_role(
    backend: str, service_faults: ServiceFaultsMaker, fault_proxy: FaultProxyMaker
) -> None:
    """One that only reads is passed over by who writes, and found by who reads."""
    faults = await service_faults(backend)
    other = await fault_proxy(faults.url)
    pair = (faults.proxy, other)
    writes = await build(address(pair, target_session_attrs="read-write"))
    reads = await build(address(pair, target_session_attrs="read-only"))
    async with writes:
        await writes.create_all(LibWord)
    await faults.read_only()
    with pytest.raises(ConnectionFailedError, match=r"it (is not read-write|only reads)"):
        await writes.open()
    async with reads:
        assert [] == await words(reads)
    await faults.read_write()
    with pytest.raises(ConnectionFailedError, match=r"it (is not read-only|takes writes)"):
        await reads.open()
    async with writes:
        await write(writes, "one")
        assert ["one"] == await words(writes)
        await faults.read_only()
        with pytest.raises(ReadOnlyError) as caught:
            await write(writes, "two")
        assert (True, True) == (caught.value.has_moved, is_retryable(caught.value))


class Demoted:
    """An operation that meets, the first time, a server that takes no writes any more."""

    def __init__(self, engine: AndamiosEngine, backend: str) -> None:
        self._engine = engine
        self._refuse = REFUSE["postgresql" if backend == "postgresql" else "mysql"]
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1
        async with self._engine.session() as session:
            if self.calls == 1:
                await session.execute(text(self._refuse))
                await session.commit()
            session.add(LibWord(word="written"))


async def test_a_primary_that_became_a_standby(
    pair: tuple[FaultProxy, FaultProxy], through: AndamiosEngine, backend: str
) -> None:
    """A write it refuses drops its connections, may be repeated, and then goes elsewhere."""
    await words(through)
    assert 0 == pair[1].connections
    operation = Demoted(through, backend)
    await ConnectionResilience(through, wait=wait_none()).execute_with_retry(operation)
    assert (2, 1) == (operation.calls, pair[1].connections)
    assert ["written"] == await words(through)
    assert 0 == through.connections.stats().in_use


async def test_a_single_host_that_only_reads(engine: AndamiosEngine, backend: str) -> None:
    """There is nowhere else to go, so that nothing is repeated."""
    if backend == "sqlite":
        pytest.skip("SQLite has no server")
    operation = Demoted(engine, backend)
    with pytest.raises(ReadOnlyError) as caught:
        await operation()
    assert (False, False) == (caught.value.has_moved, is_retryable(caught.value))
    await engine.close()  # with the connection that only reads


async def test_who_only_reads_stays(
    pair: tuple[FaultProxy, FaultProxy], through: AndamiosEngine, backend: str
) -> None:
    """A write in a session that was opened for reading is a mistake, not a failover."""
    with pytest.raises(ReadOnlyError) as caught:
        async with through.session(read_only=True) as session:
            await session.execute(text(f"DELETE FROM {LibWord.__tablename__}"))
    assert not caught.value.has_moved
    assert backend
    assert 0 == pair[1].connections


async def test_the_short_way(
    pair: tuple[FaultProxy, FaultProxy], through: AndamiosEngine, backend: str
) -> None:
    """A repository on the engine finds its way too."""
    repository = GenericRepository[LibWord](through)
    if backend == "postgresql":
        async with through.connections.acquire() as connection:
            await connection.execute(text(REFUSE[backend]))
            await connection.commit()
        with pytest.raises(ReadOnlyError) as caught:
            await repository.create(LibWord(word="refused"))
        assert caught.value.has_moved
        await repository.create(LibWord(word="taken"))
        assert 1 == pair[1].connections
    await pair[0].down()
    assert ["taken"] * (backend == "postgresql") == [each.word for each in await repository.list()]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority that no system knows."""
    return Authority(tmp_path)


async def test_certificates_are_for_the_host_that_is_connected_to(
    test_database: str, backend: str, authority: Authority
) -> None:
    """One server under two names: only that on its certificate is believed."""
    if backend == "sqlite":
        pytest.skip("SQLite has no server")
    target = make_url(test_database)
    assert target.host is not None
    context = authority.contexts["127.0.0.1"]
    default = 5432 if backend == "postgresql" else 3306
    with proxy((target.host, target.port or default), terminating(backend, context)) as between:

        async def seen(*hosts: str) -> bool:
            places = tuple(f"{host}:{between.port}" for host in hosts)
            url = target.update_query_dict({"host": places})
            engine = await build(url, tls="verify", tls_ca=authority.file)
            try:
                async with engine.session(read_only=True) as session:
                    return 1 == await session.scalar(text("SELECT 1"))
            finally:
                await engine.close()

        assert await seen("localhost", "127.0.0.1")
        assert await seen("127.0.0.1", "localhost")
        with pytest.raises(ConnectionFailedError, match="not valid for 'localhost'"):
            await seen("localhost", "localhost")
