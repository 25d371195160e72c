"""Passwords: asked for when a connection is made, and shown nowhere."""

import logging
import traceback
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import literal, select, text
from sqlalchemy.engine import make_url

from andamios import AndamiosEngine, ConfigurationError, ConnectionFailedError

SECRET = "planted-secret"


def shown(error: BaseException) -> str:
    """Everything that a log would hold of an error."""
    return "".join([repr(error), str(error), *traceback.format_exception(error)])


@pytest.mark.parametrize("wrong", [None, SECRET])
@pytest.mark.parametrize("wrap", [str, SecretStr])
async def test_provider(
    test_database: str, backend: str, wrong: str | None, wrap: type[Any]
) -> None:
    """Each new connection asks, and what the URL says does not matter."""
    if backend == "sqlite":
        pytest.skip("SQLite asks for no password")
    url, asked = make_url(test_database), []

    async def provide() -> Any:
        asked.append(1)
        return wrap(url.password)

    engine = AndamiosEngine(
        url.set(password=wrong), uvloop=False, pool_size=2, password_provider=provide
    )
    async with engine, engine.connections.acquire(), engine.connections.acquire() as second:
        assert 1 == await second.scalar(text("SELECT 1"))
    assert 2 == len(asked)


async def test_provider_that_fails() -> None:
    """No connection is tried, and the reason stays the cause."""

    async def provide() -> str:
        raise LookupError

    engine = AndamiosEngine("mysql://u@127.0.0.1:1/d", uvloop=False, password_provider=provide)
    with pytest.raises(ConnectionFailedError, match=r"provider failed \(LookupError\)") as caught:
        await engine.open()
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize(
    ("url", "provider"), [("sqlite://", lambda: None), ("mysql://u@127.0.0.1/d", "text")]
)
def test_provider_that_cannot_be(url: str, provider: Any) -> None:
    """A provider for SQLite, and something that cannot be called, are refused."""
    with pytest.raises(ConfigurationError, match="password_provider"):
        AndamiosEngine(url, uvloop=False, password_provider=provider)


async def test_wrong_password(test_database: str, backend: str) -> None:
    """A server that refuses a password is told about without it, from a provider too."""
    if backend == "sqlite":
        pytest.skip("SQLite asks for no password")
    url = make_url(test_database).set(password=SECRET)

    async def provide() -> str:
        return SECRET

    for engine in (
        AndamiosEngine(url, uvloop=False),
        AndamiosEngine(url.set(password=None), uvloop=False, password_provider=provide),
    ):
        with pytest.raises(ConnectionFailedError) as caught:
            await engine.open()
        assert SECRET not in shown(caught.value) + repr(engine) + repr(engine.async_engine)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    ("user", "query"),
    [(f"u:{SECRET}", ""), (f"u:{SECRET}", "?no_such_option=1"), ("u", f"?password={SECRET}")],
)
async def test_unreachable_server_and_wrong_option(scheme: str, user: str, query: str) -> None:
    """Neither the engine's text nor an error shows the password, wherever the URL has it."""
    engine = AndamiosEngine(f"{scheme}://{user}@127.0.0.1:1/d{query}", uvloop=False)
    with pytest.raises((ConnectionFailedError, ConfigurationError)) as caught:
        await engine.open()
    assert SECRET not in shown(caught.value) + repr(engine) + str(engine.url)
    assert SECRET == engine.url.password


async def test_echo_shows_no_values(test_database: str, caplog: pytest.LogCaptureFixture) -> None:
    """A log of statements has no values, unless somebody asks for them."""
    caplog.set_level(logging.INFO)  # aiosqlite itself logs everything at DEBUG
    for hidden in (True, False):
        caplog.clear()
        options: dict[str, Any] = {} if hidden else {"hide_parameters": False}
        engine = AndamiosEngine(test_database, uvloop=False, echo=True, **options)
        async with engine, engine.session() as session:
            await session.execute(select(literal(SECRET) == literal("x")))
        assert "SELECT" in caplog.text
        assert hidden is (SECRET not in caplog.text)
    logging.getLogger("sqlalchemy.engine.Engine").handlers.clear()
