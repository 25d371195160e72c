"""Kept servers: they outlive runs, are checked before reuse, and end with `down` only."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import harness
from harness import Run
from harness.ledger import LedgerEntry
from harness.runs.kept import KeptRun
from harness.runs.kept_databases import KeptDatabases
from harness.runs.outcomes import write_outcome
from harness.runs.sweeping import sweep
from harness.services import ProviderError, ProviderName, ServiceDetails, ServiceOptions

ROOT = Path(harness.__file__).parents[1]
USE = """
import sys
from harness import Run
with Run.create(sys.argv[1], keep=True) as run:
    print(run.service('redis', 'local').port, len(run.starts()))
"""


@pytest.fixture
def base() -> Iterator[Path]:
    # Not tmp_path: a server that runs as another user has to get through.
    with tempfile.TemporaryDirectory(prefix="andamios-kept-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)
        KeptRun(Path(folder)).stop()


def server_of(base: Path, port: int) -> psutil.Process:
    for process in psutil.process_iter(["cmdline"]):
        if f":{port}" in " ".join(process.info["cmdline"] or ()):
            assert base.resolve() in Path(process.cwd()).resolve().parents
            return process
    raise AssertionError(f"nobody serves {port}")


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def use(base: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", USE, base],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_a_second_run_finds_the_server(base: Path) -> None:
    """It outlives the run that started it; the next one needs far less than 2 seconds."""
    with Run.create(base, keep=True) as first:
        details = first.service("redis", "local")
        assert ["redis"] == [start.service for start in first.starts()]
    began = time.monotonic()
    with Run.create(base, keep=True) as second:
        assert details == second.service("redis", "local")
        assert [details] == second.started()
        assert [] == second.starts()
    assert time.monotonic() - began < 2


def test_other_runs_do_not_use_it(base: Path) -> None:
    """Whoever doesn't ask for a kept server gets one of the run's own."""
    with Run.create(base, keep=True) as keeping, Run.create(base) as run:
        assert keeping.service("redis", "local").port != run.service("redis", "local").port


def test_no_sweep_touches_it(base: Path) -> None:
    """Kept servers have no controller that could be gone."""
    with Run.create(base, keep=True) as run:
        run.service("redis", "local")
    assert [] == sweep(base)
    assert [True] == [server.is_alive() for server in KeptRun(base).servers()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_server_is_replaced(base: Path, number: signal.Signals) -> None:
    """One that ended or answers no more is removed, with what is known of its databases."""
    with Run.create(base, keep=True) as run:
        details = run.service("redis", "local")
        run.kept.ledger.add(details.url(), "gw0", run=run.id, test="test_failed")
    old = server_of(base, details.port)
    old.send_signal(number)
    if number is signal.SIGKILL:
        psutil.wait_procs([old], timeout=5)
    with Run.create(base, keep=True) as run:
        new = run.service("redis", "local")
        assert 1 == len(run.starts())

    assert new.password != details.password
    assert has_ended(old)
    assert [True] == [server.is_alive() for server in KeptRun(base).servers()]
    assert [] == KeptDatabases(base).all()


def test_two_checkouts_at_once(base: Path) -> None:
    """Runs that ask at the same time share what the first of them starts."""
    users = [use(base) for _ in range(3)]
    answers = [user.communicate(timeout=60)[0].split() for user in users]

    assert 1 == len({port for port, _starts in answers})
    assert ["0", "0", "1"] == sorted(starts for _port, starts in answers)


def test_down_ends_it(base: Path) -> None:
    """The process is gone and so is its data; there is nothing to stop a second time."""
    with Run.create(base, keep=True) as run:
        details = run.service("redis", "local")
    process = server_of(base, details.port)

    assert ["redis-local"] == KeptRun(base).stop()
    assert has_ended(process)
    assert [] == [path for path in (base / "kept").iterdir() if path.is_dir()]
    assert [] == KeptRun(base).stop()


def test_one_that_cannot_be_stopped_leaves_no_other(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All others are stopped before the failure is told."""
    with Run.create(base, keep=True) as run:
        details = run.service("redis", "local")
    stuck = replace(details, name="postgresql")
    write_outcome(base / "kept", "postgresql-local", stuck)
    began = KeptRun(base)
    with monkeypatch.context() as patch:
        patch.setattr("harness.runs.kept._answers", lambda each: each == stuck)
        with pytest.raises(ProviderError, match=r"postgresql at .* can't be stopped"):
            began.stop()
    assert ["postgresql-local"] == [server.key for server in began.servers()]


def test_an_image_named_by_a_variable_is_another_server(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server from the usual image is not taken for one from the image that is asked for."""
    (base / "kept").mkdir()
    details = ServiceDetails("redis", "127.0.0.1", 1, provider="docker")
    write_outcome(base / "kept", "redis-docker", details)
    choices: tuple[ProviderName, ...] = ("local", "docker")
    kept, options = KeptRun(base), ServiceOptions()
    assert ("docker", "local") == kept.known_first("redis", choices, options)

    monkeypatch.setenv("ANDAMIOS_HARNESS_REDIS_IMAGE", "valkey/valkey:9")
    assert choices == kept.known_first("redis", choices, options)
    with pytest.raises(ProviderError, match="valkey/valkey:9"):
        kept.service("redis", "docker", options, journal=lambda _: None)


def test_what_cannot_be_read_is_replaced(base: Path) -> None:
    """Another version of the harness may have written other details."""
    with Run.create(base, keep=True) as run:
        run.service("redis", "local")
        (base / "kept" / "redis-local.outcome.json").write_text('{"details": {"other": 1}}')
    with Run.create(base, keep=True) as run:
        assert run.service("redis", "local").version
        assert 1 == len(run.starts())


def test_ten_databases_of_a_run_are_kept(base: Path) -> None:
    """Files are moved to the kept run; the eleventh is left to be dropped."""
    databases = KeptDatabases(base)
    for number in range(11):
        file = base / f"{number}.db"
        file.write_text(str(number))
        entry = LedgerEntry(f"sqlite:///{file}", "gw0", "run", f"test_{number}")
        assert (number < 10) is (databases.keep(entry) is not None)
    kept = databases.of_run("run")

    assert [f"test_{number}" for number in range(10)] == [entry.test for entry in kept]
    assert ["10.db"] == [path.name for path in base.glob("*.db")]
    assert "3" == Path(kept[3].url.removeprefix("sqlite:///")).read_text()
    assert databases.keep(LedgerEntry("mysql://h/d", "gw0", "other", "test")) is not None
