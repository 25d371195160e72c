"""TLS: what is the default, what URLs may say, and what a server without it gets to see."""

import asyncio
import traceback
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from andamios import AndamiosEngine, AsyncSession, ConfigurationError, ConnectionFailedError
from andamios.core.tls import TLS, take_tls
from tests.core.tls_proxy import Authority, plain, proxy, terminating

DEFAULTS = [
    ("postgresql://db.example/d", "verify"),
    ("mysql://10.0.0.7/d", "verify"),
    ("mysql+asyncmy://db/d", "verify"),
    ("postgresql://u@/d?host=a:5432&host=127.0.0.1:5432", "verify"),
    ("postgresql://localhost.evil.example/d", "verify"),
    ("postgresql://127.evil.example/d", "verify"),
    ("postgresql://[2001:db8::1]/d", "verify"),
    ("mysql://h/d?read_default_file=my.cnf", "verify"),
    ("mysql://u@/d?read_default_file=my.cnf", "verify"),
    ("mysql://localhost/d?read_default_file=my.cnf", "verify"),
    ("mysql+asyncmy://localhost/d?read_default_group=client", "verify"),
    ("mysql://localhost/d?host=db.example", "verify"),
    ("postgresql://localhost/d?host=db.example", "verify"),
    ("postgresql://u@/d?dsn=postgresql://db.example/d", "verify"),
    ("postgresql://u@/d?service=there", "verify"),
    ("postgresql://localhost/d", "disable"),
    ("postgresql://127.3.2.1/d", "disable"),
    ("postgresql://[::1]/d", "disable"),
    ("postgresql://u@/d", "disable"),
    ("postgresql://u@/d?host=/var/run/postgresql", "disable"),
    ("postgresql://u@/d?host=localhost:1&host=127.0.0.1:2", "disable"),
    ("mysql://u@/d", "disable"),
    ("mysql://u@/d?unix_socket=/run/mysqld.sock", "disable"),
]


@pytest.mark.parametrize(("url", "mode"), DEFAULTS)
def test_default(url: str, mode: str) -> None:
    """Whoever is not on this machine must prove who it is, unless something else is written."""
    assert TLS(mode) == take_tls(make_url(url), {}, {})[1]


