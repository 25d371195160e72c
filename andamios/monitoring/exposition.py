"""
The measures of engines as Prometheus reads them.

Made when Prometheus asks, so that a query pays nothing for it. Names and units follow
https://prometheus.io/docs/practices/naming/. Several engines may share a registry, in which
each metric is described once; so there is one exporter a registry.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from andamios.errors import ConfigurationError, MissingDependencyError
from andamios.monitoring.latencies import BOUNDS

try:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )
    from prometheus_client.registry import Collector, CollectorRegistry
except ImportError:
    raise MissingDependencyError("prometheus-client", "metrics") from None

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from andamios.monitoring.latencies import Latencies
    from andamios.monitoring.measures import Measures

__all__ = ["Exporter", "Source"]

ENGINE = ("database", "backend")


class Source(NamedTuple):
    """
    An engine that is measured.

    Args:
        database: Its name, which no other source of the registry has.
        backend: ``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``.
        measures: Its numbers.
    """

    database: str
    backend: str
    measures: Measures


class Exporter(Collector):
    """
    The measured engines of one registry.

    Example:
        >>> registry = CollectorRegistry()
        >>> Exporter.of(registry) is Exporter.of(registry)
        True
    """

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    @staticmethod
    def of(registry: CollectorRegistry) -> Exporter:
        """Find the exporter of a registry, or register a new one."""
        exporter = _EXPORTERS.get(registry)
        if exporter is None:
            exporter = _EXPORTERS[registry] = Exporter()
            registry.register(exporter)
        return exporter

    def add(self, source: Source) -> None:
        """
        Show an engine.

        Raises:
            ConfigurationError: The registry has one of that name.
        """
        if source.database in self._sources:
            raise ConfigurationError(
                f"Another engine of this registry is called {source.database!r}. "
                "Give one of them a name: MetricsCollector(engine, name=…)."
            )
        self._sources[source.database] = source

    def remove(self, source: Source) -> None:
        """Show an engine no longer; one that is not shown is no mistake."""
        if self._sources.get(source.database) is source:
            del self._sources[source.database]

    def describe(self) -> Iterator[Metric]:
        """Name the metrics, for the registry to find doubles."""
        yield from _families([])

    def collect(self) -> Iterator[Metric]:
        """Give all metrics of all engines as they are now."""
        yield from _families(list(self._sources.values()))


_EXPORTERS: WeakKeyDictionary[CollectorRegistry, Exporter] = WeakKeyDictionary()


def _families(sources: list[Source]) -> Iterator[Metric]:
    yield _query_durations(sources)
    yield _counts("query_errors", "Statements that failed", "error", sources)
    yield _slow_queries(sources)
    yield _connections(sources)
    yield _waiting(sources)
    yield _durations("pool_wait", "Time until a connection was there", sources)
    yield _durations("connection_held", "Time for which a connection was held", sources)
    yield _counts("transactions", "Transactions that ended", "outcome", sources)
    yield _counts("commits_settled", "COMMITs whose answer was lost", "outcome", sources)
    yield _durations("transaction_duration", "Time from BEGIN to the end", sources)


def _query_durations(sources: list[Source]) -> Metric:
    family = HistogramMetricFamily(
        "andamios_query_duration_seconds", "Time of a statement", labels=(*ENGINE, "operation")
    )
    for database, backend, measures in sources:
        for operation, latencies in measures.queries.items():
            _add(family, (database, backend, operation), latencies)
    return family


def _durations(name: str, text: str, sources: list[Source]) -> Metric:
    family = HistogramMetricFamily(f"andamios_{name}_seconds", text, labels=ENGINE)
    for database, backend, measures in sources:
        found = {
            "pool_wait": measures.waits,
            "connection_held": measures.held,
            "transaction_duration": measures.transactions,
        }
        _add(family, (database, backend), found[name])
    return family


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], latencies: Latencies) -> None:
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    counts = accumulate(latencies.counts.copy())
    family.add_metric(labels, list(zip(bounds, counts, strict=True)), latencies.total)


def _counts(name: str, text: str, label: str, sources: list[Source]) -> Metric:
    family = CounterMetricFamily(f"andamios_{name}", text, labels=(*ENGINE, label))
    for database, backend, measures in sources:
        found: dict[str, Mapping[Any, int]] = {
            "query_errors": measures.errors,
            "transactions": measures.outcomes,
            "commits_settled": measures.settled,
        }
        for value, count in list(found[name].items()):
            family.add_metric((database, backend, value.replace(" ", "_")), count)
    return family


def _slow_queries(sources: list[Source]) -> Metric:
    text = "Statements that took longer than the threshold"
    family = CounterMetricFamily("andamios_slow_queries", text, labels=ENGINE)
    for database, backend, measures in sources:
        family.add_metric((database, backend), measures.slow.count)
    return family


def _connections(sources: list[Source]) -> Metric:
    family = GaugeMetricFamily(
        "andamios_pool_connections", "Connections by state", labels=(*ENGINE, "state")
    )
    for database, backend, measures in sources:
        stats = measures.pool()
        for state in ("idle", "in_use", "overflow"):
            family.add_metric((database, backend, state), getattr(stats, state))
    return family


def _waiting(sources: list[Source]) -> Metric:
    text = "Tasks that wait for a connection"
    family = GaugeMetricFamily("andamios_pool_waiting", text, labels=ENGINE)
    for database, backend, measures in sources:
        family.add_metric((database, backend), measures.pool().waiting)
    return family
