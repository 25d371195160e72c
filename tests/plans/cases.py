"""Something to ask both ways, and how long a run may take for it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import settings

from andamios import AndamiosEngine

__all__ = ["Ask", "Case", "Way", "is_night"]

Ask = Callable[[AndamiosEngine], Awaitable[Any]]
Way = Literal["short", "long", "either"]


@dataclass(frozen=True)
class Case:
    """
    Something to ask.

    Args:
        name: What a report calls it.
        ask: Asks it of an engine.
        way: Which way it takes, unless it must take the long one.
        is_deep: Whether to look at what becomes of its results.
    """

    name: str
    ask: Ask
    way: Way = "short"
    is_deep: bool = False


def is_night() -> bool:
    """Whether a run takes its time: ``--hypothesis-profile=nightly``."""
    return settings().max_examples > 100
