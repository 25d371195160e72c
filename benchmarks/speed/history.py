"""Where figures are kept: a line of JSON for each run, in ``reports/benchmarks/history.jsonl``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.speed.results import Report

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["append", "read"]


def append(report: Report, path: Path) -> None:
    """Add a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(report.as_dict()) + "\n")


def read(path: Path) -> list[Report]:
    """Give all runs, the oldest first."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Report.from_dict(json.loads(line)) for line in lines]
