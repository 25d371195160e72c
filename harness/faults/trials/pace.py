"""How a trial went on over time: what a picture of it shows, and all that is kept of that."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["SLICES", "Pace"]

SLICES = 120


@dataclass(frozen=True)
class Pace:
    """
    How many operations ended how, in each of 120 slices of a trial.

    Args:
        seconds: How long the trial took.
        counts: The operations of each slice, by outcome; outcomes that never came are not there.

    Example:
        >>> pace = Pace.of([(0.1, "ok"), (0.15, "ok"), (2.0, "fail")])
        >>> pace.seconds, pace.counts["ok"][:10], pace.counts["fail"][-1]
        (2.0, (0, 0, 0, 0, 0, 0, 1, 0, 0, 1), 1)
    """

    seconds: float
    counts: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, ends: Collection[tuple[float, str]]) -> Self:
        """
        Build it.

        Args:
            ends: When each operation ended, in seconds since the trial began, and how.
        """
        seconds = max((at for at, _ in ends), default=0.0)
        places = ((min(SLICES - 1, int(at / (seconds or 1) * SLICES)), how) for at, how in ends)
        found = Counter(places)
        outcomes = sorted({outcome for _, outcome in found})
        counts = {how: tuple(found[place, how] for place in range(SLICES)) for how in outcomes}
        return cls(round(seconds, 3), counts)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Self:
        """Build one from JSON."""
        counts = {outcome: tuple(each) for outcome, each in record["counts"].items()}
        return cls(record["seconds"], counts)
