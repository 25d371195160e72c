"""
What stands around queries: plans, index advice, cache, health and metrics.

Each function is one scene, and its body is shown. Times are of this machine and moment.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, text

from andamios.caching.manager import CacheManager
from andamios.monitoring.health import HealthChecker
from andamios.monitoring.metrics import MetricsCollector
from andamios.queries.builder import QueryBuilder
from andamios.queries.optimizer import QueryOptimizer
from andamios.repositories.generic import GenericRepository
from andamios.tour.models import Flight

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from andamios.core.engine import AndamiosEngine

__all__ = [
    "SYSTEMS",
    "cached_question",
    "health_of_the_database",
    "index_advice",
    "plan_of_a_query",
    "what_was_measured",
]

Rows = list[dict[str, Any]]


async def plan_of_a_query(engine: AndamiosEngine) -> Rows:
    """How does the database find the flights of one plane, the latest first?"""
    flights = QueryBuilder(Flight, engine).filter_by(tailnum="N725MQ")
    plan = await flights.order_by(Flight.time_hour.desc()).explain()
    return [{"step": step.title, "rows": step.estimated_rows} for step in plan.walk()]


async def index_advice(engine: AndamiosEngine) -> Rows:
    """Which index would help, what is the proof, and does it keep its promise?"""
    flights = QueryBuilder(Flight, engine).filter_by(tailnum="N725MQ")
    query = flights.order_by(Flight.time_hour.desc())
    advice = await QueryOptimizer(engine).suggest_indexes(query)
    before = await milliseconds(query.execute())
    rows: Rows = [{"index": "none", "proof": "", "milliseconds": before}]
    for index in advice:
        async with engine.connections.acquire() as connection, connection.begin():
            await connection.execute(text(index))
        after = await milliseconds(query.execute())
        rows.append({"index": index, "proof": index.evidence, "milliseconds": after})
    return rows


async def cached_question(engine: AndamiosEngine) -> Rows:
    """The same question, three times through the cache. Is the third answer still right?"""
    flights = GenericRepository[Flight](engine)
    late = QueryBuilder(Flight, engine).filter(Flight.carrier == "UA", Flight.arr_delay > 0)
    question = late.aggregate(minutes=func.sum(Flight.arr_delay)).cached(60)
    rows: Rows = []

    async def ask(when: str) -> None:
        start = time.perf_counter()
        (answer,) = await question.as_dicts()
        took = (time.perf_counter() - start) * 1000
        rows.append({"asked": when, "minutes late": int(answer["minutes"]), "milliseconds": took})

    async with CacheManager() as cache:
        cache.watch(engine)
        await ask("first")
        await ask("again")
        flight = await late.order_by(Flight.id).first()
        assert flight is not None
        delay = flight.arr_delay or 0
        await flights.update_where({"id": flight.id}, {"arr_delay": delay + 1_000})
        await ask("after a write of 1,000 minutes")
        await flights.update_where({"id": flight.id}, {"arr_delay": delay})
        cache.unwatch(engine)
    return rows


async def health_of_the_database(engine: AndamiosEngine) -> Rows:
    """Is everything well?"""
    report = await HealthChecker(engine).check_all()
    return [
        {"check": check.name, "healthy": str(check.is_healthy), "milliseconds": check.latency * 1e3}
        for check in report.statuses
    ]


async def what_was_measured(engine: AndamiosEngine) -> Rows:
    """The flights of each month are counted. How long did that take, and the wait before it?"""
    with MetricsCollector(engine) as metrics:
        for month in range(1, 13):
            await QueryBuilder(Flight, engine).filter_by(month=month).count()
        measured = metrics.snapshot()
    told = {"SELECT": measured.queries["select"], "wait for a connection": measured.pool_wait}
    return [
        {
            "what": what,
            "times": each.count,
            "median ms": each.median * 1e3,
            "p95 ms": each.p95 * 1e3,
        }
        for what, each in told.items()
    ]


async def milliseconds(work: Awaitable[Any]) -> float:
    """Measure how long something takes."""
    start = time.perf_counter()
    await work
    return (time.perf_counter() - start) * 1000


SYSTEMS = (
    plan_of_a_query,
    index_advice,
    cached_question,
    health_of_the_database,
    what_was_measured,
)
"""In the order in which they are shown."""
