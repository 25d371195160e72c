"""``andamios tour``: the command, and what it prints."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from andamios.cli.stopping import one_line_errors, stopped_by_signals
from andamios.core.loop import run
from andamios.tour.guide import shown_url, take_tour, tour_url
from andamios.tour.screen import progress_bar, show_answer

if TYPE_CHECKING:
    from andamios.tour.guide import TourReport

__all__ = ["tour"]

OUTPUT = Path("andamios-tour")


def tour(
    database_url: Annotated[
        str | None,
        typer.Option(
            help="Where to load the flights: sqlite:///…, postgresql://… or mysql://…  "
            "Only tables named tour_… are made or replaced.  [default: a file in --output]",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder for the picture, and for the database file.")
    ] = OUTPUT,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the answers as JSON and nothing else.")
    ] = False,
) -> None:
    """Load a year of real flights, ask them questions, and show the code that asked."""
    # It warns that it looks for fonts, which it does once on every machine.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with one_line_errors():
        url = tour_url(database_url, output)
        heading = f"Loading into {shown_url(url)}, in place of what an earlier tour left there"
        log = Console(stderr=True, quiet=as_json)
        with progress_bar(log, heading) as progress:
            report = run(stopped_by_signals(take_tour(url, output, progress)))
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    else:
        _show(Console(), report)


def _show(console: Console, report: TourReport) -> None:
    console.print(
        f"\nLoaded {report.rows:,} rows in {report.load_seconds:.1f} s, "
        f"{report.rows_per_second:,} rows a second. In the answers, delays are in minutes "
        "and shares in percent.\n",
        highlight=False,
    )
    for number, answer in enumerate((*report.answers, *report.systems), start=1):
        show_answer(console, answer, number)
    memory = "" if report.peak_memory_mb is None else f", {report.peak_memory_mb:.0f} MB at most"
    for line in (
        f"Done in {report.seconds:.1f} s{memory}.",
        f"Picture:  {report.picture}",
        f"Database: {report.database}",
    ):
        console.print(line, highlight=False, soft_wrap=True)
