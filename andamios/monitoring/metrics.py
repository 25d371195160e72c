"""Metrics of an engine: what its hooks tell, for Prometheus, for people, and for the log."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

from andamios.core.facts import QueryFinished
from andamios.errors import MissingDependencyError
from andamios.monitoring.chart import draw_metrics
from andamios.monitoring.exposition import Exporter, Source
from andamios.monitoring.latencies import LatencySummary
from andamios.monitoring.measures import Measures
from andamios.monitoring.slow import SlowQuery
from andamios.monitoring.snapshots import MetricsSnapshot, snapshot_of
from andamios.monitoring.tracing import trace_queries

try:
    from prometheus_client import CollectorRegistry, generate_latest
except ImportError:
    raise MissingDependencyError("prometheus-client", "metrics") from None

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.trace import Tracer

    from andamios.core.engine import AndamiosEngine
    from andamios.core.pool import PoolStats

__all__ = ["LatencySummary", "MetricsCollector", "MetricsSnapshot", "SlowQuery"]


class MetricsCollector:
    """
    Measures an engine from its construction until ``close()``.

    Also a context manager, which closes at its end. Two engines of one database need names
    of their own when they share a registry. Each process counts for itself: with several
    workers, let each be scraped.

    Args:
        engine: What is measured.
        registry: Where Prometheus looks; a new one unless given.
        slow_query: Seconds from which on a statement is logged to ``andamios.slow``; None
            for never.
        name: The label ``database``; by default the database's name, or its file's.
        tracer: Of opentelemetry; makes a span of each query.

    Raises:
        ConfigurationError: The registry has an engine of that name.
        MissingDependencyError: The tracer's package is not installed.

    Example:
        >>> import andamios
        >>> from sqlalchemy import text
        >>> from andamios.monitoring import MetricsCollector
        >>> async def main() -> int:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         with MetricsCollector(engine) as collector:
        ...             async with engine.session() as session:
        ...                 await session.scalar(text("SELECT 42"))
        ...             return collector.snapshot().queries["select"].count
        >>> andamios.run(main())
        1
    """

    def __init__(
        self,
        engine: AndamiosEngine,
        *,
        registry: CollectorRegistry | None = None,
        slow_query: float | None = 0.5,
        name: str | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._engine = engine
        self._name = name or _name_of(engine)
        self._registry = CollectorRegistry() if registry is None else registry
        limit = inf if slow_query is None else slow_query
        self._measures = Measures(engine.backend, limit, engine.connections.stats)
        self._exporter = Exporter.of(self._registry)
        self._source = Source(self._name, engine.backend, self._measures)
        self._exporter.add(self._source)
        self._measures.listen(engine.hooks)
        self._stop_tracing = trace_queries(engine, tracer) if tracer is not None else None

    @property
    def registry(self) -> CollectorRegistry:
        """Where Prometheus looks."""
        return self._registry

    async def track_query_performance(self, query: str, duration: float) -> None:
        """
        Count a statement that went another way than through the engine.

        Args:
            query: The SQL; values in it are never shown.
            duration: Seconds.
        """
        self._measures.query(QueryFinished(query, duration))

    async def track_connection_usage(self, pool_stats: PoolStats | Mapping[str, int]) -> None:
        """
        Remember how much of a pool is in use now, for the chart.

        The engine's own pool is looked at whenever a connection is taken or returned, ten
        times a second at most. Prometheus and ``snapshot()`` always get the pool as it is.

        Args:
            pool_stats: As ``engine.connections.stats()`` gives it, or a mapping with
                ``in_use`` and, if it has one, ``size``.
        """
        if isinstance(pool_stats, Mapping):
            self._measures.sample(pool_stats["in_use"], pool_stats.get("size", 0))
        else:
            self._measures.sample(pool_stats.in_use, pool_stats.size)

    def render(self) -> bytes:
        """Write all metrics of the registry in Prometheus' text format."""
        return generate_latest(self._registry)

    def snapshot(self) -> MetricsSnapshot:
        """Sum up what was measured so far."""
        return snapshot_of(self._measures, self._name, self._engine.backend)

    def slow_queries(self) -> list[SlowQuery]:
        """List the slow statements, the one that cost most time in all first; 100 at most."""
        return self._measures.slow.worst()

    def plot(self, ax: Any = None) -> Any:
        """
        Draw latencies by operation, and the use of the pool over time.

        It takes a while, so that a service does it in a thread: ``asyncio.to_thread``.

        Args:
            ax: Axes of matplotlib, for the latencies alone.

        Returns:
            The figure of matplotlib.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        return draw_metrics(self._measures, ax, title=f"{self._name} ({self._engine.backend})")

    def close(self) -> None:
        """Stop listening and leave the registry; what was measured can still be read here."""
        self._measures.stop(self._engine.hooks)
        self._exporter.remove(self._source)
        if self._stop_tracing is not None:
            self._stop_tracing()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _name_of(engine: AndamiosEngine) -> str:
    database = engine.url.database
    if engine.backend != "sqlite":
        return database or engine.backend
    if not database or "memory" in database:
        return "memory"
    return PurePath(database).name
