"""Choosing the image for a service, and pulling it when a registry can be reached."""

import os
import time
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound
from docker.utils import parse_repository_tag
from requests.exceptions import RequestException

from harness.containers.recipe import Recipe
from harness.services import ProviderError, ServiceRequest

__all__ = ["choose_image", "has_image", "pull"]

_PULL_LIMIT = 300.0


def choose_image(client: docker.DockerClient, recipe: Recipe, request: ServiceRequest) -> str:
    """
    Choose the image to run.

    One that is here goes before one that has to be pulled, the official one before the
    project's own. An image asked for by the request, or by a variable such as
    `ANDAMIOS_HARNESS_POSTGRESQL_IMAGE`, is the only choice.

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
    for image in [wanted] if wanted else [recipe.official, recipe.own]:
        if has_image(client, image):
            return image
    image = wanted or recipe.official
    try:
        pull(client, image)
    except ProviderError as error:
        if wanted:
            raise
        missing = f"neither {recipe.official} nor {recipe.own} is here"
        raise ProviderError(f"{missing}, {error}: python -m harness images build") from error
    return image


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
        raise ProviderError(f"{image} can't be pulled as no registry gives it") from error


def _check_step(step: dict[str, Any], image: str, deadline: float) -> None:
    if "error" in step:
        raise ProviderError(f"{image} can't be pulled: {step['error']}")
    if time.monotonic() > deadline:
        raise ProviderError(f"{image} wasn't pulled within {_PULL_LIMIT:.0f} s")
