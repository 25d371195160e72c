"""The table of capabilities: what the tests of a run showed each backend can do."""

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from harness.conformance.columns import Column
from harness.session import KNOWN_BACKENDS

__all__ = ["FAILED", "NO", "RESULTS", "UNKNOWN", "YES", "CapabilityTable", "Cell", "Note"]

YES, NO, FAILED, UNKNOWN = "yes", "no", "FAILED", "-"

RESULTS = (YES, NO, FAILED, UNKNOWN)

WEIGHT = (UNKNOWN, YES, NO, FAILED)
"""Of several results the one that comes last here is shown."""

SCHEMA_VERSION = 1
"""Of the JSON; counted up when a field changes its meaning or goes."""

WIDTH = 120


@dataclass(frozen=True)
class Cell:
    """One result, and for all but ``yes`` the reason."""

    result: str
    reason: str = ""


@dataclass(frozen=True)
class Note:
    """Why some backends do not have a capability."""

    capability: str
    backends: tuple[str, ...]
    cell: Cell


NOTHING = Cell(UNKNOWN, "no test of it ran")


class CapabilityTable:
    """
    Capabilities by backend, filled from results.

    A capability is shown by one or more tests; one failure is enough for a backend not to
    have it. A backend that could not be had stays unknown. Tests without a backend say
    nothing about one, and are left out.
    """

    def __init__(self) -> None:
        self._cells: dict[str, dict[str, Cell]] = defaultdict(dict)

    def __bool__(self) -> bool:
        return bool(self._cells)

    @property
    def backends(self) -> list[str]:
        """The backends that have results, in their usual order."""
        found = {backend for row in self._cells.values() for backend in row}
        known = [name for name in KNOWN_BACKENDS if name in found]
        return [*known, *sorted(found.difference(known))]

    def add(self, capability: str, backend: str, report: pytest.TestReport) -> None:
        """Take a result in."""
        cells = self._cells[capability]
        found = _cell(report)
        known = cells.setdefault(backend, found)
        if WEIGHT.index(found.result) > WEIGHT.index(known.result):
            cells[backend] = found

    def rows(self) -> Iterator[tuple[str, list[Cell]]]:
        """Give each capability, by name, with a cell for each of the backends."""
        for capability, row in sorted(self._cells.items()):
            yield capability, [row.get(backend, NOTHING) for backend in self.backends]

    def counts(self) -> dict[str, Counter[str]]:
        """Count the results of each backend."""
        columns = zip(*(cells for _, cells in self.rows()), strict=True)
        found = (Counter(cell.result for cell in column) for column in columns)
        return dict(zip(self.backends, found, strict=True))

    def notes(self) -> list[Note]:
        """Say why something is no or failed, once for all backends with that reason."""
        found: dict[tuple[str, Cell], list[str]] = defaultdict(list)
        for capability, cells in self.rows():
            for backend, cell in zip(self.backends, cells, strict=True):
                if cell.result in {NO, FAILED}:
                    found[capability, cell].append(backend)
        return [Note(capability, tuple(names), cell) for (capability, cell), names in found.items()]

    def as_dict(self, columns: Sequence[Column]) -> dict[str, Any]:
        """Give the table as data: what the columns were, each result, and the reasons."""
        return {
            "schema_version": SCHEMA_VERSION,
            "backends": {column.backend: _without_name(column) for column in columns},
            "counts": {
                backend: {result: count[result] for result in RESULTS}
                for backend, count in self.counts().items()
            },
            "table": {
                capability: {
                    backend: cell.result for backend, cell in zip(self.backends, cells, strict=True)
                }
                for capability, cells in self.rows()
            },
            "reasons": [
                {
                    "capability": note.capability,
                    "backends": list(note.backends),
                    "result": note.cell.result,
                    "reason": note.cell.reason,
                }
                for note in self.notes()
            ],
        }

    def as_text(self, columns: Sequence[Column]) -> str:
        """Give the table as lines of at most 120 characters, with a line for each reason."""
        heads = [_head(column) for column in columns]
        widths = [max(map(len, head)) for head in heads]
        room = WIDTH - sum(width + 2 for width in widths)
        name_width = min(room, max(map(len, self._cells), default=0))
        lines = [_line(" " * name_width, parts, widths) for parts in zip(*heads, strict=True)]
        for capability, cells in self.rows():
            *first, last = textwrap.wrap(capability, name_width, subsequent_indent="  ")
            results = [cell.result for cell in cells]
            lines += [*first, _line(f"{last:<{name_width}}", results, widths)]
        for note in self.notes():
            lines += textwrap.wrap(_sentence(note), WIDTH, subsequent_indent="  ")
        return "\n".join(line.rstrip() for line in lines) + "\n"


def _cell(report: pytest.TestReport) -> Cell:
    expected_to_fail = hasattr(report, "wasxfail")
    if expected_to_fail and report.skipped:
        return Cell(NO, report.wasxfail or "no reason was given")
    if report.skipped:
        return Cell(UNKNOWN, _skip_reason(report))
    if report.passed and not expected_to_fail:
        return Cell(YES)
    # pytest says in words what passed although it was expected to fail.
    words = report.longrepr if isinstance(report.longrepr, str) else ""
    return Cell(FAILED, f"{report.nodeid} {words}".rstrip())


def _skip_reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return NOTHING.reason


def _without_name(column: Column) -> dict[str, str]:
    return {name: value for name, value in asdict(column).items() if name != "backend"}


def _head(column: Column) -> tuple[str, ...]:
    server = (column.backend, column.flavour, column.version)
    return *server, column.driver, column.driver_version


def _line(name: str, parts: Iterable[str], widths: Iterable[int]) -> str:
    cells = (f"  {part:>{width}}" for part, width in zip(parts, widths, strict=True))
    return name + "".join(cells)


def _sentence(note: Note) -> str:
    return (
        f"{note.cell.result}: {note.capability} on {', '.join(note.backends)}: {note.cell.reason}"
    )
