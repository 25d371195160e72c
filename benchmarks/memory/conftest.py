"""Collects what was measured, and prints it as a table."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

FOUND: list[dict[str, object]] = []
FOOTPRINTS: dict[str, float] = {}


@pytest.fixture
def record_memory(backend: str) -> Callable[[str, dict[str, float]], None]:
    """Keep the figures of one way."""

    def record(way: str, figures: dict[str, float]) -> None:
        FOUND.append({"backend": backend, "way": way, **{k: round(v) for k, v in figures.items()}})

    return record


@pytest.fixture
def record_footprint() -> Callable[[str, float], None]:
    """Keep the megabytes of a process that has imported something."""
    return FOOTPRINTS.__setitem__


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table and write it down."""
    if FOOTPRINTS:
        terminalreporter.section("memory after an import")
    for name, megabytes in FOOTPRINTS.items():
        terminalreporter.write_line(f"{name:>32}{megabytes:>8.1f} MB")
    if not FOUND:
        return
    terminalreporter.section("memory of a million rows")
    names = list(FOUND[0])
    terminalreporter.write_line("".join(f"{name:>16}" for name in names))
    for each in FOUND:
        terminalreporter.write_line("".join(f"{each[name]!s:>16}" for name in names))
    path = Path("reports/memory.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(FOUND, indent=2), encoding="utf-8")
