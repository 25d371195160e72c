"""Figures as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.speed.floors import FLOORS
from benchmarks.speed.operations import OPERATIONS
from benchmarks.speed.systems import SYSTEMS

if TYPE_CHECKING:
    from benchmarks.speed.results import Measured, Report

__all__ = ["table"]


def table(report: Report, backend: str) -> str:
    """Write the ratios of one backend as a table in Markdown."""
    measured = [each for each in report.measured if each.backend == backend]
    names = [name for name in (*FLOORS[backend][1:], *SYSTEMS) if _has(measured, name)]
    head = ["operation", "floor", *names, "target"]
    lines = [head, ["---"] * len(head)]
    for each in measured:
        operation = OPERATIONS[each.operation]
        floor = each.figures[FLOORS[backend][0]]
        cells = [_cell(each, name) for name in names]
        target = operation.targets.get(backend)
        wanted = "–" if target is None else f"≤ {target}"
        lines.append([operation.title, _time(floor.microseconds), *cells, wanted])
    failures = [
        f"- {name}, {OPERATIONS[each.operation].title}: {reason:.300}"
        for each in measured
        for name, reason in each.failures.items()
    ]
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + [""] + failures)


def _has(measured: list[Measured], name: str) -> bool:
    return any(name in each.figures for each in measured)


def _cell(measured: Measured, name: str) -> str:
    figure = measured.figures.get(name)
    if figure is None:
        return "failed" if name in measured.failures else "–"
    return f"{figure.ratio:.2f}"


def _time(microseconds: float) -> str:
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    return f"{microseconds / 1000:.1f} ms"
