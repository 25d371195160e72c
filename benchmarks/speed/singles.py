"""Figures that are no ratios."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from andamios import AndamiosEngine

if TYPE_CHECKING:
    from benchmarks.speed.results import Report

__all__ = ["add_singles"]

TIMES = 500
ROUNDS = 9


async def add_singles(report: Report, backend: str, url: str) -> None:
    """
    Measure taking a connection from the pool and giving it back, and note 10,000 rows created.

    Args:
        report: Gets the figures; the operation ``bulk`` may be in it.
        backend: Where.
        url: Of the database.
    """
    found = report.single.setdefault(backend, {})
    found["pool check-out and back, µs"] = round(await _check_out(url), 1)
    for each in report.measured:
        if (each.backend, each.operation) == (backend, "bulk") and "andamios" in each.figures:
            milliseconds = each.figures["andamios"].microseconds / 1000
            found["10,000 rows created, ms"] = round(milliseconds, 1)


async def _check_out(url: str) -> float:
    times = []
    async with AndamiosEngine(url, uvloop=False) as engine:
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            for _ in range(TIMES):
                async with engine.connections.acquire():
                    pass
            times.append((time.perf_counter() - begun) / TIMES)
    return statistics.median(times) * 1e6
