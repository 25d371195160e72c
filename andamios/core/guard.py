"""What stands around every call that leaves for the database: the last translation of errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import exc as sa_exc

from andamios.core.translation import translate

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["translating"]


@contextmanager
def translating() -> Iterator[None]:
    """
    Translate what the engine's own events do not see: pool time-outs, foreign engines.

    Raises:
        AndamiosError: Instead of SQLAlchemy's ``TimeoutError`` or ``StatementError``.
    """
    try:
        yield
    except (sa_exc.TimeoutError, sa_exc.StatementError, sa_exc.PendingRollbackError) as error:
        translated = translate(error)
        if translated is None:
            raise
        raise translated from error
