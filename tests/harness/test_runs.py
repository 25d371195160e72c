"""A run: started once, ended by its controller, swept when that was killed."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

import harness
from harness import Run, ServiceUnavailableError, providers
from harness.folders import RunFolderError, explained
from harness.processes import ProcessMark
from harness.runs.sweeping import sweep
from harness.services import ProviderError, ServiceDetails, ServiceOptions, ServiceRequest

MACHINE = ProcessMark.current().machine
NODE = MACHINE.rpartition("@")[2]
ROOT = Path(harness.__file__).parents[1]
JOIN = """
import sys
from harness import Run
print(Run.join(sys.argv[1]).service('redis', 'local').port)
"""
CREATE = """
import sys, time
from harness import Run
run = Run.create(sys.argv[1])
run.service('redis', 'local')
print(run.path, flush=True)
time.sleep(60)
"""


@pytest.fixture
def runs_dir() -> Iterator[Path]:
    # Not tmp_path: a server that runs as another user has to get through.
    with tempfile.TemporaryDirectory(prefix="andamios-runs-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def run(runs_dir: Path) -> Iterator[Run]:
    with Run.create(runs_dir) as run:
        yield run


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def servers_of(path: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        is_server = any(name in " ".join(words) for name in ("valkey-server", "redis-server"))
        if is_server and process.info["status"] != psutil.STATUS_ZOMBIE:
            try:
                if path.resolve() in Path(process.cwd()).resolve().parents:
                    found.append(process)
            except psutil.Error:
                continue
    return found


def test_four_processes_get_one_server(run: Run) -> None:
    """Workers that ask at the same time share what the first of them starts."""
    workers = [python(JOIN, run.path) for _ in range(4)]
    answers = {worker.communicate(timeout=30)[0].strip() for worker in workers}

    assert 1 == len(answers)
    assert int(answers.pop()) == run.started()[0].port
    assert 1 == len(servers_of(run.path))


def test_the_server_outlives_the_worker_that_started_it(run: Run) -> None:
    """A worker may crash while others go on."""
    python(JOIN, run.path).communicate(timeout=30)

    assert 1 == len(servers_of(run.path))
    assert run.service("redis", "local").flavour in {"Valkey", "Redis"}


def test_close_ends_the_servers_and_removes_the_directory(run: Run) -> None:
    """Nothing is left of a run that was closed; closing again does no harm."""
    run.service("redis", "local")
    run.close()
    run.close()

    assert [] == servers_of(run.path)
    assert not run.path.exists()


def test_a_killed_run_is_swept_by_the_next(runs_dir: Path) -> None:
    """kill -9 of the controller leaves a server behind, but not past the next run."""
    controller = python(CREATE, runs_dir)
    assert controller.stdout is not None
    path = Path(controller.stdout.readline().strip())
    controller.send_signal(signal.SIGKILL)
    controller.communicate(timeout=10)
    assert 1 == len(servers_of(path))

    with Run.create(runs_dir):
        assert [] == servers_of(path)
        assert not path.exists()


def test_a_run_that_goes_on_is_not_swept(run: Run, runs_dir: Path) -> None:
    """Two runs at the same time on one machine leave each other alone."""
    run.service("redis", "local")
    with Run.create(runs_dir) as other:
        other.service("redis", "local")
    assert 1 == len(servers_of(run.path))


@pytest.mark.parametrize(
    ("change", "swept"),
    [
        ({"started": "1"}, True),
        ({"machine": "another"}, False),
        ({"machine": "another:pid:[1]@another"}, False),
        ({"machine": f"another:pid:[1]@{NODE}"}, True),
        ({"machine": MACHINE.replace("pid:", "other:")}, False),
        ({}, False),
    ],
    ids=["pid reused", "unknown", "another machine", "rebooted", "another namespace", "alive"],
)
def test_whose_controller_is_gone(runs_dir: Path, change: dict[str, Any], swept: bool) -> None:
    """A reused pid is not mistaken for the controller; unknown machines are left alone."""
    old = Run.create(runs_dir)
    mark = replace(ProcessMark.current(), **change)
    (old.path / "controller.json").write_text(json.dumps(mark.__dict__))

    with Run.create(runs_dir):
        assert swept is not old.path.exists()


HIDDEN = """
import os
from harness import processes
if os.getuid() == 0:
    os.setuid(65534)
