"""One operation of a history: what was asked, and how it ended as far as its client knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Operation", "Outcome"]

Outcome: TypeAlias = Literal["ok", "fail", "unknown"]
"""Ok: it happened. Fail: it did not, and never will. Unknown: it may have, or still may."""


@dataclass
class Operation:
    """
    What a process asked, and what came of it.

    The words are Jepsen's, where `unknown` is called `info`. An operation that never ended is
    unknown: that is what a process leaves which dies.

    Args:
        index: Which operation of the history it is, from 0.
        process: The number of the process; it has one open operation at a time.
        name: What kind of operation, such as `transfer`.
        asked: Its arguments, as JSON has them.
        began: Its place among all beginnings and ends of the history, from 0.
        began_at: When, in seconds of a monotonic clock.
        outcome: How it ended.
        answer: What it gave, as JSON has it; only of operations that are ok.
        ended: The place of its end; None is never.
        ended_at: When, in seconds of the same clock.
        error: The class of the exception that ended it.
    """

    index: int
    process: int
    name: str
    asked: Any
    began: int
    began_at: float
    outcome: Outcome = "unknown"
    answer: Any = None
    ended: int | None = None
    ended_at: float | None = None
    error: str | None = None

    @property
    def is_ok(self) -> bool:
        """Whether it happened for certain."""
        return self.outcome == "ok"

    @property
    def is_failed(self) -> bool:
        """Whether it did not happen for certain."""
        return self.outcome == "fail"

    @property
    def is_unknown(self) -> bool:
        """Whether it may have happened."""
        return self.outcome == "unknown"
