"""Everything that is measured on one engine: told by facts, kept as plain numbers."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple, get_args

from andamios.core.facts import (
    CommitSettled,
    ConnectionReturned,
    ConnectionTaken,
    Outcome,
    PoolMeasured,
    QueryFinished,
    TransactionEnded,
)
from andamios.monitoring.fingerprints import Operation, operation_of
from andamios.monitoring.latencies import Latencies
from andamios.monitoring.slow import SlowQueries

if TYPE_CHECKING:
    from collections.abc import Callable

    from andamios.core.hooks import Hooks
    from andamios.core.pool import PoolStats

__all__ = ["Measures", "PoolSample"]

SAMPLE_EVERY = 0.1
"""Seconds between two looks at the pool, at least."""

SAMPLES = 3000


class PoolSample(NamedTuple):
    """
    How many connections were in use at one moment.

    Args:
        at: Seconds since the epoch.
        in_use: Connections that somebody held.
        size: Connections that the pool keeps.
    """

    at: float
    in_use: int
    size: int


class Measures:
    """
    The numbers of one engine.

    Args:
        backend: Whose SQL it is.
        slow_query: Seconds from which on a statement is slow.
        pool: Counts the connections of the pool now.

    Example:
        >>> from andamios.core.pool import PoolStats
        >>> from andamios.core.facts import QueryFinished
        >>> measures = Measures("sqlite", 0.5, lambda: PoolStats(5, 5, 0, 0))
        >>> measures.query(QueryFinished("SELECT 1", 0.001))
        >>> measures.queries["select"].summary().count
        1
    """

    def __init__(self, backend: str, slow_query: float, pool: Callable[[], PoolStats]) -> None:
        self.pool = pool
        self.queries: dict[Operation, Latencies] = {n: Latencies() for n in get_args(Operation)}
        self.errors: Counter[str] = Counter()
        self.slow = SlowQueries(backend)
        self.waits = Latencies()
        self.held = Latencies()
        self.outcomes: Counter[Outcome] = Counter()
        self.transactions = Latencies()
        self.settled: Counter[Outcome] = Counter()
        self.samples: deque[PoolSample] = deque(maxlen=SAMPLES)
        self._backend = backend
        self._slow_query = slow_query
        self._next_sample = 0.0
        self._is_listening = False
        self._own: PoolSample | None = None
        # The four common words have six letters each: no need to parse or to hash the rest.
        common: tuple[Operation, ...] = ("select", "insert", "update", "delete")
        self._by_head = {name.upper(): self.queries[name] for name in common}

    def listen(self, hooks: Hooks) -> None:
        """Count from now on."""
        self._is_listening = True
        hooks.listen(QueryFinished, self.query)
        hooks.listen(ConnectionTaken, self.taken)
        hooks.listen(ConnectionReturned, self.returned)
        hooks.listen(TransactionEnded, self.ended)
        hooks.listen(CommitSettled, self.found)
        hooks.listen(PoolMeasured, self.measured)

    def stop(self, hooks: Hooks) -> None:
        """Count no longer."""
        self.samples = deque(self.until_now(), maxlen=SAMPLES)
        self._is_listening = False
        hooks.remove(QueryFinished, self.query)
        hooks.remove(ConnectionTaken, self.taken)
        hooks.remove(ConnectionReturned, self.returned)
        hooks.remove(TransactionEnded, self.ended)
        hooks.remove(CommitSettled, self.found)
        hooks.remove(PoolMeasured, self.measured)

    def query(self, fact: QueryFinished) -> None:
        """Count a statement."""
        statement, duration = fact.statement, fact.duration
        latencies = self._by_head.get(statement[:6])
        if latencies is None:
            latencies = self.queries[operation_of(statement, self._backend)]
        latencies.observe(duration)
        if fact.error is not None:
            self.errors[fact.error] += 1
        if duration >= self._slow_query:
            self.slow.add(statement, duration)

    def taken(self, fact: ConnectionTaken) -> None:
        """Count a wait for a connection."""
        self.waits.observe(fact.waited)
        self._sample()

    def returned(self, fact: ConnectionReturned) -> None:
        """Count the time for which a connection was held."""
        self.held.observe(fact.held)
        self._sample()

    def ended(self, fact: TransactionEnded) -> None:
        """Count a transaction."""
        self.outcomes[fact.outcome] += 1
        self.transactions.observe(fact.duration)

    def found(self, fact: CommitSettled) -> None:
        """Count a COMMIT whose answer was lost."""
        self.settled[fact.outcome] += 1

    def measured(self, fact: PoolMeasured) -> None:
        """Remember what the engine's monitor counted."""
        self._remember(fact.stats)

    def sample(self, in_use: int, size: int) -> None:
        """Remember how much of the pool is in use now."""
        self.samples.append(PoolSample(time.time(), in_use, size))

    def until_now(self) -> list[PoolSample]:
        """Give the samples and, while this listens, how it is now: a burst may end unseen."""
        taken = list(self.samples)
        # What was told last by hand may be of another pool.
        if self._is_listening and taken and taken[-1] is self._own:
            stats = self.pool()
            taken.append(PoolSample(time.time(), stats.in_use, stats.size))
        return taken

    def _sample(self) -> None:
        now = time.monotonic()
        if now >= self._next_sample:
            self._next_sample = now + SAMPLE_EVERY
            self._remember(self.pool())

    def _remember(self, stats: PoolStats) -> None:
        self.sample(stats.in_use, stats.size)
        self._own = self.samples[-1]
