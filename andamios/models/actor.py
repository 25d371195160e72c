"""Who acts: the user that audited rows name as their author."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["acting_as", "current_actor"]

_actor: ContextVar[str | None] = ContextVar("andamios_actor", default=None)


@contextmanager
def acting_as(user_id: str | int) -> Iterator[None]:
    """
    Name the user for all that is written inside the block, child tasks included.

    Args:
        user_id: Kept as text.

    Example:
        >>> from andamios.models import acting_as, current_actor
        >>> with acting_as(7):
        ...     current_actor()
        '7'
    """
    token = _actor.set(str(user_id))
    try:
        yield
    finally:
        _actor.reset(token)


def current_actor() -> str | None:
    """Give the user that :func:`acting_as` named, or None."""
    return _actor.get()
