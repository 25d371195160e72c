"""Scenarios of queries: alone on an engine, and in a session that is passed in."""

import asyncio
from typing import Any

import pydantic
import sqlalchemy as sa

from andamios import QueryBuilder, QueryOptimizer
from tests.cancellation.models import SweepPort
from tests.cancellation.table import both, scenario
from tests.cancellation.world import World


class PortOut(pydantic.BaseModel):
    """What is shown of a port."""

    code: str
    size: int


ENDS: dict[str, Any] = {
    "execute": lambda ports: ports.execute(),
    "execute with children": lambda ports: ports.load(SweepPort.ships).execute(),
    "execute a join": lambda ports: ports.join(SweepPort.ships).distinct().execute(),
    "first": lambda ports: ports.order_by("code").first(),
    "one": lambda ports: ports.filter_by(code="lima").one(),
    "one_or_none": lambda ports: ports.filter_by(code="lima").one_or_none(),
    "scalar": lambda ports: ports.aggregate(total=sa.func.sum(SweepPort.size)).scalar(),
    "count": lambda ports: ports.count(),
    "exists": lambda ports: ports.exists(),
    "page": lambda ports: ports.page(1, 2),
    "page_after": lambda ports: ports.page_after(None, 2),
    "as_dicts": lambda ports: ports.as_dicts(),
    "as_models": lambda ports: ports.as_models(PortOut),
    "explain": lambda ports: ports.explain(),
    "update": lambda ports: ports.filter_by(code="lima").update({"size": 70}),
    "delete": lambda ports: ports.filter_by(code="paita").delete(),
}

for _name, _end in ENDS.items():
    both(
        f"QueryBuilder.{_name}",
        lambda world, end=_end: end(QueryBuilder(SweepPort, world.bind)),  # type: ignore[misc]
    )


@scenario("QueryBuilder.stream", "engine", "session")
async def stream(world: World) -> None:
    """Read in parts with children, and wait in between."""
    async for _ in QueryBuilder(SweepPort, world.bind).load(SweepPort.ships).stream(2):
        await asyncio.sleep(0)


@scenario("QueryOptimizer.analyze_query", "engine")
async def analyze(world: World) -> None:
    """Ask for a plan."""
    await QueryOptimizer(world.engine).analyze_query(QueryBuilder(SweepPort).filter_by(size=1))


@scenario("QueryOptimizer.suggest_indexes", "engine")
async def suggest(world: World) -> None:
    """Try indexes on copies."""
    await QueryOptimizer(world.engine).suggest_indexes(QueryBuilder(SweepPort).filter_by(size=1))


@scenario("Watch.__aexit__", "engine", also=("Watch.__aenter__",))
async def watch(world: World) -> None:
    """Look for what runs once a row."""
    async with QueryOptimizer(world.engine).watch():
        await QueryBuilder(SweepPort, world.engine).execute()
