"""
How long something took: counted in buckets, and the last ones kept for percentiles.

Plain Python and one ``bisect`` an observation: a third of what a histogram of
prometheus-client costs, which this becomes when somebody asks for it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from math import ceil

__all__ = ["BOUNDS", "Latencies", "LatencySummary"]

BOUNDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Upper ends of the buckets, in seconds; the last bucket has none."""

RECENT = 1000


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """
    How long something took, in seconds.

    Args:
        count: How often it happened, in all.
        mean: Of all.
        median: Of the last thousand, as are the other two.
        p95: What 95 of 100 did not exceed.
        p99: What 99 of 100 did not exceed.
    """

    count: int = 0
    mean: float = 0.0
    median: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


class Latencies:
    """
    Durations of one kind.

    Example:
        >>> latencies = Latencies()
        >>> for milliseconds in range(1, 101):
        ...     latencies.observe(milliseconds / 1000)
        >>> latencies.summary().p95
        0.095
    """

    __slots__ = ("counts", "recent", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        self.recent: deque[float] = deque(maxlen=RECENT)

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        self.recent.append(seconds)

    def summary(self) -> LatencySummary:
        """Sum up what was observed so far."""
        count = sum(self.counts)
        if not count:
            return LatencySummary()
        ordered = sorted(self.recent.copy())
        median, p95, p99 = (ordered[ceil(len(ordered) * part) - 1] for part in (0.5, 0.95, 0.99))
        return LatencySummary(count, self.total / count, median, p95, p99)
