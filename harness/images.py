"""
Building the project's own images, also where no registry can be reached.

The recipes start from `debian:sid-slim`. If that can be neither found nor pulled, a base
of the same name is made from the machine's own Debian mirror. An image carries a label
with the digest of its recipe, so that one that is up to date isn't built again.
"""

import contextlib
import hashlib
import os
import shutil
import tarfile
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

from harness.containers.docker import RECIPES, engine
from harness.containers.failures import explain
from harness.containers.images import has_image, pull
from harness.local.apt import find_mirror
from harness.local.server import run_command
from harness.services import SERVICES, ProviderError, ServiceName

__all__ = ["build_images", "digest_of", "is_current", "make_base"]

_BASE = "debian:sid-slim"
_LABEL = "andamios.harness.recipe"
_FOLDER = Path(__file__).parent / "containers" / "images"
_BOOTSTRAP_LIMIT = 600.0
# Seconds in which a step of the engine has to say something.
_STEP_LIMIT = 600


def build_images(
    say: Callable[[str], None] = print, services: tuple[ServiceName, ...] = SERVICES
) -> None:
    """
    Build the images that aren't up to date.

    Args:
        say: Gets a line for each step.
        services: Whose images to build.

    Raises:
        ProviderError: No engine answers, or a step failed.
    """
    with engine() as client:
        outdated = [service for service in services if not is_current(client, service)]
        for service in services:
            if service not in outdated:
                say(f"{RECIPES[service].own}: up to date")
        if outdated:
            _ensure_base(client, say)
    for service in outdated:
        say(f"{RECIPES[service].own}: building")
        _build(service)


def is_current(client: docker.DockerClient, service: ServiceName) -> bool:
    """Tell whether a service's image is there and was built from today's recipe."""
    image = RECIPES[service].own
    labels = client.images.get(image).labels if has_image(client, image) else {}
    return labels.get(_LABEL) == digest_of(_FOLDER / service)


def digest_of(folder: Path) -> str:
    """Return the digest of a recipe: of the names and contents of its files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _ensure_base(client: docker.DockerClient, say: Callable[[str], None]) -> None:
    if has_image(client, _BASE):
        return
    say(f"{_BASE}: pulling")
    try:
        pull(client, _BASE)
    except ProviderError as error:
        say(f"{_BASE}: {error}; making it from Debian packages (half a minute)")
        make_base()


def make_base() -> None:
    """
    Make the image that the recipes start from out of the machine's Debian mirror.

    Raises:
        ProviderError: This isn't root, the tool for it is missing, or it failed.
    """
    if os.getuid() != 0:
        raise ProviderError(f"only root can make {_BASE} here: run this as root")
    if shutil.which("debootstrap") is None:
        raise ProviderError(f"{_BASE} is made by debootstrap: apt-get install debootstrap")
    with tempfile.TemporaryDirectory(prefix="andamios-base-") as place:
        root = Path(place) / "root"
        # Without an address, it knows one of its own.
        command = ["debootstrap", "--variant=minbase", "sid", str(root), *_mirror()]
        run_command(command, limit=_BOOTSTRAP_LIMIT)
        for waste in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / waste, ignore_errors=True)
        archive = Path(place) / "root.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(root, arcname=".")
        with engine(limit=_STEP_LIMIT) as client:
            api: Any = client.api
            api.import_image_from_file(str(archive), "debian", tag="sid-slim")


def _mirror() -> list[str]:
    try:
        return [find_mirror().uri]
    except ProviderError:
        return []


def _build(service: ServiceName) -> None:
    arguments = {"MIRROR": "".join(_mirror()), **_proxies()}
    with engine(limit=_STEP_LIMIT) as client:
        api: Any = client.api
        steps = api.build(
            path=str(_FOLDER / service),
            tag=RECIPES[service].own,
            labels={_LABEL: digest_of(_FOLDER / service)},
            buildargs=arguments,
            network_mode="host",
            rm=True,
            forcerm=True,
            decode=True,
        )
        _follow(RECIPES[service].own, steps)
        # What the new image replaces would fill the disk unseen.
        with contextlib.suppress(DockerException):
            client.images.prune(filters={"dangling": True, "label": _LABEL})


def _proxies() -> dict[str, str]:
    names = ("http_proxy", "https_proxy", "no_proxy")
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def _follow(image: str, steps: Iterable[dict[str, Any]]) -> None:
    said: deque[str] = deque(maxlen=20)
    for step in steps:
        said.extend(line for line in step.get("stream", "").splitlines() if line.strip())
        if "error" in step:
            raise ProviderError(f"{image} can't be built: {explain(step['error'])} {_cause(said)}")


def _cause(said: Iterable[str]) -> str:
    telling = [line.strip() for line in said if line.lstrip().startswith(("E:", "ERROR", "error"))]
    return f"({telling[-1]})" if telling else ""
