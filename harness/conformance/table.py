"""The table of capabilities: what the tests of a run showed each backend can do."""

from collections import defaultdict
from typing import Any

import pytest

from harness.conformance.gaps import GAPS

__all__ = ["CapabilityTable"]

YES, NO, GAP, UNKNOWN = "yes", "FAILED", "no", "-"


class CapabilityTable:
    """
    Capabilities by backend, filled from results.

    A capability is shown by one or more tests; one failure is enough for a backend not to
    have it. A backend that could not be had stays unknown.
    """

    def __init__(self) -> None:
        self._cells: dict[str, dict[str, str]] = defaultdict(dict)

    def __bool__(self) -> bool:
        return bool(self._cells)

    def add(self, capability: str, backend: str, report: pytest.TestReport) -> None:
        """Take a result in."""
        cells = self._cells[capability]
        if hasattr(report, "wasxfail"):
            cells[backend] = GAP if report.skipped else NO
        elif report.failed:
            cells[backend] = NO
        elif report.skipped:
            cells.setdefault(backend, UNKNOWN)
        elif cells.get(backend) in {None, UNKNOWN}:
            cells[backend] = YES

    def as_dict(self) -> dict[str, Any]:
        """Give the table as data, with the reason for each declared gap."""
        return {
            "table": {name: dict(sorted(row.items())) for name, row in sorted(self._cells.items())},
            "gaps": [
                {"capability": gap.capability, "backend": gap.backend, "reason": gap.reason}
                for gap in GAPS
            ],
        }

    def as_text(self) -> str:
        """Give the table as lines of text, a footnote for each declared gap."""
        backends = sorted({backend for row in self._cells.values() for backend in row})
        width = max(len(name) for name in self._cells)
        lines = [" ".join([" " * width, *(f"{name:>10}" for name in backends)])]
        for name, row in sorted(self._cells.items()):
            cells = (f"{row.get(backend, UNKNOWN):>10}" for backend in backends)
            lines.append(" ".join([f"{name:<{width}}", *cells]))
        lines += [f"no: {gap.capability} on {gap.backend}: {gap.reason}" for gap in GAPS]
        return "\n".join(lines) + "\n"