def test_default_follows_the_host_that_the_driver_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment and connect_args may name another host than the URL."""
    here = make_url("postgresql://u@/d")
    assert TLS("verify") == take_tls(here, {}, {"host": "db.example"})[1]
    monkeypatch.setenv("PGHOST", "db.example")
    assert TLS("verify") == take_tls(here, {}, {})[1]


SPELLED = [
    ("postgresql://h/d?sslmode=disable", TLS("disable")),
    ("postgresql://h/d?sslmode=prefer", TLS("encrypt")),
    ("postgresql://h/d?sslmode=require", TLS("encrypt")),
    ("postgresql://h/d?ssl=require", TLS("encrypt")),
    ("postgresql://h/d?sslmode=require&sslrootcert=c", TLS("verify", "c", checks_name=False)),
    ("postgresql://h/d?sslmode=verify-ca&sslrootcert=c", TLS("verify", "c", checks_name=False)),
    ("postgresql://h/d?sslmode=verify-full&sslrootcert=system", TLS("verify")),
    ("postgresql://h/d?sslcert=c&sslkey=k", TLS("verify", cert="c", key="k")),
    ("mysql://h/d?ssl_mode=REQUIRED", TLS("encrypt")),
    ("mysql://h/d?ssl-mode=VERIFY_IDENTITY&ssl-ca=c", TLS("verify", "c")),
    ("mysql://127.0.0.1/d?ssl_ca=c&ssl_cert=d&ssl_key=k", TLS("verify", "c", "d", "k")),
    ("mysql://h/d?tls=encrypt&tls_cert=d", TLS("encrypt", cert="d")),
]


@pytest.mark.parametrize(("url", "expected"), SPELLED)
def test_spellings_of_others(url: str, expected: TLS) -> None:
    """What libpq and MySQL write in URLs is understood, and no driver sees it."""
    rest, found = take_tls(make_url(f"{url}&kept=1"), {}, {})
    assert (expected, {"kept": "1"}) == (found, dict(rest.query))


WRONG = [
    ("postgresql://h/d?sslmode=maybe", {}, "verify-full"),
    ("postgresql://h/d?sslmode=disable&sslmode=require", {}, "verify-full"),
    ("postgresql://h/d?sslcrl=file", {}, "'sslcrl'.*tls_ca"),
    ("postgresql://h/d?sslmode=disable", {"tls": "verify"}, "contradict"),
    ("postgresql://h/d?sslrootcert=a", {"tls_ca": "b"}, "contradict"),
    ("postgresql://h/d", {"tls": "yes"}, "'encrypt' or 'disable'"),
    ("postgresql://h/d", {"tls": True}, "'encrypt' or 'disable'"),
    ("postgresql://h/d", {"tls": "encrypt", "tls_ca": "a"}, "tls='verify'"),
    ("postgresql://h/d", {"tls": "disable", "tls_ca": "a"}, "tls='verify'"),
    ("postgresql://h/d", {"tls": "disable", "tls_cert": "a"}, "leave out tls_cert"),
    ("postgresql://h/d", {"tls_key": "a"}, "needs tls_cert"),
    ("postgresql://h/d", {"tls": "verify", "connect_args": {"ssl": True}}, "connect_args"),
    ("postgresql://u@/d?host=/run", {"tls": "verify"}, "socket"),
    ("mysql://u@/d?unix_socket=/run/s&ssl_ca=c", {}, "socket"),
    ("sqlite://", {"tls": "verify"}, "SQLite"),
]


@pytest.mark.parametrize(("url", "options", "words"), WRONG)
def test_contradictions_and_unknown_words(url: str, options: dict[str, Any], words: str) -> None:
    """What cannot be meant is refused when the engine is built, with the choices."""
    with pytest.raises(ConfigurationError, match=words):
        AndamiosEngine(url, uvloop=False, **options)


def test_option_repeats_the_url() -> None:
    """Saying the same twice is no contradiction, and SQLite may be told that it has no TLS."""
    AndamiosEngine("postgresql://h/d?sslmode=verify-full", uvloop=False, tls="verify")
    AndamiosEngine("sqlite://", uvloop=False, tls="disable")


MODES = [
    ("postgresql://db.example/d", {}, "verify"),
    ("postgresql://db.example/d?sslmode=require", {}, "encrypt"),
    ("mysql://127.0.0.1/d", {}, "disable"),
    ("postgresql://h/d", {"connect_args": {"ssl": True}}, None),
    ("sqlite://", {}, None),
]


@pytest.mark.parametrize(("url", "options", "mode"), MODES)
def test_an_engine_tells_its_mode(url: str, options: dict[str, Any], mode: str | None) -> None:
    """What was decided can be read; None is the default, and so is not to write it."""
    nothing = dict.fromkeys(("tls", "tls_ca", "tls_cert", "tls_key"))
    engine = AndamiosEngine(url, uvloop=False, **nothing, **options)
    assert mode == engine.tls


@pytest.mark.parametrize("driver", ["postgresql", "mysql", "mysql+asyncmy"])
@pytest.mark.parametrize(
    ("query", "expected"),
    [("", (True, True)), ("?sslmode=require", (False, False)), ("?sslmode=disable", False)],
)
async def test_what_the_driver_gets(driver: str, query: str, expected: object) -> None:
    """The driver is told in every case, so that it has nothing to negotiate."""
    seen: list[Any] = []

    async def connect(**options: Any) -> None:
        seen.append(options["ssl"])
        raise OSError

    url = f"{driver}://u@db.example/d{query}"
    engine = await build(url, connect_args={"async_creator_fn": connect})
    with pytest.raises(ConnectionFailedError):
        await engine.open()
    found = seen[0]
    assert expected == (found and (found.verify_mode.value > 0, found.check_hostname))


async def test_missing_file_is_found_with_the_first_connection(tmp_path: Path) -> None:
    """Building an engine reads no file; a missing one is named when it is needed."""
    url = f"postgresql://127.0.0.1:1/d?sslrootcert={tmp_path}/none.pem"
    engine = AndamiosEngine.from_env({"ANDAMIOS_DATABASE_URL": url})
    with pytest.raises(ConfigurationError, match=r"none\.pem \(No such file"):
        await engine.open()
    await asyncio.to_thread((tmp_path / "none.pem").write_text, "no certificate")
    with pytest.raises(ConfigurationError, match=r"none\.pem .*PEM"):
        await engine.open()


async def build(url: URL | str, **options: Any) -> AndamiosEngine:
    """Build an engine in a thread: SQLAlchemy reads asyncmy's version from a file."""
    return await asyncio.to_thread(AndamiosEngine, url, uvloop=False, **options)


