"""What a container engine's failures mean, each in one line that says what to do."""

from collections.abc import Iterator

from requests.exceptions import Timeout

__all__ = ["explain", "is_timeout"]

_LONGEST = 300


def explain(error: BaseException | str) -> str:
    """
    Write one line about a failure.

    Args:
        error: What the engine's library raised, or the engine said.

    Returns:
        What is wrong, and what to do.
    """
    text = " ".join(str(getattr(error, "explanation", None) or error).split())
    if isinstance(error, PermissionError) or "ermission denied" in text:
        return "no right to use the Docker engine: be root or join its group, or use local"
    if "no space left on device" in text.lower():
        return "the Docker engine's disk is full: docker system prune frees some, or use local"
    if is_timeout(error):
        return "the Docker engine didn't answer in time: restart it, or use local"
    if type(error).__module__ == "builtins" or "Error while fetching server API version" in text:
        return "no Docker engine answers: start one, or use local"
    return f"the Docker engine said: {text[:_LONGEST]}"


def is_timeout(error: BaseException | str) -> bool:
    """Tell whether waiting too long is what a failure comes from."""
    return any(isinstance(link, (Timeout, TimeoutError)) for link in _chain(error))


def _chain(error: BaseException | str) -> Iterator[BaseException]:
    link = error if isinstance(error, BaseException) else None
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
