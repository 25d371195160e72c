"""Details of a service, and the provider that takes an address from the environment."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Run, ServiceDetails, ServiceUnavailableError
from harness.providers import candidates

DETAILS = ServiceDetails("postgresql", "127.0.0.1", 5432, user="u", password="p@/:", database="d")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Run.create(tmp_path) as run:
        yield run


def test_url_quotes_credentials() -> None:
    """Passwords may hold what means something in a URL."""
    assert "postgresql://u:p%40%2F%3A@127.0.0.1:5432/d" == DETAILS.url()


def test_url_names_driver_and_database() -> None:
    """The driver goes into the scheme, another database into the path."""
    assert DETAILS.url("asyncpg", "other").startswith("postgresql+asyncpg://")
    assert DETAILS.url(database="other").endswith(":5432/other")


def test_url_of_an_ipv6_host() -> None:
    """Colons of the host are kept apart from that of the port."""
    assert "redis://[::1]:6379/0" == ServiceDetails("redis", "::1", 6379, database="0").url()


def test_password_is_not_shown() -> None:
    """A failing test prints details, and CI keeps what it prints."""
    assert "p@/:" not in repr(DETAILS)


def test_an_address_that_was_set_is_the_only_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody who set an address wants tests to pass on another server."""
    monkeypatch.setenv("ANDAMIOS_REDIS_URL", "redis://127.0.0.1")
    monkeypatch.delenv("ANDAMIOS_MYSQL_URL", raising=False)
    assert ("url",) == candidates("redis", "auto")
    assert ("docker", "local") == candidates("mysql", "auto")
    assert ("local",) == candidates("redis", "local")


def test_service_from_an_address(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that somebody else runs is asked who it is, like any other."""
    ours = run.service("redis", "local")
    monkeypatch.setenv("ANDAMIOS_REDIS_URL", f"{ours.url()}?protocol=3")
    theirs = run.service("redis")

    assert "url" == theirs.provider
    assert (ours.flavour, ours.version) == (theirs.flavour, theirs.version)
    assert theirs.url() == f"{ours.url()}?protocol=3"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (None, "ANDAMIOS_REDIS_URL is not set"),
        ("redis://127.0.0.1:1", "unset ANDAMIOS_REDIS_URL"),
        ("redis://127.0.0.1:port", "ANDAMIOS_REDIS_URL is no URL"),
        ("127.0.0.1", "names no host"),
    ],
)
def test_an_address_that_does_not_work(
    run: Run, monkeypatch: pytest.MonkeyPatch, address: str | None, message: str
) -> None:
    """One line says what is wrong with the variable."""
    monkeypatch.delenv("ANDAMIOS_REDIS_URL", raising=False)
    if address:
        monkeypatch.setenv("ANDAMIOS_REDIS_URL", address)
    with pytest.raises(ServiceUnavailableError, match=message) as caught:
        run.service("redis", "url")
    assert "\n" not in str(caught.value)


def test_unknown_names(run: Run) -> None:
    """A wrong word is answered with the right ones."""
    with pytest.raises(ServiceUnavailableError, match="use auto, url, docker, local"):
        run.service("redis", "podman")
    with pytest.raises(ServiceUnavailableError, match="use postgresql, mysql, mariadb, redis"):
        run.service("oracle")  # type: ignore[arg-type]
