"""Choosing the image for a service, and pulling it when a registry can be reached."""

import os
import re
import time
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound
from docker.utils import parse_repository_tag
from requests.exceptions import RequestException

from harness.containers.failures import explain, is_timeout
from harness.containers.recipe import Recipe
from harness.services import ProviderError, ServiceOptions, ServiceRequest

__all__ = ["choose_image", "has_image", "pull"]

_PULL_LIMIT = 300.0


def choose_image(client: docker.DockerClient, recipe: Recipe, request: ServiceRequest) -> str:
    """
    Choose the image to run.

    One that is here goes before one that has to be pulled, the official one before the
    project's own, which is no choice for a version that it doesn't have. An image asked
    for by the request, or by a variable such as `ANDAMIOS_HARNESS_POSTGRESQL_IMAGE`, is
    the only choice.

    Args:
        client: The engine.
        recipe: The service's images.
        request: What was asked for.

    Returns:
        The name of an image that the engine has.

    Raises:
        ProviderError: None is here and none can be pulled.
    """
    variable = f"ANDAMIOS_HARNESS_{request.service.upper()}_IMAGE"
    wanted = request.options.image or os.environ.get(variable)
    image = wanted or _official(recipe, request.options)
    if has_image(client, image):
        return image
    if wanted:
        pull(client, wanted)
        return wanted
    why_not = _why_not_own(client, recipe, request)
    if not why_not:
        return recipe.own
    try:
        pull(client, image)
    except ProviderError as error:
        raise ProviderError(f"{error}, and {why_not}") from error
    return image


def _official(recipe: Recipe, options: ServiceOptions) -> str:
    if options.version is None:
        return recipe.official
    return f"{recipe.official.partition(':')[0]}:{options.version}"


def _why_not_own(client: docker.DockerClient, recipe: Recipe, request: ServiceRequest) -> str:
    """Say why the project's own image won't do; empty if it will."""
    if not has_image(client, recipe.own):
        return f"{recipe.own} is not here: python -m harness images build"
    if request.options.version is None:
        return ""
    # Asked for its version, the server ends at once.
    program = recipe.command("", {})[0]
    answer: bytes = client.containers.run(
        recipe.own, ["--version"], entrypoint=program, labels=request.labels, remove=True
    )
    found = re.search(r"\d+(\.\d+)+", answer.decode(errors="replace"))
    version = found[0] if found else "of an unknown version"
    return "" if request.options.fits(version) else f"{recipe.own} is {version}: ask for that"


def has_image(client: docker.DockerClient, image: str) -> bool:
    """Tell whether the engine has an image."""
    try:
        client.images.get(image)
    except ImageNotFound:
        return False
    return True


def pull(client: docker.DockerClient, image: str) -> None:
    """
    Pull an image, within five minutes.

    Args:
        client: The engine.
        image: The image's name.

    Raises:
        ProviderError: No registry answers, it lacks the image, or it takes too long.
    """
    deadline = time.monotonic() + _PULL_LIMIT
    api: Any = client.api
    try:
        # Asked first, as this fails fast where a pull tries again and again.
        api.inspect_distribution(image)
        repository, tag = parse_repository_tag(image)
        for step in api.pull(repository, tag or "latest", stream=True, decode=True):
            _check_step(step, image, deadline)
    except (DockerException, RequestException) as error:
        why = "no registry answers in time" if is_timeout(error) else "no registry gives it"
        raise ProviderError(f"{image} can't be pulled as {why}") from error


def _check_step(step: dict[str, Any], image: str, deadline: float) -> None:
    if "error" in step:
        raise ProviderError(f"{image} can't be pulled: {explain(step['error'])}")
    if time.monotonic() > deadline:
        raise ProviderError(f"{image} wasn't pulled within {_PULL_LIMIT:.0f} s")
