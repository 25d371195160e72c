"""Figures as people read them: tables in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.speed.floors import FLOORS
from benchmarks.speed.operations import OPERATIONS
from benchmarks.speed.systems import DRIVERS, SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.speed.results import Figure, Measured, Report

__all__ = ["NAMES", "page", "summary", "table", "with_summary"]

BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
"""Between what the README has its table."""

NAMES = {
    "andamios": "Andamios",
    "sqlalchemy_core": "SQLAlchemy Core",
    "sqlalchemy_orm": "SQLAlchemy ORM",
    "sqlmodel": "SQLModel",
    "advanced_alchemy": "Advanced Alchemy",
    "tortoise": "Tortoise",
    "piccolo": "Piccolo",
    "django": "Django",
    "psycopg": "psycopg",
}
"""How systems are written."""

EXPLAINED = (
    "Each figure is the median of a system's ratios to the raw driver in the same round; charts "
    "show quartiles too. The order of a round rotates. Bold: above the target."
)


def page(report: Report, *backends: str) -> str:
    """Write everything about a run, or about these backends."""
    backends = backends or tuple(dict.fromkeys(each.backend for each in report.measured))
    parts = [
        "# Speed",
        f"{report.started}. {EXPLAINED}",
        *(_section(report, backend) for backend in backends),
        "## What it ran on",
        _lines(report.machine),
        _lines(report.versions),
    ]
    return "\n\n".join(parts) + "\n"


def _section(report: Report, backend: str) -> str:
    single = [f"- {name}: {value}" for name, value in report.single.get(backend, {}).items()]
    return "\n\n".join(
        (
            f"## {backend}",
            table(report, backend),
            f"![ratios on {backend}](speed-{backend}.svg)",
            "\n".join((*single, _lines(report.servers.get(backend, {})))),
        )
    )


def _lines(facts: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def table(report: Report, backend: str) -> str:
    """Write the ratios of one backend, and below it what failed."""
    measured = [each for each in report.measured if each.backend == backend]
    others = [
        name
        for name in (*FLOORS[backend][1:], *SYSTEMS)
        if name != "andamios" and any(name in each.figures for each in measured)
    ]
    best = ["best peer"] if len(others) > 1 else []
    names = [NAMES.get(name, name) for name in others]
    head = ["operation", FLOORS[backend][0], "Andamios", "target", *best, *names]
    rows = [head, ["---"] * len(head)]
    for each in measured:
        operation = OPERATIONS[each.operation]
        target = operation.targets.get(backend)
        floor = each.figures[FLOORS[backend][0]]
        row = [operation.title, _time(floor.microseconds), _own(each, target)]
        row += ["–" if target is None else f"≤ {target}", *([_best(each)] if best else [])]
        rows.append([*row, *(_cell(each, name) for name in others)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, *_failures(measured)])


def summary(report: Report, backend: str = "postgresql") -> str:
    """Write the ratios of one backend beside the best peer and plain SQLAlchemy's only."""
    floor = FLOORS[backend][0]
    head = ["operation", floor, "Andamios", "best peer", NAMES["sqlalchemy_orm"]]
    rows = [head, ["---"] * len(head)]
    for each in report.measured:
        if each.backend == backend:
            time = _time(each.figures[floor].microseconds)
            cells = _cell(each, "andamios"), _best(each), _cell(each, "sqlalchemy_orm")
            rows.append([OPERATIONS[each.operation].title, time, *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def with_summary(text: str, report: Report) -> str:
    """
    Give a text with the summary of a report between its marks.

    Raises:
        ValueError: The text has no such marks.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"There are no marks {BEGIN} and {END} to put the table between.")
    return f"{head}{BEGIN}\n{summary(report)}\n{END}{tail}"


def _failures(measured: list[Measured]) -> Iterator[str]:
    failures = [(each, *item) for each in measured for item in each.failures.items()]
    if failures:
        yield ""
    for each, name, reason in failures:
        first, *_ = reason.splitlines() or [""]
        yield f"- {name} failed at {OPERATIONS[each.operation].title}: {first:.200}"


def _own(measured: Measured, target: float | None) -> str:
    cell = _cell(measured, "andamios")
    figure = measured.figures.get("andamios")
    is_missed = figure is not None and target is not None and round(figure.ratio, 2) > target
    return f"**{cell}**" if is_missed else cell


def _best(measured: Measured) -> str:
    peers = {
        name: figure
        for name, figure in measured.figures.items()
        if name in SYSTEMS and name not in {"andamios", *DRIVERS}
    }
    if not peers:
        return "–"

    def ratio(name: str) -> float:
        return peers[name].ratio

    name = min(peers, key=ratio)
    return f"{_ratio(peers[name])} ({NAMES[name]})"


def _cell(measured: Measured, name: str) -> str:
    figure = measured.figures.get(name)
    if figure is None:
        return "failed" if name in measured.failures else "–"
    return _ratio(figure)


def _ratio(figure: Figure) -> str:
    return f"{figure.ratio:.2f}" if figure.ratio < 10 else f"{figure.ratio:.1f}"


def _time(microseconds: float) -> str:
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    return f"{microseconds / 1000:.1f} ms"
