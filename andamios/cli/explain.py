"""``andamios explain``: what a database does for a query, and which index would help it."""

import inspect
from dataclasses import asdict
from typing import Annotated, Any

import typer
from sqlalchemy import text

from andamios.cli.options import AsJson, DatabaseUrl, engine_of, import_name
from andamios.cli.output import print_json, print_lines
from andamios.cli.stopping import one_line_errors, stopped_by_signals
from andamios.core.loop import run
from andamios.errors import ConfigurationError
from andamios.queries.optimizer import QueryOptimizer

__all__ = ["explain"]


def explain(
    query: Annotated[
        str,
        typer.Argument(
            help="SQL, or where a query is: shop.queries:late_flights, a QueryBuilder, a select() "
            "or a function that gives one. For these, indexes are suggested."
        ),
    ],
    database_url: DatabaseUrl = None,
    analyze: Annotated[bool, typer.Option(help="Run it too, and count the rows.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the plan of a query, and indexes that were seen to make it cheaper."""
    with one_line_errors():
        asked = text(query) if " " in query.strip() else _query_at(query)
        plan, found = run(stopped_by_signals(_explain(asked, database_url, analyze=analyze)))
    if as_json:
        indexes = [{"ddl": str(index), "evidence": index.evidence} for index in found]
        print_json({"plan": asdict(plan), "indexes": indexes})
    else:
        print_lines([plan, *(line for index in found for line in ("", index, index.evidence))])


async def _explain(asked: Any, url: str | None, *, analyze: bool) -> tuple[Any, list[Any]]:
    async with engine_of(url) as engine:
        optimizer = QueryOptimizer(engine)
        plan = await optimizer.analyze_query(asked, analyze=analyze)
        is_structured = not isinstance(asked, type(text("")))
        return plan, await optimizer.suggest_indexes(asked) if is_structured else []


def _query_at(where: str) -> Any:
    found = import_name(where)
    if inspect.iscoroutinefunction(found):
        raise ConfigurationError(f"{where} is async. A function that gives a query only builds it.")
    return found() if inspect.isfunction(found) else found
