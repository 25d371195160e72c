"""The command line: servers up and down, what is there, and one line for what is wrong."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import harness
from harness import Run
from harness.__main__ import main
from harness.ledger import LedgerEntry
from harness.runs.kept import KeptRun
from harness.runs.kept_databases import KeptDatabases

ROOT = Path(harness.__file__).parents[1]

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Not tmp_path: a server that runs as another user has to get through.
    with tempfile.TemporaryDirectory(prefix="andamios-cli-") as folder:
        Path(folder).chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        base = Path(folder).resolve() / f"andamios-harness-{os.getuid()}"
        yield base
        KeptRun(base).stop()


@pytest.fixture
def command(
    base: Path,  # noqa: ARG001  where it works
    capsys: pytest.CaptureFixture[str],
) -> Command:
    def run(*words: str) -> tuple[int, str, str]:
        code = main(words)
        return code, *capsys.readouterr()

    return run


def test_up_status_down(command: Command) -> None:
    """Servers stay between commands, are found again, listed, and stopped."""
    code, address, progress = command("up", "redis", "--provider=local")
    assert 0 == code
    assert address.startswith("redis://:")
    assert " from local (" in progress
    assert ", started in " in progress

    code, again, progress = command("up", "redis", "--provider=local")
    assert (0, address) == (code, again)
    assert ", was running" in progress

    code, listed, _ = command("status")
    assert 0 == code
    assert address.strip() in listed
    assert " alive " in listed

    assert (0, "stopped redis-local\n", "") == command("down")
    assert (0, "nothing is kept\n", "") == command("down")
    assert (0, "servers: none\nruns: none\ndatabases: none\n", "") == command("status")


def test_env_prints_nothing_but_variables(command: Command) -> None:
    """What is printed can be given to `eval`; progress goes elsewhere."""
    code, lines, _ = command("up", "redis", "--provider=local", "--env")
    words = shlex.split(lines)

    assert 0 == code
    assert "export" == words[0]
    assert words[1].startswith("ANDAMIOS_REDIS_URL=redis://:")
    assert 2 == len(words)


def test_json(command: Command, base: Path) -> None:
    """Programs get the same facts."""
    _, text, _ = command("up", "redis", "--provider=local", "--json")
    (server,) = json.loads(text)
    with Run.create(base) as run:
        KeptDatabases(base).add(LedgerEntry("sqlite:///d.db", "gw0", "r", "test_it", "sqlite:///d"))
        _, text, _ = command("status", "--json")
    status = json.loads(text)

    assert "ANDAMIOS_REDIS_URL" == server["variable"]
    assert [server["url"]] == [each["url"] for each in status["servers"]]
    assert [True] == [each["alive"] for each in status["servers"]]
    assert [(run.id, os.getpid(), False)] == [
        (each["run"], each["pid"], each["killed"]) for each in status["runs"]
    ]
    assert [("test_it", "sqlite:///d")] == [
        (each["test"], each["url"]) for each in status["databases"]
    ]


def test_an_address_that_is_set_is_no_server_to_keep(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `eval` of what it printed, `up` still means its own servers."""
    _, address, _ = command("up", "redis", "--provider=local")
    monkeypatch.setenv("ANDAMIOS_REDIS_URL", address.strip())
    assert (0, address) == command("up", "redis")[:2]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("up", "oracle"), "unknown service oracle: use postgresql, mysql, mariadb, redis"),
        (("images", "build", "oracle"), "unknown service oracle: use postgresql, mysql"),
        (("up", "--json", "--env"), "--json and --env contradict each other"),
    ],
)
def test_wrong_calls(command: Command, words: tuple[str, ...], line: str) -> None:
    """One line says what is wrong, and the code is that of a wrong call."""
    code, output, complaint = command(*words)
    assert (2, "", 1) == (code, output, complaint.count("\n"))
    assert line in complaint


def test_no_engine(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an engine it fails with one line, after those of its progress."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    code, output, progress = command("up", "redis", "--provider=docker")

    assert (1, "") == (code, output)
    assert progress.splitlines()[-1].startswith(
        "harness: redis is not available | docker: no Docker engine answers"
    )
    assert 1 == command("images", "build")[0]


def test_sweep(command: Command) -> None:
    """Nothing to sweep is no error."""
    assert (0, "swept 0 run(s)\n", "") == command("sweep")


def test_a_folder_of_another_user(
    base: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says whose folder it is, and which variable chooses another."""
    other = os.getuid() + 1
    base.with_name(f"andamios-harness-{other}").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: other)
    code, _, complaint = command("status")

    assert 1 == code
    assert "belongs to another user: set TMPDIR" in complaint


def test_without_the_extra(tmp_path: Path) -> None:
    """Who lacks the harness's packages is told which extra brings them."""
    (tmp_path / "filelock.py").write_text("raise ModuleNotFoundError(name='filelock')")
    done = subprocess.run(
        [sys.executable, "-c", "import harness"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 1 == done.returncode
    assert "pip install 'andamios[harness]'" in done.stderr.splitlines()[-1]
