"""The table of capabilities: what the tests of a run showed each backend can do."""

from collections import defaultdict
from dataclasses import asdict
from typing import Any

import pytest

from harness.conformance.gaps import Gap, gap_of
from harness.session import BACKENDS

__all__ = ["CapabilityTable"]

YES, NO, GAP, UNKNOWN = "yes", "FAILED", "no", "-"

WEIGHT = (UNKNOWN, YES, GAP, NO)
"""Of several results the one that comes last here is shown."""


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
        found = _cell(report)
        if WEIGHT.index(found) > WEIGHT.index(cells.setdefault(backend, UNKNOWN)):
            cells[backend] = found

    def as_dict(self) -> dict[str, Any]:
        """Give the table as data, with the reason for each declared gap."""
        names = self._backends()
        return {
            "table": {
                capability: {name: row.get(name, UNKNOWN) for name in names}
                for capability, row in sorted(self._cells.items())
            },
            "gaps": [asdict(gap) for gap in self._gaps()],
        }

    def as_text(self) -> str:
        """Give the table as lines of text, a footnote for each declared gap."""
        backends = self._backends()
        width = max(len(name) for name in self._cells)
        lines = [" ".join([" " * width, *(f"{name:>10}" for name in backends)])]
        for name, row in sorted(self._cells.items()):
            cells = (f"{row.get(backend, UNKNOWN):>10}" for backend in backends)
            lines.append(" ".join([f"{name:<{width}}", *cells]))
        lines += [f"no: {gap.capability} on {gap.backend}: {gap.reason}" for gap in self._gaps()]
        return "\n".join(lines) + "\n"

    def _backends(self) -> list[str]:
        found = {backend for row in self._cells.values() for backend in row}
        return [*(name for name in BACKENDS if name in found), *sorted(found - set(BACKENDS))]

    def _gaps(self) -> list[Gap]:
        declared = (
            gap_of(capability, backend)
            for capability, row in sorted(self._cells.items())
            for backend, cell in row.items()
            if cell == GAP
        )
        return [gap for gap in declared if gap is not None]


def _cell(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return GAP if report.skipped else NO
    return {"passed": YES, "failed": NO, "skipped": UNKNOWN}[report.outcome]
