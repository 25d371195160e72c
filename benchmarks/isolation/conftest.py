"""Collects what each test took, set-up and clean-up included, and prints it by kind."""

import json
import statistics
from collections import defaultdict
from pathlib import Path

import pytest

TIMES: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the ways take turns, and say of each test what it is compared by."""
    items.sort(key=lambda item: (item.cls.__name__, _number(item)))
    items.sort(key=lambda item: dict(item.user_properties).get("backend", ""))
    for item in items:
        item.user_properties.append(("tables", item.cls.__name__.removeprefix("Test")))
        item.user_properties.append(("way", item.originalname.removeprefix("test_")))
        item.user_properties.append(("number", _number(item)))


def _number(item: pytest.Item) -> int:
    return item.callspec.params["number"]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the phases of a test; the first round is warm-up."""
    labels = dict(report.user_properties)
    if labels.get("number"):
        key = (labels.get("backend", "none"), labels["tables"], labels["way"])
        TIMES[key][report.nodeid] = TIMES[key].get(report.nodeid, 0.0) + report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print medians in milliseconds and write them down."""
    if not TIMES:
        return
    nothing = TIMES.pop(("none", "FiveTables", "nothing"), {})
    TIMES.pop(("none", "FiftyTables", "nothing"), {})
    ways = list(dict.fromkeys(way for _, _, way in TIMES))
    places = list(dict.fromkeys((backend, tables) for backend, tables, _ in TIMES))
    terminalreporter.section("milliseconds a test, set-up and clean-up included (median)")
    terminalreporter.write_line(f"a test without a database: {_median(nothing)}")
    terminalreporter.write_line(f"{'':<26}" + "".join(f"{way:>13}" for way in ways))
    found = []
    for backend, tables in places:
        medians = {way: _median(TIMES[backend, tables, way]) for way in ways}
        found.append({"backend": backend, "tables": tables, "ms": medians})
        cells = "".join(f"{medians[way]:>13}" for way in ways)
        terminalreporter.write_line(f"{backend + ', ' + tables:<26}{cells}")
    path = Path("reports/isolation.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=2), encoding="utf-8")


def _median(times: dict[str, float]) -> float:
    return round(statistics.median(times.values()) * 1000, 1) if times else 0.0
