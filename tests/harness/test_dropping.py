"""Databases on servers that outlive the run: dropped in the end, however it ends."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

import harness
from harness import Run
from harness.__main__ import main
from harness.ledger import LedgerEntry
from harness.runs.kept import KeptRun
from harness.runs.kept_databases import KeptDatabases
from harness.runs.sweeping import sweep

ROOT = Path(harness.__file__).parents[1]
KILLED = """
import os, signal, sys
from harness import Run
run = Run.create(sys.argv[1], keep=True)
server = run.service('redis', 'local')
run.ledger.add(server.url(database='5'), 'gw0')
run.ledger.add(server.url(database='6'), 'gw1')
run.ledger.remove(server.url(database='6'))
print(server.url(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def base() -> Iterator[Path]:
    # Not tmp_path: a server that runs as another user has to get through.
    with tempfile.TemporaryDirectory(prefix="andamios-dropping-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)
        KeptRun(Path(folder)).stop()


def fill(url: str, *databases: str) -> None:
    for database in databases:
        with Redis.from_url(url.removesuffix("0") + database) as client:
            client.set("some", "thing")


def sizes(url: str, *databases: str) -> list[int]:
    found = []
    for database in databases:
        with Redis.from_url(url.removesuffix("0") + database) as client:
            found.append(int(str(client.dbsize())))
    return found


def test_databases_of_a_killed_run_are_swept(base: Path) -> None:
    """What stands in its ledger is dropped on the kept server, and nothing else."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, base],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    url = killed.stdout.strip()
    fill(url, "5", "6", "7")

    assert 1 == len(sweep(base))
    assert [0, 1, 1] == sizes(url, "5", "6", "7")
    assert [True] == [server.is_alive() for server in KeptRun(base).servers()]
    assert [] == KeptDatabases(base).all()


def test_a_run_that_ends_drops_what_its_workers_left(base: Path) -> None:
    """A worker that was killed could not do it itself."""
    with Run.create(base, keep=True) as run:
        url = run.service("redis", "local").url()
        Run.join(run.path, keep=True).ledger.add(url.removesuffix("0") + "5", "gw0")
        fill(url, "5")
    assert [0] == sizes(url, "5")


def test_databases_of_own_servers_go_with_them(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody tries to reach a server that the run itself has just stopped."""
    with Run.create(base) as run:
        run.ledger.add(run.service("redis", "local").url(), "gw0")
    assert [] == caplog.messages
    assert [] == KeptDatabases(base).all()


def test_a_server_that_answers_no_more(
    base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets some seconds and one line; its databases are listed, for `down` to try again."""
    monkeypatch.setattr("harness.runs.dropping._LIMIT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        urls = [f"redis://:secret@{where}/{number}" for number in range(3)]
        began = time.monotonic()
        with Run.create(base) as run:
            for url in urls:
                run.ledger.add(url, "gw0")
        assert time.monotonic() - began < 5

    assert [f"harness: 3 database(s) left at {where}: no answer within 0 s"] == caplog.messages
    assert urls == [entry.url for entry in KeptDatabases(base).all()]
    assert not run.path.exists()
    (base / "kept" / "databases").unlink()


def test_down_drops_databases_that_were_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], base: Path
) -> None:
    """Files of failed tests go; what cannot be dropped is named, and fails the command."""
    monkeypatch.setattr("harness.commands.down.base_folder", lambda _: base)
    file = base / "failed.db"
    file.touch()
    databases = KeptDatabases(base)
    kept = databases.keep(LedgerEntry(f"sqlite:///{file}", "gw0", "run", "test_it"))
    assert kept is not None
    assert 0 == main(["down"])
    assert "dropped 1 database(s)\n" == capsys.readouterr().out
    assert not Path(kept.url.removeprefix("sqlite:///")).exists()

    databases.add(LedgerEntry("mysql://u:p@127.0.0.1:1/d", "", "run", shown="mysql://u@h/d"))
    assert 1 == main(["down"])
    assert "could not drop mysql://u@h/d: drop it by hand" in capsys.readouterr().out
    assert [] == databases.all()
