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
    from benchmarks.speed.scaling import Scaling

__all__ = ["chart", "chart_scaling"]

ROW = 0.42
"""Inches for an operation."""

HEAVY = "#c1440e"
TICKS = (0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100)


def _figure(*sizes: Any, **options: Any) -> Any:
    """Make a figure that needs no screen, and its axes."""
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "andamios"
    from matplotlib import pyplot as plt  # noqa: PLC0415  after the choice above

    return plt.subplots(*sizes, layout="constrained", **options)


def _save(drawn: Any, path: Path) -> None:
    """Write a figure, the same for the same figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def chart(report: Report, backend: str, path: Path) -> None:
    """Draw the ratios of one backend."""
    measured = [each for each in report.measured if each.backend == backend]
    drawn, axes = _figure(figsize=(9, 1.6 + ROW * len(measured)))
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
    least, most = axes.get_xlim()
    axes.set_xticks([tick for tick in TICKS if least <= tick <= most])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel(f"time ÷ {FLOORS[backend][0]}'s, median and quartiles, logarithmic")
    axes.set_title(backend)
    axes.grid(axis="x", which="both", alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    drawn.legend(handles[::-1], labels[::-1], loc="outside right upper", frameon=False)
    _save(drawn, path)


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


PANELS = {
    "tasks": ("tasks", "rows got a second"),
    "processes": ("processes", "rows got a second"),
    "times": ("rows", "milliseconds of a list"),
    "listed": ("rows", "MB, all rows in a list"),
    "iterated": ("rows", "MB, one row after the other"),
}


def chart_scaling(scaling: Scaling, path: Path) -> None:
    """Draw how it scales, a panel for each curve."""
    floor = FLOORS["postgresql"][0]
    drawn, panels = _figure(2, 3, figsize=(13, 7))
    for axes, (name, (against, what)) in zip(panels.flat, PANELS.items(), strict=False):
        for system, curve in getattr(scaling, name).items():
            label = NAMES.get(system, system)
            colour = HEAVY if system == "andamios" else "black" if system == floor else "#3b7ea1"
            axes.plot(list(curve), list(curve.values()), marker="o", label=label, color=colour)
        if against == "rows":
            axes.set_xscale("log")
            axes.set_yscale("log" if name == "times" else "linear")
        elif against == "tasks":
            axes.set_xscale("log", base=2)
        else:
            axes.set_xticks(list(next(iter(getattr(scaling, name).values()))))
        if name != "times":
            axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.set_xlabel(against)
        axes.set_title(what, loc="left")
        axes.grid(alpha=0.25)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    panels.flat[-1].legend(handles, labels, loc="center", frameon=False)
    panels.flat[-1].axis("off")
    _save(drawn, path)
