"""A container engine that is there and of no use: each failure is one line, soon."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import harness
from harness import Run, ServiceOptions, ServiceUnavailableError

docker = pytest.importorskip("harness.containers.docker", exc_type=ImportError)

ROOT = Path(harness.__file__).parents[1]
VERSION = b'{"ApiVersion": "1.41", "MinAPIVersion": "1.12"}'
FULL = b'{"message": "mkdir /var/lib/docker/overlay2/x: no space left on device"}'

AS_NOBODY = """
import os, sys, tempfile
import harness.containers.docker, harness.providers
from harness import Run

folder = tempfile.mkdtemp()
os.chmod(folder, 0o777)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with Run.create(folder + "/runs") as run:
    try:
        run.service("redis", "docker")
    except Exception as error:
        print(*error.reasons)
"""

Engine = Callable[[Callable[[socket.socket], None]], None]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Run.create(tmp_path) as run:
        yield run


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Let something else answer where the engine's socket is."""
    # Not tmp_path: the path of a socket has a length limit.
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/docker.sock")
        server.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/docker.sock")
        threads: list[threading.Thread] = []

        def serve(answer: Callable[[socket.socket], None]) -> None:
            def accept() -> None:
                with contextlib.suppress(OSError), contextlib.ExitStack() as held:
                    while True:
                        answer(held.enter_context(server.accept()[0]))

            threads.append(threading.Thread(target=accept, daemon=True))
            threads[0].start()

        yield serve
        server.shutdown(socket.SHUT_RDWR)
        threads[0].join(5)


def refusal(run: Run) -> str:
    """Say why no container is to be had."""
    with pytest.raises(ServiceUnavailableError) as caught:
        run.service("redis", "docker")
    (reason,) = caught.value.reasons
    assert "\n" not in reason
    return reason


def test_an_engine_that_never_answers(
    run: Run, monkeypatch: pytest.MonkeyPatch, fake_engine: Engine
) -> None:
    """It takes the connection and is silent: waiting has an end."""
    monkeypatch.setattr(docker, "_KNOCK_LIMIT", 0.3)
    fake_engine(lambda _: None)
    began = time.monotonic()
    expected = "docker: the Docker engine didn't answer in time: restart it, or use local"
    assert expected == refusal(run)
    assert time.monotonic() - began < 5


def test_an_engine_whose_disk_is_full(run: Run, fake_engine: Engine) -> None:
    """What frees some is named."""
    fake_engine(full)
    assert "the Docker engine's disk is full: docker system prune frees" in refusal(run)


def full(client: socket.socket) -> None:
    """Answer one request like an engine that can't write."""
    request = client.recv(65536)
    is_version = b"/version" in request
    status, body = (b"200 OK", VERSION) if is_version else (b"500 Server Error", FULL)
    head = b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d" % len(body)
    client.sendall(b"HTTP/1.1 " + status + b"\r\n" + head + b"\r\n\r\n" + body)
    client.shutdown(socket.SHUT_RDWR)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_no_right_to_the_engine() -> None:
    """Who may not use the engine's socket is told how to."""
    try:
        with docker.engine():
            pass
    except harness.services.ProviderError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    expected = "no right to use the Docker engine: be root or join its group, or use local"
    assert f"docker: {expected}\n" == done.stdout


def test_a_version_that_is_nowhere(run: Run) -> None:
    """The own image is no substitute for another version, and nothing is left of the look."""
    try:
        with docker.engine() as client:
            has_own = bool(client.images.list("andamios/redis"))
    except harness.services.ProviderError as error:
        pytest.skip(str(error))
    with pytest.raises(ServiceUnavailableError) as caught:
        run.service("redis", "docker", ServiceOptions(version="3.1"))
    assert caught.match("redis:3.1 can't be pulled as no registry")
    assert caught.match("andamios/redis is " + (r"\d.*: ask for that" if has_own else "not here"))
    with docker.engine() as client:
        filters = {"label": f"andamios.harness.run={run.id}"}
        assert [] == client.containers.list(all=True, filters=filters)


def test_the_own_image_has_the_version(run: Run) -> None:
    """Asked for the version that it has, it is taken."""
    try:
        usual = run.service("redis", "docker")
    except ServiceUnavailableError as error:
        pytest.skip(str(error))
    version = ".".join(usual.version.split(".")[:2])
    assert version in run.service("redis", "docker", ServiceOptions(version=version)).version
