"""
Starting and removing containers.

Containers carry labels that say which run they belong to and which process controls it.
That takes the place of a container that watches the others: such a one has to be pulled,
and there would be one for each worker.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any, cast

import docker
from docker.errors import DockerException, NotFound
from docker.types import Mount
from requests.exceptions import RequestException
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient, get_docker_host

from harness.answers import checked
from harness.containers import mariadb, mysql, postgresql, redis
from harness.containers.failures import explain
from harness.containers.images import choose_image
from harness.containers.recipe import Recipe
from harness.logs import telling_line
from harness.probes import wait_until_ready
from harness.processes import ProcessMark
from harness.services import ProviderError, ServiceDetails, ServiceName, ServiceRequest
from harness.settings import settings_of

__all__ = ["RECIPES", "SMALL_DISK", "engine", "remove", "start", "sweep"]

RECIPES: dict[ServiceName, Recipe] = {
    "postgresql": postgresql.RECIPE,
    "mysql": mysql.RECIPE,
    "mariadb": mariadb.RECIPE,
    "redis": redis.RECIPE,
}
_ANSWER_LIMIT = 20
_KNOCK_LIMIT = 10.0
_READY_LIMIT = 90.0
_LOOK_INTERVAL = 0.25
_LOG_LINES = 50
_LABEL = "andamios.harness"

SMALL_DISK = "/small"
"""A disk of 32 MB in each container with durable data, which can be filled."""

testcontainers_config.ryuk_disabled = True


@contextlib.contextmanager
def engine(limit: int = _ANSWER_LIMIT) -> Iterator[docker.DockerClient]:
    """
    Talk to the container engine.

    Args:
        limit: Seconds in which each call has to be answered.

    Yields:
        A client, closed afterwards.

    Raises:
        ProviderError: No engine answers, it refuses us, or a call to it failed.
    """
    try:
        _knock()
        with contextlib.closing(DockerClient(timeout=limit).client) as client:
            yield client
    except (DockerException, RequestException, OSError) as error:
        raise ProviderError(explain(error)) from error


def _knock() -> None:
    """Fail at once where the engine's library would try for long, or leave a socket open."""
    scheme, _, path = (get_docker_host() or "unix:///var/run/docker.sock").partition("://")
    if scheme in {"unix", "http+unix"}:
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(_KNOCK_LIMIT)
            knocking.connect(path)
            knocking.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            knocking.recv(4096)


def start(request: ServiceRequest) -> ServiceDetails:
    """
    Run a service in a container and wait until it lets us in.

    Args:
        request: What to start, and the labels to give it.

    Returns:
        The running service.

    Raises:
        ProviderError: There is no engine or no image, or the server didn't come up.
    """
    recipe = RECIPES[request.service]
    with engine() as client:
        _remove_orphans(client)
        image = choose_image(client, recipe, request)
        container = _container(recipe, image, request)
        with contextlib.closing(container.get_docker_client().client):
            container.start()
            login = ServiceDetails(
                request.service,
                *_address(container, recipe),
                user=recipe.user,
                password=request.password,
                database=recipe.database,
                provider="docker",
                source=f"docker image {image}",
            )
            answer = wait_until_ready(login, _watch(container), limit=_READY_LIMIT)
            return checked(answer, request)


def _container(recipe: Recipe, image: str, request: ServiceRequest) -> DockerContainer:
    labels, password = request.labels, request.password
    settings = settings_of(request.service, request.options)
    # Data that lasts is in a volume without a name, which is removed with the container.
    volumes = [Mount(target=recipe.data, source=None, type="volume")]
    container = DockerContainer(
        image,
        docker_client_kw={"timeout": _ANSWER_LIMIT},
        env=recipe.environment(password),
        name=f"andamios-{labels[f'{_LABEL}.run']}-{labels[f'{_LABEL}.service']}",
        labels=labels,
        # Parallel queries share memory through it, and 64 MB is soon full.
        shm_size="256m",
        mounts=volumes if request.is_durable else None,
    )
    container.with_command(recipe.command(password, settings))
    if request.is_durable:
        container.with_tmpfs_mount(SMALL_DISK, "size=32m,mode=1777")
    else:
        container.with_tmpfs_mount(recipe.data, "size=2g,mode=1777")
    # A pair of address and port is what the engine's library takes, whatever the type says.
    ports = cast("dict[str, Any]", container.ports)
    ports[f"{recipe.port}/tcp"] = ("127.0.0.1", None) if _is_local(container) else None
    return container


