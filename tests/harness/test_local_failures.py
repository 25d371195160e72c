"""A machine that lacks disk or shared memory, and two runs on it at the same time."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness
from harness.logs import telling_line
from harness.services import ServiceName

ROOT = Path(harness.__file__).parents[1]

START = """
import sys
from harness import Run, ServiceUnavailableError

with Run.create(sys.argv[1]) as run:
    for name in sys.argv[2:]:
        try:
            details = run.service(name, "local")
        except ServiceUnavailableError as error:
            print(*error.reasons)
        else:
            print(details.port, details.source)
"""

BUILD = """
import sys, time
from harness.local.cache import cached

def build(folder):
    time.sleep(0.5)
    (folder / "built").write_text(sys.argv[1])

print((cached("thing", build) / "built").read_text())
"""

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: a server that runs as another user has to get through.
    with tempfile.TemporaryDirectory(prefix="andamios-runs-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def python(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Run a program; what it prints can be read."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )


def start_with_small(place: Path, size: str, folder: Path, service: ServiceName) -> str:
    """Start a service where one place is a small disk, which goes away with the program."""
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("no mounts of one's own here")
    command = [sys.executable, "-c", START, str(folder), service]
    mount = f"mount -t tmpfs -o size={size},mode=1777 tmpfs {place}"
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        timeout=120,
    ).stdout


@needs_root
@pytest.mark.parametrize("service", ["postgresql", "mysql", "mariadb"])
def test_a_full_disk(folder: Path, service: ServiceName) -> None:
    """One line names the folder and the variable, however many files can't be written."""
    said = start_with_small(folder, "2m", folder, service)
    if said.startswith("local: ") and "is full" not in said:
        pytest.skip(said)
    assert said.startswith(f"local: the disk of {folder}")
    assert said.endswith("is full: free some space, or set TMPDIR to another folder\n")
    assert 1 == said.count("is full")
    assert 1 == len(said.splitlines())


@needs_root
@pytest.mark.parametrize("size", ["64k", "16m"])
def test_little_shared_memory(folder: Path, size: str) -> None:
    """PostgreSQL shares memory through files of its own then, and says why."""
    said = start_with_small(Path("/dev/shm"), size, folder, "postgresql")
    if "enlarge it" in said or "pip install" in said:
        pytest.skip(said)
    assert "with mmap as /dev/shm has" in said


def test_two_runs_at_once(folder: Path) -> None:
    """Two checkouts start their servers on one machine without a clash."""
    names: list[ServiceName] = ["redis", "postgresql"]
    runs = [python(START, folder / number, *names) for number in ("one", "two")]
    said = [run.communicate(timeout=120)[0].splitlines() for run in runs]
    ports = [line.split()[0] for lines in said for line in lines]
    if not all(port.isdigit() for port in ports):
        pytest.skip(str(said))
    assert 4 == len(set(ports))


def test_two_builds_at_once(folder: Path) -> None:
    """What both need is built by one of them; the other waits for it."""
    cache = str(folder / "cache")
    builds = [python(BUILD, name, ANDAMIOS_HARNESS_CACHE=cache) for name in ("one", "two")]
    said = {build.communicate(timeout=60)[0].strip() for build in builds}
    assert said in ({"one"}, {"two"})


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("12:00 [ERROR] [MY-67] unknown variable 'a'\n12:00 [ERROR] Aborting\n", "[ERROR] [MY-67]"),
        ("12:00 UTC [9] FATAL:  no such thing\nbye", "FATAL:  no such thing"),
        ("FATAL:  x: No space left on device\nPANIC:  cannot abort", "FATAL:  x: No space"),
        ("starting\nready", "ready"),
        ("", "it said nothing"),
    ],
)
def test_the_telling_line(log: str, line: str) -> None:
    """The reason is shown, without the time before it and what follows from it."""
    assert telling_line(log).startswith(line)
