"""
The tour's picture: four of its answers side by side.

Drawn without a display, and moved into place when it is complete.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from andamios.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from andamios.tour.answers import Answer

__all__ = ["draw", "require_matplotlib"]

INK, FAINT, COLD, WARM = "#22303c", "#9fb0bd", "#3b7ea1", "#d1495b"

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def require_matplotlib() -> None:
    """
    See that a picture can be drawn, before there is anything to draw.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401, ICN001, PLC0415  an extra, and slow to import
    except ImportError:
        raise MissingDependencyError("matplotlib", "tour") from None


def draw(answers: Iterable[Answer], file: Path) -> None:
    """
    Draw routes, hours, wind and the age of planes into a PNG.

    Args:
        answers: Of the tour, those four among them.
        file: Where to; an old picture is replaced.
    """
    from matplotlib import rc_context  # noqa: PLC0415  an extra, and slow to import
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    rows = {answer.name: answer.rows for answer in answers}
    with rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15, wspace=0.05, hspace=0.06)
        figure = Figure(figsize=(13, 9), dpi=120, facecolor="white", layout=layout)
        FigureCanvasAgg(figure)
        figure.suptitle(
            "A year of flights out of New York, 2013", fontsize=17, weight="bold", x=0.02, ha="left"
        )
        for axes, (name, panel) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
            panel(axes, rows[name])
        draft = file.with_name(f".{file.name}.partial")
        figure.savefig(draft, format="png")
    draft.replace(file)


def _routes(axes: Any, rows: list[dict[str, Any]]) -> None:
    names = [f"{row['origin']} → {row['name'] or row['dest']}" for row in rows]
    delays = [row["delay"] for row in rows]
    bars = axes.barh(names, delays, color=WARM, height=0.72)
    axes.bar_label(bars, fmt="%.1f", padding=4)
    axes.invert_yaxis()
    axes.set_xlim(0, max(delays) * 1.12)
    axes.tick_params(axis="y", length=0)
    axes.set_title("The ten latest routes")
    axes.set_xlabel("mean delay on arrival, minutes")


def _hours(axes: Any, rows: list[dict[str, Any]]) -> None:
    hours, delays = [row["hour"] for row in rows], [row["delay"] for row in rows]
    axes.fill_between(hours, delays, color=COLD, alpha=0.18)
    axes.plot(hours, delays, color=COLD, linewidth=2.4, marker="o", markersize=5)
    worst = delays.index(max(delays))
    axes.annotate(
        f"{hours[worst]}:00, {delays[worst]:.1f} min",
        (hours[worst], delays[worst]),
        xytext=(-10, 8),
        textcoords="offset points",
        ha="right",
    )
    axes.set_ylim(0, max(delays) * 1.18)
    axes.set_xticks(hours)
    axes.set_title("Delay piles up during the day")
    axes.set_xlabel("hour of the scheduled departure")
    axes.set_ylabel("mean delay, minutes")


def _wind(axes: Any, rows: list[dict[str, Any]]) -> None:
    bars = axes.bar(
        _bands([row["mph_from"] for row in rows]), [row["delay"] for row in rows], color=COLD
    )
    axes.bar_label(bars, [f"{row['flights']:,}\nflights" for row in rows], padding=3, fontsize=8)
    axes.set_ylim(0, max(row["delay"] for row in rows) * 1.2)
    axes.set_title("Wind delays departures")
    axes.set_xlabel("wind speed at the airport, miles an hour")
    axes.set_ylabel("mean delay, minutes")


def _ages(axes: Any, rows: list[dict[str, Any]]) -> None:
    bars = axes.bar(
        _bands([row["age_from"] for row in rows]), [row["on_time"] for row in rows], color=FAINT
    )
    axes.bar_label(bars, fmt="%.1f %%", padding=3)
    axes.set_ylim(0, 100)
    axes.set_title("Old planes are not the late ones")
    axes.set_xlabel("age of the plane, years")
    axes.set_ylabel("arrivals on time, %")


PANELS: dict[str, Callable[[Any, list[dict[str, Any]]], None]] = {
    "worst_routes": _routes,
    "scheduled_hours": _hours,
    "wind": _wind,
    "plane_ages": _ages,
}


def _bands(edges: list[int]) -> list[str]:
    closed = [f"{low}–{high}" for low, high in pairwise(edges)]
    return [*closed, f"{edges[-1]}+"]
