"""Keeping what a run found: its trials as JSON, and table and pictures of them in a README."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.faults.trials.table import TrialTable
from harness.faults.trials.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.faults.trials.trial import Trial

__all__ = ["BEGIN", "END", "keep", "picture", "with_record"]

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
"""Between what a README has its table."""

JSON, README = "faults.json", "README.md"


def keep(run: Path, folder: Path) -> None:
    """
    Put what a run found into a folder, whose README has the marks for it.

    Args:
        run: The file ``faults.json`` of the run's report.
        folder: Where the JSON, a picture for each database, and the README are.

    Raises:
        OSError: A file cannot be read or written.
        ValueError: The run's file is none, or the README has no marks.
    """
    table = TrialTable.from_json(run.read_text(encoding="utf-8"))
    page = with_record((folder / README).read_text(encoding="utf-8"), table)
    for backend in table.backends():
        (folder / _name(backend)).write_text(picture(table, backend), encoding="utf-8")
    (folder / JSON).write_text(table.as_json(), encoding="utf-8")
    (folder / README).write_text(page, encoding="utf-8")


def with_record(text: str, table: TrialTable) -> str:
    """
    Give a text with a table between its marks.

    Args:
        text: In Markdown.
        table: What a run found.

    Raises:
        ValueError: The text has no such marks.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"there are no marks {BEGIN} and {END} to put the table between")
    return f"{head}{BEGIN}\n{_sections(table)}\n{END}{tail}"


def picture(table: TrialTable, backend: str) -> str:
    """Draw a lane for each fault and client of a database, with the first of its workloads."""
    lanes: dict[tuple[str, str], Trial] = {}
    for trial in table.of(backend):
        lanes.setdefault((trial.fault, trial.client), trial)
    return timeline(lanes.values())


def _sections(table: TrialTable) -> str:
    facts = [f"- {name}: {value}" for name, value in table.run.items()]
    parts = ["\n".join(facts), *(_section(table.of(each), each) for each in table.backends())]
    return "\n\n".join(parts)


def _section(table: TrialTable, backend: str) -> str:
    return "\n\n".join(
        (
            f"### {backend}",
            "\n".join(_lines(table)),
            f"![operations before, during and after each fault]({_name(backend)})",
            table.as_markdown().rstrip(),
        )
    )


def _lines(table: TrialTable) -> Iterator[str]:
    servers = sorted({trial.server for trial in table if trial.server})
    if servers:
        yield f"- server: {', '.join(servers)}"
    yield from (f"- {line}" for line in table.summary())


def _name(backend: str) -> str:
    return f"faults-{backend}.svg"
