"""What a run says of its trials: the table in the summary, and with the picture in files."""

from __future__ import annotations

import json
import os
import platform
import time
from collections import Counter
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from harness.faults.trials.table import HEADS, TrialTable
from harness.faults.trials.timeline import timeline
from harness.faults.trials.trial import Trial

if TYPE_CHECKING:
    import pytest

__all__ = ["PROPERTY", "TrialReport"]

PROPERTY = "fault_trial"
"""The property of a test's report that holds a trial."""

STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; }
table { border-collapse: collapse; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #8884; text-align: left; }
td { white-space: nowrap; }
td:last-child { white-space: normal; min-width: 16rem; }
svg { max-width: 100%; height: auto; }
"""


class TrialReport:
    """
    Collects trials in the controller, from all workers, and writes what they come to.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._began = time.gmtime()
        self._results = Counter[str]()
        self._table = TrialTable()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a result, and take the trials of a test in."""
        if report.when == "call" or not report.passed:
            self._results[report.outcome] += 1
        if report.when == "call":
            for name, value in report.user_properties:
                if name == PROPERTY and isinstance(value, str):
                    self._table.add(Trial.from_dict(json.loads(value)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, and write the files."""
        if not self._table:
            return
        self._table.run = self._facts()
        terminalreporter.section("faults")
        terminalreporter.write(self._table.as_text())
        folder = self._config.getoption("harness_report")
        if folder:
            path = Path(folder)
            path.mkdir(parents=True, exist_ok=True)
            for name, content in {
                "faults.txt": self._table.as_text(),
                "faults.md": self._table.as_markdown(),
                "faults.json": self._table.as_json(),
                "faults.svg": timeline(self._table),
                "faults.html": _page(self._table),
            }.items():
                (path / name).write_text(content, encoding="utf-8")

    def _facts(self) -> dict[str, str]:
        """Tell what else somebody wants to know who reads the table later."""
        results = (f"{count} {outcome}" for outcome, count in sorted(self._results.items()))
        return {
            "begun": time.strftime("%Y-%m-%d %H:%M UTC", self._began),
            "tests": ", ".join(results),
            "seed": str(self._config.getoption("harness_seed")),
            "Python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        }


def _page(table: TrialTable) -> str:
    """Write table and picture as one HTML page that needs nothing else."""
    heads = "".join(f"<th>{escape(head)}</th>" for head in HEADS)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>"
        for row in table.rows()
    )
    sums = "".join(f"<li>{escape(line)}</li>" for line in table.summary())
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>'
        f"<title>Faults</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>Faults</h1>\n"
        f"<ul>{sums}</ul>\n{timeline(table)}\n"
        f"<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table>\n"
        "</body>\n</html>\n"
    )
