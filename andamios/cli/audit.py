"""``andamios audit``: whether an audit trail is what was sealed."""

from dataclasses import asdict
from typing import Annotated

import typer

from andamios.cli.options import AsJson, DatabaseUrl, engine_of
from andamios.cli.output import print_json, print_lines
from andamios.cli.stopping import one_line_errors, stopped_by_signals
from andamios.core.loop import run
from andamios.errors import ConfigurationError
from andamios.security.audit import AuditLogger
from andamios.security.chain import AuditHead, AuditReport

__all__ = ["audit"]

BROKEN = 1

Key = Annotated[
    str | None,
    typer.Option(help="Of the chain, if it has one.", envvar="ANDAMIOS_AUDIT_KEY"),
]

audit = typer.Typer(no_args_is_help=True, help="Check and seal the audit trail.")


@audit.command()
def verify(
    database_url: DatabaseUrl = None,
    key: Key = None,
    expected_head: Annotated[
        str | None, typer.Option(help="SEALED:HASH of an earlier report, kept elsewhere.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute the chain again; ends with 1 when a row was changed, removed or moved."""
    with one_line_errors():
        head = _head(expected_head)
        report = run(stopped_by_signals(_verify(database_url, key, head)))
    if as_json:
        print_json(asdict(report) | {"is_intact": report.is_intact})
    else:
        print_lines(_lines(report))
    if not report.is_intact:
        raise typer.Exit(BROKEN)


@audit.command()
def seal(database_url: DatabaseUrl = None, key: Key = None) -> None:
    """Link the rows that are not sealed yet."""
    with one_line_errors():
        sealed = run(stopped_by_signals(_seal(database_url, key)))
        print_lines([f"Sealed {sealed} rows."])


async def _verify(url: str | None, key: str | None, head: AuditHead | None) -> AuditReport:
    async with engine_of(url) as engine:
        return await AuditLogger(engine, key=key).verify(expected_head=head)


async def _seal(url: str | None, key: str | None) -> int:
    async with engine_of(url) as engine:
        return await AuditLogger(engine, key=key).seal()


def _head(text: str | None) -> AuditHead | None:
    if text is None:
        return None
    sealed, _, digest = text.partition(":")
    if not sealed.isdigit() or not digest:
        raise ConfigurationError("--expected-head is SEALED:HASH, as verify prints it.")
    return AuditHead(int(sealed), digest)


def _lines(report: AuditReport) -> list[str]:
    problem = report.problem
    found = (
        "The trail is intact."
        if problem is None
        else f"The trail is BROKEN: link {problem.position} was {problem.kind}"
        f"{'' if problem.row_id is None else f' (row {problem.row_id})'}, or another key sealed it."
    )
    return [
        found,
        f"Sealed: {report.sealed}. Not sealed yet: {report.unsealed}.",
        f"Head: {report.head.sealed}:{report.head.hash}",
    ]