def _is_local(container: DockerContainer) -> bool:
    """Tell whether the engine publishes ports on the loopback interface that we see."""
    client = container.get_docker_client()
    if client.host() not in {"localhost", "127.0.0.1", "::1"}:
        return False
    if client.get_connection_mode() is ConnectionMode.docker_host:
        return True
    # We seem to be in a container ourselves. The engine may still be beside us, not
    # around us: then the address of its bridge is one of our own.
    bridge = client.client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    gateway = bridge.get("Gateway") or next(ip_network(bridge["Subnet"]).hosts())
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind((str(gateway), 0))
        return True
    return False


def _address(container: DockerContainer, recipe: Recipe) -> tuple[str, int]:
    client = container.get_docker_client()
    local = _is_local(container)
    host = "127.0.0.1" if local else container.get_container_host_ip()
    if not local and not client.get_connection_mode().use_mapped_port:
        return host, recipe.port
    try:
        return host, int(client.port(container.get_container_id(), recipe.port))
    except ConnectionError as error:
        _watch(container)()
        raise ProviderError(f"{container.image} publishes no port {recipe.port}") from error


def _watch(container: DockerContainer) -> Callable[[], None]:
    wrapped = container.get_wrapped_container()
    looked = 0.0

    def check_alive() -> None:
        nonlocal looked
        if time.monotonic() - looked < _LOOK_INTERVAL:
            return
        wrapped.reload()
        looked = time.monotonic()
        if wrapped.status in {"exited", "dead"}:
            log = wrapped.logs(tail=_LOG_LINES).decode(errors="replace")
            raise ProviderError(f"{container.image} ended at once: {telling_line(log)}")

    return check_alive


def remove(labels: dict[str, str]) -> None:
    """
    Remove the containers of a run, or those of one of its services.

    Args:
        labels: The labels of the request they were started for.

    Raises:
        ProviderError: No engine answers.
    """
    wanted = [f"{name}={labels[name]}" for name in (f"{_LABEL}.run", f"{_LABEL}.service")]
    with engine() as client:
        for container in client.containers.list(
            all=True, filters={"label": wanted}, ignore_removed=True
        ):
            _remove(container)


def sweep() -> list[str]:
    """
    Remove the containers of runs whose controller ended without removing them.

    Returns:
        Their names.

    Raises:
        ProviderError: No engine answers.
    """
    with engine() as client:
        return _remove_orphans(client)


def _remove_orphans(client: docker.DockerClient) -> list[str]:
    removed: list[str] = []
    filters: dict[str, Any] = {"label": f"{_LABEL}.run"}
    for container in client.containers.list(all=True, filters=filters, ignore_removed=True):
        labels = container.labels
        try:
            controller = ProcessMark(
                int(labels[f"{_LABEL}.pid"]),
                labels[f"{_LABEL}.started"],
                labels[f"{_LABEL}.machine"],
            )
        except (KeyError, ValueError):
            continue
        if controller.is_gone():
            # One that can't be removed now is no reason to start nothing.
            with contextlib.suppress(DockerException, RequestException):
                _remove(container)
                removed.append(str(container.name))
    return removed


def _remove(container: Any) -> None:
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except DockerException as error:
        # Somebody else is removing it this very moment.
        if "already in progress" not in str(error):
            raise
