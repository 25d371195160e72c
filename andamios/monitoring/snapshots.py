"""The numbers of an engine at one moment, for people and for JSON."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from andamios.core.facts import Outcome
    from andamios.core.pool import PoolStats
    from andamios.monitoring.fingerprints import Operation
    from andamios.monitoring.latencies import LatencySummary
    from andamios.monitoring.measures import Measures

__all__ = ["MetricsSnapshot", "snapshot_of"]


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """
    What was measured so far.

    Args:
        database: Name of the database, without secrets.
        backend: ``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``.
        taken_at: When, in UTC.
        queries: By operation; only those that happened.
        errors: Failed statements, by the error's class.
        slow_queries: Statements that took longer than the threshold.
        transactions: By outcome.
        settled: COMMITs whose answer was lost, by what was found out about them.
        transaction_duration: From BEGIN to the end.
        pool: Connections now.
        pool_wait: How long somebody waited for a connection.
        connection_held: How long somebody had one.
    """

    database: str
    backend: str
    taken_at: dt.datetime
    queries: dict[Operation, LatencySummary]
    errors: dict[str, int]
    slow_queries: int
    transactions: dict[Outcome, int]
    settled: dict[Outcome, int]
    transaction_duration: LatencySummary
    pool: PoolStats
    pool_wait: LatencySummary
    connection_held: LatencySummary

    def to_dict(self) -> dict[str, Any]:
        """Give everything as what JSON knows; durations are in seconds."""
        return asdict(self) | {"taken_at": self.taken_at.isoformat()}


def snapshot_of(measures: Measures, database: str, backend: str) -> MetricsSnapshot:
    """
    Sum up measures.

    Args:
        measures: Of an engine.
        database: Its name.
        backend: Its backend.
    """
    summaries = {name: each.summary() for name, each in measures.queries.items()}
    return MetricsSnapshot(
        database=database,
        backend=backend,
        taken_at=dt.datetime.now(dt.UTC),
        queries={name: summary for name, summary in summaries.items() if summary.count},
        errors=dict(measures.errors),
        slow_queries=measures.slow.count,
        transactions=dict(measures.outcomes),
        settled=dict(measures.settled),
        transaction_duration=measures.transactions.summary(),
        pool=measures.pool(),
        pool_wait=measures.waits.summary(),
        connection_held=measures.held.summary(),
    )
