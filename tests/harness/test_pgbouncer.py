"""PgBouncer as the harness starts it: before whose tests it stands, and when it ends."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from harness import Run, ServiceUnavailableError
from harness.folders import make_folder
from harness.local.pgbouncer import start_pgbouncer
from harness.services import ProviderError
from tests.harness.inner import run_pytest

if TYPE_CHECKING:
    from harness.fixtures.isolation import Tier

on_postgresql = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)


@pytest.fixture(scope="session")
def default_isolation() -> Tier:
    """What a project has that says nothing."""
    return "rolled_back"


@on_postgresql
def test_tests_through_it_commit(pgbouncer: str, test_database: str, isolation: Tier) -> None:
    """It leads to the database of the test, in the tier that it needs."""
    ours, its = make_url(test_database), make_url(pgbouncer)
    assert "committing" == isolation
    assert (ours.database, ours.username) == (its.database, its.username)
    assert ours.port != its.port


@on_postgresql
def test_a_tier_that_is_asked_for_goes_first(
    pgbouncer: str, own_database: str, isolation: Tier
) -> None:
    """A database for this test alone may be reached through it too."""
    assert "own" == isolation
    assert make_url(own_database).database == make_url(pgbouncer).database


def test_it_ends_with_its_run() -> None:
    """Nobody has to stop it: what is in the folder of a run ends with the run."""
    with tempfile.TemporaryDirectory(prefix="andamios-runs-") as folder:
        Path(folder).chmod(0o711)
        with Run.create(folder) as run:
            try:
                server = make_url(run.service("postgresql", "local").url())
                own = make_folder(run.path / "pgbouncer-gw0")
                details = start_pgbouncer(server, own, {"default_pool_size": "1"})
            except (ServiceUnavailableError, ProviderError) as error:
                pytest.skip(str(error))
            wrong = details.url().replace(details.password, "wrong")
            with pytest.raises(asyncpg.PostgresError):
                asyncio.run(asyncpg.connect(wrong))
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(asyncpg.connect(details.url()))


UNAVAILABLE = """
import pytest

@pytest.fixture(scope="session")
def database_server():
    return "postgresql://u:p@127.0.0.1:1/d"

def test_it(pgbouncer_server):
    pass
"""


@pytest.mark.parametrize(
    ("options", "outcome"),
    [((), {"skipped": 1}), (("--harness-require=pgbouncer",), {"errors": 1})],
)
def test_a_machine_without_it(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    outcome: dict[str, int],
) -> None:
    """Tests are skipped with the reason, or fail where it is required."""
    monkeypatch.setenv("PATH", str(pytester.path))
    monkeypatch.setattr("harness.local.pgbouncer._PLACES", str(pytester.path))
    monkeypatch.setenv("ANDAMIOS_HARNESS_CACHE", str(pytester.path / "cache"))
    for_it = ("--harness-backends=postgresql", "--harness-provider=url", "-rs")
    result = run_pytest(pytester, UNAVAILABLE, *for_it, *options)
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(["*no apt-get here to get server packages with*"])
