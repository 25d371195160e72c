"""Which way statements took, and how many were compared in a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from andamios.plans.executor import Executor

__all__ = ["Ran", "ran"]


@dataclass
class Ran:
    """The statements that took the short way."""

    statements: list[str] = field(default_factory=list)


@contextmanager
def ran() -> Iterator[Ran]:
    """Note the statements that take the short way."""
    noted, run = Ran(), Executor.run

    async def noting(self: Executor, sql: str, *args: Any, **options: Any) -> Any:
        noted.statements.append(sql)
        return await run(self, sql, *args, **options)

    Executor.run = noting  # type: ignore[method-assign]
    try:
        yield noted
    finally:
        Executor.run = run  # type: ignore[method-assign]
