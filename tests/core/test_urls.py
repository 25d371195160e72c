"""Database URLs: which driver they mean, and what is wrong with a bad one."""

import traceback
from typing import Any

import pytest

from andamios import AndamiosEngine, ConfigurationError, MissingDependencyError
from andamios.core.urls import make_url


@pytest.mark.parametrize(
    ("given", "driver", "dialect"),
    [
        ("sqlite://", "sqlite+aiosqlite", "sqlite"),
        ("sqlite:///app.db", "sqlite+aiosqlite", "sqlite"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg", "postgresql"),
        ("postgres://u:p@h/d", "postgresql+asyncpg", "postgresql"),
        ("mysql://u:p@h/d", "mysql+aiomysql", "mysql"),
        ("mysql+asyncmy://u:p@h/d", "mysql+asyncmy", "mysql"),
        ("mariadb://u:p@h/d", "mariadb+aiomysql", "mariadb"),
        ("sqlite+aiosqlite:///app.db", "sqlite+aiosqlite", "sqlite"),
    ],
)
def test_driver(given: str, driver: str, dialect: str) -> None:
    """A bare scheme gets its asynchronous driver; one that is written out stays."""
    engine = AndamiosEngine(given, uvloop=False)
    assert (driver, dialect) == (engine.url.drivername, engine.backend)


BAD = [
    "",
    "no url at all",
    "postgresql:/u:secret@h/d",
    "postgresql://u:secret@h:port/d",
    "oracle://u:secret@h/d",
    "sqlite+nodriver:///app.db",
    "mysql+pymysql://u:secret@h/d",
    "sqlite+json:///app.db",
    "postgresql+aiosqlite://u:secret@h/d",
    None,
    7,
]


@pytest.mark.parametrize("url", BAD)
def test_bad_url(url: Any) -> None:
    """A bad URL is one clear line, and a password in it is not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        AndamiosEngine(url, uvloop=False)
    assert 1 == len(str(caught.value).splitlines())
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_unknown_database_is_named() -> None:
    """The message says what was not understood, and what would be."""
    with pytest.raises(ConfigurationError, match=r"Unknown database 'oracle'.*postgresql://"):
        make_url("oracle://h/d")


def test_driver_that_is_no_asynchronous_one() -> None:
    """A driver that is installed but cannot wait is named as such."""
    with pytest.raises(ConfigurationError, match="pymysql"):
        AndamiosEngine("mysql+pymysql://u@h/d", uvloop=False)


def test_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that is not installed is a command to run."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingDependencyError) as caught:
        make_url("postgresql://h/d")
    assert ("asyncpg", "postgres") == (caught.value.package, caught.value.extra)


@pytest.mark.parametrize("show", [repr, str, lambda engine: str(engine.url)])
def test_password_is_hidden(show: Any) -> None:
    """Neither the engine nor its URL show the password."""
    engine = AndamiosEngine("postgresql://u:secret@h/d", uvloop=False)
    assert "secret" not in show(engine)


def test_repr_shows_where() -> None:
    """The rest of the URL is shown."""
    engine = AndamiosEngine("postgresql://u:secret@h:5/d", uvloop=False)
    assert "AndamiosEngine('postgresql+asyncpg://u:***@h:5/d')" == repr(engine)


def test_part_of_a_password_is_no_host() -> None:
    """An @ that was not written as %40 shows nothing of the password."""
    for password in ("p@ss", "p@ss/word", "p/a@ss"):
        with pytest.raises(ConfigurationError, match="%40") as caught:
            make_url(f"postgresql://user:{password}@127.0.0.1:1/d")
        assert "ss" not in str(caught.value).replace("password", "")