processes._start_time = lambda pid: None
print(processes.ProcessMark(1, "1", processes.ProcessMark.current().machine).is_gone())
"""


def test_a_process_that_we_may_not_see_is_not_gone() -> None:
    """Systems may hide the processes of others, whose containers are none of ours."""
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert "False" == done.stdout.strip()


def test_a_failure_is_found_out_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """All workers hear of a failure; only the first tries."""
    tried: list[str] = []

    def fail(_request: ServiceRequest, provider: str) -> ServiceDetails:
        tried.append(provider)
        raise ProviderError("no luck")

    monkeypatch.setattr(providers, "start", fail)
    monkeypatch.delenv("ANDAMIOS_MYSQL_URL", raising=False)
    for member in (run, Run.join(run.path)):
        with pytest.raises(ServiceUnavailableError) as caught:
            member.service("mysql")
        assert ["docker: no luck", "local: no luck"] == caught.value.reasons
    assert ["docker", "local"] == tried
    assert [] == run.started()


def test_an_interrupted_start_leaves_no_server(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a server starts ends that server."""

    def interrupt(*_: object, **__: object) -> ServiceDetails:
        assert 1 == len(servers_of(run.path))
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.local.server.wait_until_ready", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.service("redis", "local")
    assert [] == servers_of(run.path)


def test_a_closed_run_starts_nothing(run: Run) -> None:
    """A worker that is late hears that the run is over."""
    member = Run.join(run.path)
    run.close()
    with pytest.raises(ServiceUnavailableError, match="closed"):
        member.service("redis", "local")


def test_what_was_started_is_listed(run: Run) -> None:
    """The header and the summary name each service with where it came from."""
    details = run.service("redis", "local")
    assert [details] == run.started()
    assert "local" == details.provider
    assert details.version[0].isdigit()
    assert details.source


@pytest.mark.parametrize(
    "record",
    ["", "SIGTERM", "SIGTERM\nmachine\n", "SIGTERM\nmachine\n12 (redis", "\0" * 40 + "\n"],
    ids=["nothing", "half a line", "no process", "half a process", "as after a power failure"],
)
def test_a_server_without_record_is_no_reason_to_fail(runs_dir: Path, record: str) -> None:
    """A start that was cut short left a folder without a complete record."""
    run = Run.create(runs_dir)
    folder = run.path / "redis-local"
    folder.mkdir()
    (folder / "server.process").write_text(record)
    began = time.monotonic()
    run.close()
    assert time.monotonic() - began < 2
    assert not run.path.exists()


@pytest.mark.parametrize("name", ["redis-local.outcome.json", "databases", "starts"])
@pytest.mark.parametrize("text", ["", '{"details": {"other": 1}, "other": 1}\n'])
def test_files_of_another_version_are_no_reason_to_fail(
    runs_dir: Path, name: str, text: str
) -> None:
    """Another checkout may write other fields, and a power failure leaves empty files."""
    run = Run.create(runs_dir)
    (run.path / name).write_text(text)
    assert ([], []) == (run.started(), run.starts())
    run.close()
    assert not run.path.exists()


STARTING = """
import sys, time
from harness import Run
from harness.local import server
ready = server.wait_until_ready
def slow(*arguments, **options):
    print('starting', flush=True)
    time.sleep(1)
    return ready(*arguments, **options)
server.wait_until_ready = slow
Run.join(sys.argv[1]).service('redis', 'local')
"""


