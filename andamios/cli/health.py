"""``andamios health``: whether the database answers, and how its pool is."""

from typing import Annotated, Any

import typer

from andamios.cli.options import AsJson, DatabaseUrl, engine_of
from andamios.cli.output import print_json, print_table
from andamios.cli.stopping import one_line_errors
from andamios.core.loop import run
from andamios.monitoring.health import HealthChecker, HealthReport

__all__ = ["health"]

UNHEALTHY = 1


def health(
    database_url: DatabaseUrl = None,
    timeout: Annotated[float, typer.Option(help="Seconds for each check.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Check the database; ends with 1 when it is not well, for use in probes."""
    with one_line_errors():
        report = run(_check(database_url, timeout))
    if as_json:
        print_json(report.to_dict())
    else:
        print_table([_row(status) for status in report.statuses])
    if not report.is_healthy:
        raise typer.Exit(UNHEALTHY)


async def _check(url: str | None, timeout: float) -> HealthReport:  # noqa: ASYNC109  the checker's
    engine = engine_of(url)
    try:
        return await HealthChecker(engine, timeout=timeout).check_all()
    finally:
        await engine.close()


def _row(status: Any) -> dict[str, Any]:
    return {
        "check": status.name,
        "healthy": status.is_healthy,
        "milliseconds": f"{status.latency * 1000:.1f}",
        "detail": status.detail,
    }
