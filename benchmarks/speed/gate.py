"""
When a run fails: Andamios is slower than its target by half, twice in a row.

Machines are shared and noisy, so that one slow run says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.speed.operations import OPERATIONS

if TYPE_CHECKING:
    from benchmarks.speed.results import Report

__all__ = ["ALLOWED", "Miss", "missed", "missed_again", "with_targets"]

ALLOWED = 1.5
"""What noise may do: so many times the target is still good."""

GATED = "andamios"

NOT_REACHED = {("postgresql", "transaction")}
"""What is known to miss its target by more: what SQLAlchemy does around one read of a session."""


@dataclass(frozen=True)
class Miss:
    """
    A target that was missed.

    Args:
        backend: Where.
        operation: Its name.
        ratio: What was measured; None where the operation failed.
        limit: What is allowed.
    """

    backend: str
    operation: str
    ratio: float | None
    limit: float

    def __str__(self) -> str:
        found = "failed" if self.ratio is None else f"{self.ratio:.2f}"
        return f"{self.backend}: {self.operation}: {found}, allowed are {self.limit:.2f}"


def with_targets() -> frozenset[tuple[str, str]]:
    """Give the pairs of backend and operation that have a target."""
    return frozenset(
        (backend, operation.name)
        for operation in OPERATIONS.values()
        for backend in operation.targets
        if (backend, operation.name) not in NOT_REACHED
    )


def missed(report: Report) -> list[Miss]:
    """Find what missed its target by more than is allowed."""
    found = []
    for each in report.measured:
        target = OPERATIONS[each.operation].targets.get(each.backend)
        if target is None or (each.backend, each.operation) in NOT_REACHED:
            continue
        limit = target * ALLOWED
        figure = each.figures.get(GATED)
        ratio = None if figure is None else figure.ratio
        if ratio is None or ratio > limit:
            found.append(Miss(each.backend, each.operation, ratio, limit))
    return found


def missed_again(first: Report, second: Report) -> list[Miss]:
    """Find what both runs missed, as the second one measured it."""
    before = {(miss.backend, miss.operation) for miss in missed(first)}
    return [miss for miss in missed(second) if (miss.backend, miss.operation) in before]
