"""The chart of a collector: how long operations take, and how much of the pool is in use."""

from __future__ import annotations

import datetime as dt
import importlib
from collections import Counter
from math import floor, log10
from typing import TYPE_CHECKING, Any

from andamios.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from andamios.monitoring.latencies import Latencies, LatencySummary
    from andamios.monitoring.measures import Measures, PoolSample

__all__ = ["draw_metrics"]

INK, FAINT = "#22303c", "#9fb0bd"
COLOURS = {
    "select": "#3b7ea1",
    "insert": "#5b9a6f",
    "update": "#d9a441",
    "delete": "#d1495b",
    "other": "#8b7f9e",
}

STEPS = 10
"""Steps of a hill for each power of ten."""

SHORTEST = 1e-6

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw_metrics(measures: Measures, ax: Any = None, *, title: str = "") -> Any:
    """
    Draw latencies by operation and, unless axes are given, the use of the pool over time.

    Args:
        measures: Of an engine.
        ax: Axes for the latencies alone.
        title: Above both.

    Returns:
        The figure.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context  # noqa: PLC0415  an extra, and slow to import
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise MissingDependencyError("matplotlib", "tour") from None

    with rc_context(STYLE):
        if ax is not None:
            _latencies(ax, measures)
            return ax.figure
        figure = Figure(figsize=(12, 4.8), dpi=110, facecolor="white", layout="constrained")
        figure.suptitle(title, weight="bold", x=0.01, ha="left")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _latencies(left, measures)
        _pool(right, measures.until_now())
        return figure


def _latencies(axes: Any, measures: Measures) -> None:
    """Draw a hill for each operation: the last thousand, in steps of a tenth of a decade."""
    axes.set_title("How long statements take")
    axes.set_xlabel("time, milliseconds")
    axes.set_xscale("log")
    found = [(name, each) for name, each in measures.queries.items() if each.recent]
    for row, (name, latencies) in enumerate(reversed(found)):
        _hill(axes, row, latencies, COLOURS[name])
        _marks(axes, row, latencies.summary())
    axes.set_yticks(range(len(found)), [_label(*each) for each in reversed(found)])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.25, max(len(found), 1))
    axes.xaxis.set_major_formatter("{x:g}")
    if not found:
        axes.text(0.5, 0.5, "no statement yet", transform=axes.transAxes, ha="center")


def _label(name: str, latencies: Latencies) -> str:
    return f"{name}\n{sum(latencies.counts):,}"


def _hill(axes: Any, row: int, latencies: Latencies, colour: str) -> None:
    steps = Counter(floor(STEPS * log10(max(seconds, SHORTEST))) for seconds in latencies.recent)
    low, high = min(steps), max(steps)
    top = max(steps.values())
    tops = [row + 0.65 * steps[step] / top for step in range(low, high + 1)]
    edges = [1000 * 10 ** (step / STEPS) for step in range(low, high + 2)]
    axes.stairs(tops, edges, baseline=row, fill=True, color=colour, alpha=0.6)
    axes.axhline(row, color=FAINT, linewidth=0.8)


def _marks(axes: Any, row: int, summary: LatencySummary) -> None:
    marks = {
        "median": (summary.median, "o"),
        "95 %": (summary.p95, "|"),
        "99 %": (summary.p99, "|"),
    }
    for seconds, marker in marks.values():
        axes.plot([1000 * seconds], [row], marker, color=INK, markersize=8, clip_on=False)
    words = "   ".join(f"{name} {1000 * seconds:.3g} ms" for name, (seconds, _) in marks.items())
    axes.annotate(
        words,
        (1, row + 0.72),
        (0, 0),
        ("axes fraction", "data"),
        "offset points",
        ha="right",
        fontsize=8,
    )


def _pool(axes: Any, taken: Sequence[PoolSample]) -> None:
    axes.set_title("Connections in use")
    if not taken:
        axes.text(0.5, 0.5, "no connection yet", transform=axes.transAxes, ha="center")
        return
    dates: Any = importlib.import_module("matplotlib.dates")

    times = [dt.datetime.fromtimestamp(sample.at).astimezone() for sample in taken]
    used = [sample.in_use for sample in taken]
    size = taken[-1].size
    axes.fill_between(times, used, step="post", color=COLOURS["select"], alpha=0.3, linewidth=0)
    axes.step(times, used, where="post", color=COLOURS["select"], linewidth=1.8)
    if size:
        axes.axhline(size, color=FAINT, linestyle="--", linewidth=1)
        axes.annotate(
            f"kept: {size}", (0, size), (4, 3), ("axes fraction", "data"), "offset points"
        )
    axes.set_ylim(0, max(*used, size, 1) * 1.15)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.set_major_locator(locator := dates.AutoDateLocator(maxticks=6))
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=times[0].tzinfo))
