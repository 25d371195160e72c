"""
The picture of a plan: the tree on the left, and bars for rows and cost beside each node.

Drawn without a display. Rows have a logarithmic scale, since plans go wrong by factors; the
cost of a node is its own, without what is below, so that the long bar is where time goes.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from andamios.errors import MissingDependencyError
from andamios.queries.planning.nodes import ACCESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from andamios.queries.planning.plan import QueryPlan

__all__ = ["as_svg", "draw"]

INK, FAINT, COLD, WARM, GOOD = "#22303c", "#c3ced6", "#3b7ea1", "#d1495b", "#4f9d69"

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "svg.hashsalt": "andamios",
    "text.color": INK,
}

STEP = 0.055
"""How far a child stands to the right of its parent, in widths of the panel."""


def draw(plan: QueryPlan, figure: Any = None) -> Any:
    """
    Draw a plan.

    Args:
        plan: The whole plan.
        figure: Of matplotlib; by default a new one, high enough for the nodes.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context  # noqa: PLC0415  an extra, and slow to import
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise MissingDependencyError("matplotlib", "tour") from None
    nodes = list(_placed(plan))
    panels = [panel for panel in (_rows, _costs) if any(panel(each) for _, _, each in nodes)]
    with rc_context(STYLE):
        figure = figure or Figure(figsize=(6 + 2.2 * len(panels), 0.9 + 0.42 * len(nodes)))
        figure.set_facecolor("white")
        widths = [3.2, *(1.0 for _ in panels)]
        axes = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths, sharey=True)[0]
        _tree(axes[0], nodes)
        for panel, beside in zip(panels, axes[1:], strict=True):
            _bars(beside, panel, [each for _, _, each in nodes])
        figure.subplots_adjust(left=0.01, right=0.97, top=1 - 0.5 / _height(figure), wspace=0.06)
    return figure


def as_svg(plan: QueryPlan) -> str:
    """Draw a plan as SVG."""
    figure = draw(plan)
    from matplotlib import rc_context  # noqa: PLC0415  it is there, since draw() needed it

    target = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(target, format="svg", bbox_inches="tight", metadata={"Date": None})
    return target.getvalue()


def _height(figure: Any) -> float:
    return float(figure.get_size_inches()[1])


def _placed(plan: QueryPlan, depth: int = 0, above: int = -1) -> Iterator[tuple[int, int, Any]]:
    """Give each node with its depth and the line of its parent; lines count from 0."""
    stack = [(plan, depth, above)]
    line = 0
    while stack:
        node, depth, above = stack.pop()
        yield depth, above, node
        stack.extend((child, depth + 1, line) for child in reversed(node.children))
        line += 1


def _tree(axes: Any, nodes: Sequence[tuple[int, int, QueryPlan]]) -> None:
    axes.set(xlim=(0, 1), ylim=(len(nodes) - 0.4, -0.6))
    axes.axis("off")
    for line, (depth, above, node) in enumerate(nodes):
        x = 0.02 + STEP * depth
        if above >= 0:
            axes.plot([x - STEP, x - STEP, x], [above, line, line], color=FAINT, zorder=1)
        axes.plot(x, line, "o", color=_colour(node), markersize=7, zorder=2)
        axes.text(x + 0.025, line, node.title, va="center", weight=_weight(node))


def _colour(node: QueryPlan) -> str:
    if node.node == "sequential scan":
        return WARM
    return GOOD if node.node in ACCESSES else COLD


def _weight(node: QueryPlan) -> str:
    return "bold" if node.node in ACCESSES else "normal"


def _rows(node: QueryPlan) -> list[tuple[str, float]]:
    told = [("expected", node.estimated_rows), ("came", node.actual_rows)]
    return [(name, value) for name, value in told if value is not None]


def _costs(node: QueryPlan) -> list[tuple[str, float]]:
    if node.cost is None:
        return []
    return [("own cost", max(node.cost - sum(each.cost or 0 for each in node.children), 0))]


def _bars(axes: Any, panel: Any, nodes: Sequence[QueryPlan]) -> None:
    shades = {"expected": FAINT, "came": INK, "own cost": COLD}
    most = max(value for node in nodes for _, value in panel(node)) or 1
    named = {}
    for line, node in enumerate(nodes):
        told = panel(node)
        for place, (name, value) in enumerate(told):
            height = 0.62 / len(told)
            y = line - 0.31 + height * (place + 0.5)
            named[name] = axes.barh(y, value, height, color=shades[name])
            size = 8.5 if len(told) == 1 else 7
            axes.annotate(
                f" {value:,.4g}" if value < 1 else f" {value:,.0f}",
                (value, y),
                va="center",
                fontsize=size,
            )
    axes.set_xscale("symlog" if panel is _rows else "linear")
    axes.set_xlim(0, most**1.5 + 10 if panel is _rows else most * 1.45)
    axes.axis("off")
    title = "rows a run" if panel is _rows else "own cost"
    axes.set_title(title, loc="left", fontsize=10, weight="bold", color=INK)
    if len(named) > 1:
        # Below the bars, where the title and the figures are not.
        where: Any = {"loc": "upper left", "bbox_to_anchor": (-0.05, 0.0), "ncols": len(named)}
        axes.legend(named.values(), named, frameon=False, fontsize=7.5, **where)
