"""The command line: ``python -m benchmarks.speed --help``."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.engine import make_url

from benchmarks.speed import history
from benchmarks.speed.databases import filled, server
from benchmarks.speed.floors import FLOORS
from benchmarks.speed.gate import missed, missed_again, with_targets
from benchmarks.speed.measure import Limits
from benchmarks.speed.operations import OPERATIONS
from benchmarks.speed.report import page, table, with_summary
from benchmarks.speed.running import Plan, measure
from benchmarks.speed.runs import measure_runs
from benchmarks.speed.scaling import measure_scaling
from benchmarks.speed.schema import ROWS
from benchmarks.speed.systems import SYSTEMS

if TYPE_CHECKING:
    from benchmarks.speed.results import Report

__all__ = ["app"]

FOLDER = Path("reports/benchmarks")
RESULTS = Path("benchmarks/results")
README = Path("README.md")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Names = list[str] | None


@app.callback(invoke_without_command=True)
def run(  # noqa: PLR0913, PLR0917  options
    context: typer.Context,
    backend: Annotated[Names, typer.Option(help=f"of {', '.join(FLOORS)}; default: all")] = None,
    system: Annotated[Names, typer.Option(help=f"of {', '.join(SYSTEMS)}; default: all")] = None,
    operation: Annotated[Names, typer.Option(help=f"of {', '.join(OPERATIONS)}")] = None,
    rounds: Annotated[int, typer.Option(help="at most, for each operation")] = 30,
    seconds: Annotated[float, typer.Option(help="for each operation, after 5 rounds")] = 5.0,
    rows: Annotated[int, typer.Option(help="in the table")] = ROWS,
    url: Annotated[str | None, typer.Option(help="a database for benchmarks alone")] = None,
    provider: Annotated[str, typer.Option(help="who starts it: auto, local or docker")] = "auto",
    to_json: Annotated[Path | None, typer.Option("--json", help="where figures go, too")] = None,
    record: Annotated[Path | None, typer.Option(help="folder for figures and charts")] = None,
    gate: Annotated[bool, typer.Option(help="measure what has a target; fail if missed")] = False,  # noqa: FBT002
) -> None:
    """Measure ratios to the raw driver, and print them as a table in Markdown."""
    if context.invoked_subcommand:
        return
    if url is not None:
        backend = [make_url(url).get_backend_name()]
    plan = Plan(
        backends=_known("backend", backend, FLOORS),
        systems=("andamios",) if gate else _known("system", system, SYSTEMS),
        operations=_known("operation", operation, OPERATIONS),
        only=with_targets() if gate else None,
        limits=Limits(rounds, min(rounds, 5), seconds),
        rows=rows,
        provider=provider,
        url=url,
    )
    report = _measured(plan)
    if to_json is not None:
        to_json.write_text(json.dumps(report.as_dict(), indent=1), encoding="utf-8")
    if record is not None:
        _record(report, record)
    if gate and missed(report):
        _measure_again(plan, report)


@app.command()
def serve(backend: str = "postgresql", provider: str = "auto") -> None:
    """Start a server, fill it, print its URL for ``--url``, and wait for Ctrl-C."""
    with server(backend, provider) as (url, source):
        asyncio.run(_fill(url))
        typer.echo(f"{source}, until Ctrl-C:\n--backend {backend} --url {url}")
        with suppress(KeyboardInterrupt):
            signal.pause()


@app.command()
def scaling(
    url: str | None = None, provider: str = "auto", rows: int = ROWS, folder: Path = FOLDER
) -> None:
    """Measure throughput, time and memory against tasks, processes and rows, on PostgreSQL."""
    from benchmarks.speed.chart import chart_scaling  # noqa: PLC0415  matplotlib is slow to import

    with ExitStack() as stack:
        address = url or stack.enter_context(server("postgresql", provider))[0]
        console = Console(stderr=True)
        found = measure_scaling(address, rows, console.print)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found.as_dict(), indent=1)
    (folder / "scaling.json").write_text(text, encoding="utf-8")
    chart_scaling(found, folder / "scaling.svg")
    typer.echo(text)


@app.command()
def runs(backend: str = "postgresql", url: str | None = None, provider: str = "auto") -> None:
    """Measure ``TransactionManager.run()`` against a bare session."""
    with ExitStack() as stack:
        address = url or stack.enter_context(server(backend, provider))[0]
        found = uvloop.run(measure_runs(address))
    for name, figures in found.items():
        typer.echo(f"{name:<22}" + "  ".join(f"{what} {value}" for what, value in figures.items()))


@app.command()
def readme(results: Path = RESULTS, path: Path = README) -> None:
    """Put the last recorded figures on PostgreSQL into the README."""
    last = history.read(results / "history.jsonl")[-1]
    text = path.read_text(encoding="utf-8")
    path.write_text(with_summary(text, last), encoding="utf-8")


async def _fill(url: str) -> None:
    async with filled(url, ROWS):
        pass


def _known(what: str, names: Names, known: dict[str, object]) -> tuple[str, ...]:
    for name in names or ():
        if name not in known:
            raise typer.BadParameter(f"{what} {name!r}: there are {', '.join(known)}")
    return tuple(names or known)


def _measured(plan: Plan) -> Report:
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        pairs = plan.pairs()
        bar = progress.add_task("starting", total=len(pairs))

        def show(backend: str, operation: str, number: int) -> None:
            text = f"{backend}: {operation}, round {number}"
            done = pairs.index((backend, operation))
            progress.update(bar, completed=done, description=text)

        report = runner.run(measure(plan, show))
    for backend, single in report.single.items():
        typer.echo(f"\n{table(report, backend)}\n")
        for name, value in single.items():
            typer.echo(f"{name}: {value}")
    return report


def _record(report: Report, folder: Path) -> None:
    from benchmarks.speed.chart import chart  # noqa: PLC0415  matplotlib is slow to import

    history.append(report, folder / "history.jsonl")
    for backend in report.single:
        text = page(report, backend)
        (folder / f"speed-{backend}.md").write_text(text, encoding="utf-8")
        chart(report, backend, folder / f"speed-{backend}.svg")


def _measure_again(plan: Plan, first: Report) -> None:
    """Measure what missed once more, and fail if it misses again."""
    misses = missed(first)
    typer.echo("\nmeasured again, since it missed:\n" + "\n".join(map(str, misses)))
    only = frozenset((miss.backend, miss.operation) for miss in misses)
    second = _measured(replace(plan, only=only))
    again = missed_again(first, second)
    if again:
        typer.echo("\nmissed twice in a row:\n" + "\n".join(map(str, again)))
        raise typer.Exit(1)
