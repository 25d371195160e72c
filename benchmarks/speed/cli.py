"""The command line: ``python -m benchmarks.speed --help``."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress

from benchmarks.speed.databases import filled, server
from benchmarks.speed.floors import FLOORS
from benchmarks.speed.measure import Limits
from benchmarks.speed.operations import OPERATIONS
from benchmarks.speed.report import table
from benchmarks.speed.running import Plan, measure_backend, new_report
from benchmarks.speed.schema import ROWS
from benchmarks.speed.systems import SYSTEMS

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Names = list[str] | None


@app.callback(invoke_without_command=True)
def run(  # noqa: PLR0913, PLR0917  options
    context: typer.Context,
    backend: Annotated[Names, typer.Option(help=f"of {', '.join(FLOORS)}; default: all")] = None,
    system: Annotated[Names, typer.Option(help=f"of {', '.join(SYSTEMS)}; default: all")] = None,
    operation: Annotated[Names, typer.Option(help=f"of {', '.join(OPERATIONS)}")] = None,
    rounds: Annotated[int, typer.Option(help="at most, for each operation")] = 30,
    seconds: Annotated[float, typer.Option(help="for each operation, after 5 rounds")] = 10.0,
    rows: Annotated[int, typer.Option(help="in the table")] = ROWS,
    url: Annotated[str | None, typer.Option(help="a database for benchmarks alone")] = None,
    provider: Annotated[str, typer.Option(help="auto, local or docker")] = "auto",
) -> None:
    """Measure ratios to the raw driver."""
    if context.invoked_subcommand:
        return
    plan = Plan(
        systems=tuple(system or SYSTEMS),
        operations=tuple(operation or OPERATIONS),
        limits=Limits(rounds, min(rounds, 5), seconds),
        rows=rows,
        provider=provider,
        url=url,
    )
    report = new_report()
    backends = backend or [*FLOORS]
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        bar = progress.add_task("starting", total=len(backends) * len(plan.operations))

        def show(backend: str, operation: str, number: int) -> None:
            text = f"{backend}: {operation}, round {number}"
            progress.update(bar, completed=len(report.measured), description=text)

        for each in backends:
            runner.run(measure_backend(report, each, plan, show))
    for each in backends:
        typer.echo(table(report, each))


@app.command()
def serve(backend: Annotated[str, typer.Option()] = "postgresql", provider: str = "auto") -> None:
    """Start a server, fill it, print its URL for ``--url``, and wait for Ctrl-C."""
    with server(backend, provider) as (url, source):
        asyncio.run(_fill(url))
        typer.echo(f"{source}, until Ctrl-C:\n--backend {backend} --url {url}")
        with suppress(KeyboardInterrupt):
            signal.pause()


async def _fill(url: str) -> None:
    async with filled(url, ROWS):
        pass
