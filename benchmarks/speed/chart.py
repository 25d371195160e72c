"""Figures as a picture: ratios on a logarithmic scale, with quartiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from benchmarks.speed.floors import FLOORS
from benchmarks.speed.operations import OPERATIONS
from benchmarks.speed.report import NAMES
from benchmarks.speed.systems import SYSTEMS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.speed.results import Measured, Report

__all__ = ["chart", "figure", "save"]

ROW = 0.42
"""Inches for an operation."""

HEAVY = "#c1440e"


def figure(*sizes: Any, **options: Any) -> Any:
    """Make a figure that needs no screen, and its axes."""
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "andamios"
    from matplotlib import pyplot as plt  # noqa: PLC0415  after the choice above

    return plt.subplots(*sizes, layout="constrained", **options)


def save(drawn: Any, path: Path) -> None:
    """Write a figure, the same for the same figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def chart(report: Report, backend: str, path: Path) -> None:
    """Draw the ratios of one backend."""
    measured = [each for each in report.measured if each.backend == backend]
    drawn, axes = figure(figsize=(9, 1.6 + ROW * len(measured)))
    names = [
        name
        for name in (*FLOORS[backend][1:], *SYSTEMS)
        if any(name in each.figures for each in measured)
    ]
    colours = mpl.colormaps["tab10"]
    for place, name in enumerate(reversed(names)):
        _draw(axes, measured, name, HEAVY if name == "andamios" else colours(place))
    _draw_targets(axes, measured, backend)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(measured)), [OPERATIONS[each.operation].title for each in measured])
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"time ÷ {FLOORS[backend][0]}'s, median and quartiles, logarithmic")
    axes.set_title(backend)
    axes.grid(axis="x", which="both", alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    drawn.legend(handles[::-1], labels[::-1], loc="outside right upper", frameon=False)
    save(drawn, path)


def _draw(axes: Any, measured: list[Measured], name: str, colour: Any) -> None:
    found = [
        (place, each.figures[name]) for place, each in enumerate(measured) if name in each.figures
    ]
    ratios = [figure.ratio for _, figure in found]
    axes.errorbar(
        ratios,
        [place for place, _ in found],
        xerr=(
            [max(figure.ratio - figure.low, 0) for _, figure in found],
            [max(figure.high - figure.ratio, 0) for _, figure in found],
        ),
        fmt="D" if name == "andamios" else "o",
        markersize=7 if name == "andamios" else 5,
        color=colour,
        capsize=2,
        label=NAMES.get(name, name),
        alpha=1.0 if name == "andamios" else 0.75,
    )


def _draw_targets(axes: Any, measured: list[Measured], backend: str) -> None:
    targets = [
        (place, OPERATIONS[each.operation].targets[backend])
        for place, each in enumerate(measured)
        if backend in OPERATIONS[each.operation].targets
    ]
    if targets:
        places, values = zip(*targets, strict=True)
        axes.scatter(values, places, marker="|", s=260, color="black", label="target")
