"""Which way statements took."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from andamios.plans.drivers import DRIVERS

__all__ = ["Ran", "ran"]

WORDS = ("read", "write", "join")
"""What drivers are asked to do: alone, or inside the transaction of a session."""


@dataclass
class Ran:
    """The statements that took the short way."""

    statements: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)


@contextmanager
def ran() -> Iterator[Ran]:
    """Note the statements that take the short way."""
    noted = Ran()
    with ExitStack() as patches:
        for kind in set(DRIVERS.values()):
            for word in WORDS:
                noting = _noting(noted, word, getattr(kind, word))
                patches.enter_context(patch.object(kind, word, noting))
        yield noted


def _noting(noted: Ran, word: str, run: Callable[..., Any]) -> Callable[..., Any]:
    async def note(self: Any, connection: Any, sql: str, *args: Any) -> Any:
        noted.statements.append(sql)
        if word == "write":
            noted.writes.append(sql)
        return await run(self, connection, sql, *args)

    return note