@pytest.mark.parametrize("limit", [5.0, 0.1], ids=["waited for", "given up"])
def test_a_start_under_way_is_swept(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, limit: float
) -> None:
    """A worker that outlives its controller doesn't leave the server that it is starting."""
    monkeypatch.setattr("harness.runs.sweeping._START_LIMIT", limit, raising=False)
    old = Run.create(runs_dir)
    mark = replace(ProcessMark.current(), started="1")
    (old.path / "controller.json").write_text(json.dumps(mark.__dict__))
    worker = python(STARTING, old.path)
    assert worker.stdout is not None
    assert "starting" == worker.stdout.readline().strip()
    (server,) = servers_of(old.path)

    assert [old.id] == sweep(runs_dir)
    worker.communicate(timeout=30)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    assert not old.path.exists()


KILLED_IN_START = """
import os, signal, sys
from harness import Run
from harness.local import server
server.wait_until_ready = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
Run.join(sys.argv[1]).service('redis', 'local')
"""


def test_a_start_cut_short_is_cleaned_up_by_the_next(run: Run) -> None:
    """A worker killed while a server came up doesn't leave a second one behind."""
    worker = python(KILLED_IN_START, run.path)
    worker.communicate(timeout=30)
    assert -signal.SIGKILL == worker.returncode
    (old,) = servers_of(run.path)

    details = run.service("redis", "local")
    (new,) = servers_of(run.path)
    assert old.pid != new.pid
    assert f":{details.port}" in " ".join(new.cmdline())
    assert 1 == len(run.starts())


def test_starts_are_counted_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever joins a server, or uses one of others, has started none."""
    details = run.service("redis", "local")
    python(JOIN, run.path).communicate(timeout=30)
    monkeypatch.setenv("ANDAMIOS_REDIS_URL", details.url())
    run.service("redis")
    (start,) = run.starts()

    assert ("redis", "local", os.getpid()) == (start.service, start.provider, start.pid)
    assert 0 < start.seconds < 30


def test_options_tell_services_apart(run: Run) -> None:
    """A server with other settings is another one, and found again by them."""
    options = ServiceOptions(settings={"maxmemory": "64mb"})
    usual, other = run.service("redis", "local"), run.service("redis", "local", options)

    assert usual.port != other.port
    assert other == run.service("redis", "local", ServiceOptions(settings={"maxmemory": "64mb"}))
    assert [usual, other] == run.started()
    assert 2 == len(servers_of(run.path))


def test_whose_server_a_database_is_on(run: Run) -> None:
    """Databases on a server of the run end with it, all others have to be dropped."""
    details = run.service("redis", "local")
    assert run.owns(details.url(database="5"))
    assert not run.owns("redis://127.0.0.1:1/5")


def test_a_full_disk_leaves_no_server(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that can't be written down is stopped, and the reason names the folder."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.runs.outcomes.write_private", fail)
    with pytest.raises(ServiceUnavailableError, match=r"the disk of .* is full: free space"):
        run.service("redis", "local")
    assert [] == servers_of(run.path)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk of {} is full: free space there, or set TMPDIR to another disk"),
        (errno.EACCES, "{} can't be written to: set TMPDIR to a folder of your own"),
        (errno.EROFS, "{} can't be written to: set TMPDIR to a folder of your own"),
        (errno.ENOENT, "{} is gone: this run is closed, or somebody removed it"),
        (errno.EIO, "{} can't be used (Input/output error): set TMPDIR to another folder"),
    ],
)
def test_what_is_wrong_with_a_folder(tmp_path: Path, number: int, says: str) -> None:
    """One line names the folder and a way out."""
    with pytest.raises(RunFolderError) as caught, explained(tmp_path):
        raise OSError(number, os.strerror(number))
    assert says.format(tmp_path) == str(caught.value)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """The folder of runs may have been given by mistake."""
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="can't be used"):
        Run.create(tmp_path / "file")