DRIVERS = ["postgresql+asyncpg", "mysql+aiomysql", "mysql+asyncmy"]


@pytest.fixture(params=DRIVERS)
def address(request: pytest.FixtureRequest, test_database: str, backend: str) -> URL:
    """This worker's database through each driver of its backend."""
    if not request.param.startswith(backend):
        pytest.skip("a driver of another backend")
    pytest.importorskip(request.param.partition("+")[2])
    return make_url(test_database).set(drivername=request.param)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority that no system knows."""
    return Authority(tmp_path)


def through(address: URL, port: int, **query: str) -> URL:
    """Give the address of a proxy in front of the server."""
    return address.set(host="127.0.0.1", port=port).update_query_dict(query)


def target(address: URL) -> tuple[str, int]:
    """Where the server listens."""
    assert address.host is not None
    return address.host, address.port or (5432 if "postgresql" in address.drivername else 3306)


async def test_verified(address: URL, backend: str, authority: Authority) -> None:
    """A certificate of the named authority, for this host, is believed; also from a URL alone."""
    meet = terminating(backend, authority.contexts["127.0.0.1"])
    with proxy(target(address), meet) as between:
        url = through(address, between.port, tls="verify", tls_ca=str(authority.file))
        session = await asyncio.to_thread(AsyncSession, url)
        async with session:
            assert 1 == await session.scalar(text("SELECT 1"))
    assert between.seen


@pytest.mark.parametrize(
    ("host", "knows_authority", "words"),
    [("elsewhere.example", True, "not valid for"), ("127.0.0.1", False, "issuer certificate")],
)
async def test_not_verified(
    address: URL, backend: str, authority: Authority, host: str, knows_authority: bool, words: str
) -> None:
    """Another name, or an authority that nobody knows, is refused before the password is sent."""
    options = {"tls_ca": authority.file} if knows_authority else {}
    with proxy(target(address), terminating(backend, authority.contexts[host])) as between:
        url = through(address, between.port)
        engine = await build(url, tls="verify", **options)
        with pytest.raises(ConnectionFailedError, match=rf"{words}.*tls_ca=") as caught:
            await engine.open()
    assert b"" == between.seen
    assert str(url.password) not in "".join(traceback.format_exception(caught.value))


async def test_chain_without_name(address: URL, backend: str, authority: Authority) -> None:
    """``verify-ca`` checks who signed, and not for whom."""
    meet = terminating(backend, authority.contexts["elsewhere.example"])
    with proxy(target(address), meet) as between:
        url = through(address, between.port, sslmode="verify-ca", sslrootcert=str(authority.file))
        async with await build(url):
            assert between.seen


@pytest.mark.parametrize("mode", ["verify", "encrypt"])
async def test_server_without_tls(address: URL, backend: str, mode: str) -> None:
    """A server that says it has no TLS gets no byte of a log-in."""
    errors: list[ConnectionFailedError] = []
    with proxy(target(address), plain(backend)) as between:
        engine = await build(through(address, between.port), tls=mode)
        try:
            await engine.open()
        except ConnectionFailedError as error:
            errors.append(error)
        await engine.close()
    sent = bytes(between.seen)
    if address.get_driver_name() == "asyncmy":
        # It does not look at the greeting and starts TLS, with which this server can deal.
        assert str(address.username).encode() not in sent
        return
    assert b"" == sent
    assert "TLS: the server offers none" in str(errors[0])
    assert str(address.password) not in "".join(traceback.format_exception(errors[0]))


async def test_server_without_tls_when_it_is_off(address: URL, backend: str) -> None:
    """With ``disable`` the same server is good enough."""
    if backend == "postgresql":
        pytest.skip("no request for TLS is sent, so that there is nothing to answer")
    with proxy(target(address), plain(backend)) as between:
        async with await build(through(address, between.port), tls="disable"):
            assert between.seen


async def test_real_server(address: URL, backend: str) -> None:
    """MySQL makes certificates of its own: good enough to encrypt, and no proof."""
    if backend == "postgresql":
        pytest.skip("PostgreSQL has no certificate of its own")

    async def cipher(mode: str) -> str:
        async with (
            await build(address, tls=mode) as engine,
            engine.connections.acquire() as connection,
        ):
            row = await connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'"))
            return str(row.one()[1])

    if "" == await cipher("encrypt"):
        pytest.fail("not encrypted")
    assert "" == await cipher("disable")
    with pytest.raises(ConnectionFailedError, match="cannot be trusted"):
        await cipher("verify")
