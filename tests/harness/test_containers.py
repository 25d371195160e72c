"""Servers in containers, and the images for them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness import Run, ServiceOptions, ServiceUnavailableError, images
from harness.__main__ import main
from harness.processes import ProcessMark
from harness.runs.kept import KeptRun
from harness.services import SERVICES, ProviderError, ServiceName

MACHINE = ProcessMark.current().machine

docker = pytest.importorskip("harness.containers.docker", exc_type=ImportError)


@pytest.fixture
def client() -> Iterator[Any]:
    try:
        with docker.engine() as client:
            yield client
    except ProviderError as error:
        pytest.skip(str(error))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Run.create(tmp_path) as run:
        yield run


def containers_of(client: Any, run: str) -> list[Any]:
    found: list[Any] = client.containers.list(
        all=True, filters={"label": f"andamios.harness.run={run}"}
    )
    return found


def start(run: Run, service: ServiceName) -> Any:
    try:
        return run.service(service, "docker")
    except ServiceUnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_lets_us_in(client: Any, run: Run, service: ServiceName) -> None:
    """A real log-in tells flavour and version; one container is there, and gone after close."""
    details = start(run, service)
    assert "docker" == details.provider
    assert details.flavour in {"PostgreSQL", "MySQL", "MariaDB", "Redis"}
    assert details.source.startswith("docker image ")
    assert 1 == len(containers_of(client, run.id))
    run.close()
    assert [] == containers_of(client, run.id)


def test_ports_are_published_to_this_machine_alone(client: Any, run: Run) -> None:
    """Nobody on the network gets at a server with a test's password."""
    details = start(run, "redis")
    if details.host != "127.0.0.1":
        pytest.skip(f"the engine is not beside us but at {details.host}")
    (container,) = containers_of(client, run.id)
    bindings = container.attrs["NetworkSettings"]["Ports"]["6379/tcp"]
    assert ["127.0.0.1"] == [binding["HostIp"] for binding in bindings]


def test_a_container_of_a_killed_run_is_swept(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels tell whose controller is gone, even if the run's directory is gone too."""
    code = (
        "import os, sys; from harness import Run; run = Run.create(sys.argv[1]);"
        "run.service('redis', 'docker'); print(run.id, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(images.__file__).parents[1],
        check=False,
        timeout=60,
    )
    run_id = done.stdout.strip()
    if not run_id:
        pytest.skip("no container could be started")
    assert 1 == len(containers_of(client, run_id))
    (tmp_path / run_id / "controller.json").unlink()

    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert 0 == main(["sweep"])
    assert [] == containers_of(client, run_id)
    assert f"  andamios-{run_id}-redis-docker\n" in capsys.readouterr().out


def test_a_container_that_cannot_be_removed(
    client: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed run has left is no reason for the next one to have no server."""
    labels = {"run": "killed", "pid": "1", "started": "0", "machine": MACHINE}
    leftover = client.containers.create(
        docker.RECIPES["redis"].own,
        labels={f"andamios.harness.{name}": value for name, value in labels.items()},
    )

    def fail(_container: Any) -> None:
        raise docker.DockerException("device or resource busy")

    try:
        with monkeypatch.context() as patch:
            patch.setattr(docker, "_remove", fail)
            assert run.service("redis", "docker").port
    finally:
        # Another run that begins in this moment removes it, as it should.
        with suppress(docker.NotFound):
            leftover.remove(force=True)


STARTING = """
import sys, time
from harness import Run
from harness.containers import docker
make = docker._container
def slow(*arguments):
    print("starting", flush=True)
    time.sleep(2)
    return make(*arguments)
docker._container = slow
Run.join(sys.argv[1]).service("redis", "docker")
"""


@pytest.mark.usefixtures("client")
def test_a_start_that_outlasts_its_run(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that is made after its run was cleared away doesn't stay."""
    monkeypatch.setattr("harness.runs.sweeping._START_LIMIT", 0.1)
    run = Run.create(tmp_path)
    worker = subprocess.Popen(
        [sys.executable, "-c", STARTING, run.path],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(images.__file__).parents[1],
        stderr=subprocess.STDOUT,
    )
    assert worker.stdout is not None
    assert "starting" == worker.stdout.readline().strip()
    run.close()

    assert "this run is closed" in worker.communicate(timeout=60)[0]
    assert [] == containers_of(client, run.id)


@pytest.mark.usefixtures("client")
def test_a_kept_container_without_its_folder_is_replaced(tmp_path: Path) -> None:
    """A reboot empties the temporary folder, and leaves the container that bears the name."""
    with Run.create(tmp_path, keep=True) as run:
        old = run.service("redis", "docker")
        shutil.rmtree(tmp_path / "kept")
        try:
            assert (
                old.password
                != KeptRun(tmp_path)
                .service("redis", "docker", ServiceOptions(), journal=lambda _: None)
                .password
            )
        finally:
            assert ["redis-docker"] == KeptRun(tmp_path).stop()


def test_an_image_that_nobody_has(client: Any, run: Run) -> None:
    """The image is named; nothing waits for a registry that doesn't answer."""
    with pytest.raises(ServiceUnavailableError, match="andamios/none:1 can't be pulled") as caught:
        run.service("redis", "docker", ServiceOptions(image="andamios/none:1"))
    assert "\n" not in str(caught.value)
    assert [] == containers_of(client, run.id)


def test_an_image_that_is_no_server(client: Any, run: Run) -> None:
    """A container that ends at once says why, and is removed."""
    if not client.images.list("debian:sid-slim"):
        pytest.skip("debian:sid-slim is not here")
    with pytest.raises(ServiceUnavailableError, match="redis-server"):
        run.service("redis", "docker", ServiceOptions(image="debian:sid-slim"))
    assert [] == containers_of(client, run.id)


def test_without_an_engine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no engine is told so in one line, and what else there is."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(
        ServiceUnavailableError, match="no Docker engine answers: start one"
    ) as caught:
        run.service("redis", "docker")
    assert "\n" not in str(caught.value)


def test_images_build_without_an_engine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with 1 and one line."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert 1 == main(["images", "build"])
    assert "harness: no Docker engine answers: start one, or use local\n" == capsys.readouterr().err


def test_images_build_of_something_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name is answered with the right ones."""
    assert 2 == main(["images", "build", "oracle"])
    assert "use postgresql, mysql, mariadb, redis" in capsys.readouterr().err


def test_images_that_are_up_to_date(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Building again costs nothing."""
    if not all(images.is_current(client, service) for service in SERVICES):
        pytest.skip("the images have not been built here: python -m harness images build")
    assert 0 == main(["images", "build"])
    assert len(SERVICES) == capsys.readouterr().out.count("up to date")


def test_the_digest_follows_the_recipe(tmp_path: Path) -> None:
    """A changed recipe makes an image out of date."""
    (tmp_path / "Dockerfile").write_text("FROM debian:sid-slim\n")
    before = images.digest_of(tmp_path)
    (tmp_path / "start").write_text("#!/bin/sh\n")
    assert before != images.digest_of(tmp_path)


def test_a_base_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who isn't root is told before anything is downloaded."""
    monkeypatch.setattr("os.getuid", lambda: 1000)
    with pytest.raises(ProviderError, match="run this as root"):
        images.make_base()


def test_sweep_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command tells what it did."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert 0 == main(["sweep"])
    assert "swept 0 run(s)\n" == capsys.readouterr().out
