"""What the tour shows on the terminal: a bar while it loads, then code beside answers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from andamios.tour.source import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from andamios.tour import loading
    from andamios.tour.answers import Answer

__all__ = ["progress_bar", "show_answer"]

SIDE_BY_SIDE = 150
"""Columns of a terminal from which on code and table stand beside each other."""


@contextmanager
def progress_bar(console: Console, heading: str) -> Iterator[loading.Progress]:
    """
    Show a bar for all rows of the tour, once the first of them are written.

    Args:
        console: Where; only a terminal gets a moving bar.
        heading: Printed above it. Nothing is printed when nothing is loaded, so that
            an error stands alone.

    Yields:
        What :func:`andamios.tour.loading.load` reports to.
    """
    columns = TextColumn("{task.description:<13}"), BarColumn(), MofNCompleteColumn()
    bars = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
    task = bars.add_task("", total=sum(ROWS.values()))
    finished: dict[str, int] = {}

    def report(table: str, done: int) -> None:
        if not finished:
            console.print(heading, highlight=False, soft_wrap=True)
            bars.disable = not console.is_terminal
            bars.start()
        finished[table] = done
        bars.update(task, description=table, completed=sum(finished.values()))

    try:
        yield report
    finally:
        if finished:
            bars.stop()


def show_answer(console: Console, answer: Answer, number: int) -> None:
    """Print a question, the code that asked it, and the table that came back."""
    console.print(Text(f"{number}. {answer.question}", style="bold"))
    code, table = _code(answer), _table(answer.rows)
    if console.width >= SIDE_BY_SIDE:
        grid = Table.grid(padding=(0, 3))
        grid.add_row(code, table)
        console.print(grid)
    else:
        console.print(code, table)
    console.print()


def _code(answer: Answer) -> RenderableType:
    return Syntax(answer.code, "python", theme="ansi_dark", background_color="default")


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold cyan")
    for name, value in (rows[0] if rows else {"nothing": ""}).items():
        side: Literal["left", "right"] = "left" if isinstance(value, str) else "right"
        table.add_column(name.replace("_", " "), justify=side)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    return "–" if value is None else str(value)
