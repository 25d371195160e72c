"""How commands print: a table for people, JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["print_json", "print_lines", "print_table"]


def print_json(value: Any) -> None:
    """Print a value as JSON; what JSON has no word for becomes text."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows that have the same keys, which become the headings."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold cyan")
    for name in rows[0] if rows else ():
        table.add_column(name)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console().print(table)


def print_lines(lines: Sequence[object]) -> None:
    """Print one line each, without wrapping or colouring what is not ours."""
    console = Console()
    for line in lines:
        console.print(str(line), markup=False, highlight=False, soft_wrap=True)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else str(value)
