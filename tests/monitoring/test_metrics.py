"""What a collector measures, and how it tells."""

import asyncio
import importlib
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from matplotlib.figure import Figure
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select, text, update

from andamios import AndamiosEngine, ConfigurationError, MissingDependencyError, PoolStats
from andamios.core.facts import CommitSettled, ConnectionTaken, Outcome
from andamios.monitoring import MetricsCollector
from tests.models.domain import LibWord
from tests.monitoring.conftest import EngineMaker


@pytest.fixture
def collector(engine: AndamiosEngine) -> Iterator[MetricsCollector]:
    """A collector on the engine of the test."""
    with MetricsCollector(engine) as opened:
        yield opened


async def work(engine: AndamiosEngine) -> None:
    """Insert, update, read, delete; then fail."""
    async with engine.session() as session:
        session.add(LibWord(word="a"))
        await session.flush()
        await session.execute(update(LibWord).values(word="b"))
        await session.execute(select(LibWord))
        await session.delete((await session.scalars(select(LibWord))).one())
    with pytest.raises(Exception, match="nowhere"):
        async with engine.session() as session:
            await session.execute(text("SELECT nothing FROM nowhere"))


def samples(collector: MetricsCollector) -> dict[tuple[str, str], float]:
    """Read the exposition as Prometheus does: (name, last label) → value."""
    found = {}
    for family in text_string_to_metric_families(collector.render().decode()):
        for sample in family.samples:
            rest = {k: v for k, v in sample.labels.items() if k not in {"backend", "database"}}
            found[sample.name, ",".join(rest.values())] = sample.value
    return found


async def test_snapshot(engine: AndamiosEngine, collector: MetricsCollector) -> None:
    """Statements, errors, transactions and connections are counted, with their times."""
    await work(engine)
    found = collector.snapshot()
    counts = {name: each.count for name, each in found.queries.items() if name != "other"}

    assert {"select": 3, "insert": 1, "update": 1, "delete": 1} == counts
    assert ["QueryError"] == list(found.errors)
    assert {"committed": 1, "rolled back": 1} == found.transactions
    assert 2 == found.transaction_duration.count == found.connection_held.count
    assert 0 < found.queries["select"].median <= found.queries["select"].p99 < 10
    assert (engine.backend, 0, 5) == (found.backend, found.pool.in_use, found.pool.size)
    assert json.loads(json.dumps(found.to_dict()))["queries"]["insert"]["count"] == 1


async def test_exposition(engine: AndamiosEngine, collector: MetricsCollector) -> None:
    """Prometheus reads the same numbers."""
    await work(engine)
    found = samples(collector)

    assert 3 == found["andamios_query_duration_seconds_count", "select"]
    assert 3 == found["andamios_query_duration_seconds_bucket", "+Inf,select"]
    assert 0 < found["andamios_query_duration_seconds_sum", "select"] < 10
    assert 1 == found["andamios_query_errors_total", "QueryError"]
    assert 1 == found["andamios_transactions_total", "committed"]
    assert 1 == found["andamios_transactions_total", "rolled_back"]
    assert 2 == found["andamios_transaction_duration_seconds_count", ""]
    assert 2 == found["andamios_connection_held_seconds_count", ""]
    assert 0 == found["andamios_slow_queries_total", ""]
    assert f'backend="{engine.backend}",database="' in collector.render().decode()


async def test_settled_commits(engine: AndamiosEngine, collector: MetricsCollector) -> None:
    """COMMITs whose answer was lost are counted by what became of them."""
    outcomes: tuple[Outcome, ...] = ("committed", "committed", "unknown")
    for outcome in outcomes:
        engine.hooks.announce(CommitSettled(outcome, 0.1))

    assert {"committed": 2, "unknown": 1} == collector.snapshot().settled
    assert 2 == samples(collector)["andamios_commits_settled_total", "committed"]


async def test_pool_is_looked_at_when_prometheus_asks(
    engine: AndamiosEngine, collector: MetricsCollector
) -> None:
    """The gauges are those of this moment."""
    async with engine.connections.acquire():
        during = samples(collector)
    after = samples(collector)

    assert 1 == during["andamios_pool_connections", "in_use"]
    assert 0 == after["andamios_pool_connections", "in_use"]
    assert 1 <= after["andamios_pool_connections", "idle"]
    assert 0 == after["andamios_pool_connections", "overflow"] == after["andamios_pool_waiting", ""]


async def test_waits_are_measured(make_engine: EngineMaker) -> None:
    """Who waits for a connection is counted, with the time."""
    engine = make_engine(pool_size=1, max_overflow=0)

    async def use() -> None:
        async with engine.connections.acquire():
            await asyncio.sleep(0.05)

    with MetricsCollector(engine) as collector:
        await asyncio.gather(use(), use())
        found = collector.snapshot()

    assert (2, 2) == (found.pool_wait.count, found.connection_held.count)
    assert found.pool_wait.p99 >= 0.05
    assert found.connection_held.median >= 0.05


async def test_announced_wait(engine: AndamiosEngine, collector: MetricsCollector) -> None:
    """The fact of a taken connection is what is measured."""
    engine.hooks.announce(ConnectionTaken(0.25))
    assert 0.25 == collector.snapshot().pool_wait.median


async def test_slow_queries(engine: AndamiosEngine, caplog: pytest.LogCaptureFixture) -> None:
    """A statement over the threshold is logged and kept without its values."""
    caplog.set_level(logging.WARNING, "andamios.slow")
    with MetricsCollector(engine, slow_query=0.0) as collector:
        for name in ("secret", "hidden"):
            async with engine.session(read_only=True) as session:
                await session.execute(text(f"SELECT id FROM lib_word WHERE word = '{name}'"))
    (found,) = [query for query in collector.slow_queries() if query.statement.startswith("SELECT")]

    assert ("SELECT id FROM lib_word WHERE word = ?", 2) == (found.statement, found.count)
    assert 0 < found.longest <= found.total
    assert found.fingerprint in caplog.text
    assert "secret" not in caplog.text
    assert "hidden" not in repr(collector.slow_queries())
    assert collector.snapshot().slow_queries >= 2


async def test_no_slow_queries(engine: AndamiosEngine, caplog: pytest.LogCaptureFixture) -> None:
    """Without a threshold, nothing is slow."""
    with MetricsCollector(engine, slow_query=None) as collector:
        await collector.track_query_performance("SELECT 1", 1e9)
    assert ([], "") == (collector.slow_queries(), caplog.text)


async def test_fed_by_hand(collector: MetricsCollector) -> None:
    """Statements and pools that the engine does not see can be told."""
    await collector.track_query_performance("SELECT * FROM t WHERE a = 'secret'", 0.75)
    await collector.track_connection_usage({"in_use": 3, "size": 5})
    await collector.track_connection_usage(PoolStats(size=7, idle=0, in_use=7, overflow=0))

    assert 0.75 == collector.snapshot().queries["select"].mean
    assert ["SELECT * FROM t WHERE a = ?"] == [q.statement for q in collector.slow_queries()]
    figure = await asyncio.to_thread(collector.plot)
    assert [3, 7] == list(figure.axes[1].lines[0].get_ydata())[-2:]


async def test_closed(engine: AndamiosEngine) -> None:
    """A closed collector counts no more, leaves the registry, and can still be read."""
    registry = CollectorRegistry()
    collector = MetricsCollector(engine, registry=registry)
    await work(engine)
    before = collector.snapshot()
    collector.close()
    await work(engine)

    assert before.queries == collector.snapshot().queries
    assert b"lib_" not in collector.render()
    assert b"} " not in collector.render()
    with MetricsCollector(engine, registry=registry) as again:
        collector.close()
        assert b"} " in again.render()


async def test_engines_in_one_registry(engine: AndamiosEngine, make_engine: EngineMaker) -> None:
    """Engines share a registry under names of their own, each metric being described once."""
    registry = CollectorRegistry()
    other = make_engine()
    with MetricsCollector(engine, registry=registry) as first:
        with pytest.raises(ConfigurationError, match="name="):
            MetricsCollector(other, registry=registry)
        with MetricsCollector(other, registry=registry, name="replica") as second:
            await work(engine)
            rendered = second.render().decode()

    assert 1 == rendered.count("# TYPE andamios_pool_connections gauge")
    assert 'database="replica"' in rendered
    assert {} == second.snapshot().queries
    assert first.snapshot().queries


async def test_a_refused_collector_does_not_listen(
    engine: AndamiosEngine, make_engine: EngineMaker
) -> None:
    """A collector that could not be made is not kept by the engine."""
    tracer: Any = object()
    with MetricsCollector(engine) as first:
        other = make_engine()
        with pytest.raises(ConfigurationError):
            MetricsCollector(other, registry=first.registry, tracer=tracer)
        async with other.session(read_only=True) as session:
            await session.execute(text("SELECT 1"))
        assert {} == first.snapshot().queries


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite://", "memory"),
        ("sqlite:////tmp/data/app.db", "app.db"),
        ("postgresql://me:secret@localhost/shop", "shop"),
        ("mysql://me:secret@localhost", "mysql"),
    ],
)
def test_name(url: str, name: str) -> None:
    """An engine is called like its database, and no secret shows."""
    engine = AndamiosEngine(url, uvloop=False)
    with MetricsCollector(engine) as collector:
        assert name == collector.snapshot().database
        assert b"secret" not in collector.render()


async def test_plot(engine: AndamiosEngine, collector: MetricsCollector) -> None:
    """The figure has a hill for each operation, and the pool beside it."""
    await work(engine)
    left, right = (await asyncio.to_thread(collector.plot)).axes
    labels = [label.get_text().partition("\n")[0] for label in left.get_yticklabels()]

    assert ["delete", "update", "insert", "select"] == [name for name in labels if name != "other"]
    assert "Connections in use" == right.get_title(loc="left")


async def test_the_pools_chart_ends_as_the_pool_is(
    engine: AndamiosEngine, collector: MetricsCollector
) -> None:
    """The last point is of now, or of when the collector was closed: a burst may end unseen."""

    async def last() -> tuple[int, int]:
        axes = (await asyncio.to_thread(collector.plot)).axes[1]
        used = [int(count) for count in axes.lines[0].get_ydata()]
        return used[0], used[-1]

    async with engine.connections.acquire(), engine.connections.acquire():
        assert (1, 2) == await last()
    assert (1, 0) == await last()
    collector.close()
    async with engine.connections.acquire():
        assert (1, 0) == await last()


def test_plot_into_axes() -> None:
    """Axes that were given get the latencies, also when nothing was measured."""
    with MetricsCollector(AndamiosEngine("sqlite://", uvloop=False)) as collector:
        figure = Figure()
        assert figure is collector.plot(figure.subplots())
        assert 1 == len(figure.axes)
        assert 2 == len(collector.plot().axes)


def test_plot_without_matplotlib(
    collector: MetricsCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is named, with its extra."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match="tour"):
        collector.plot()


def test_without_prometheus() -> None:
    """Health can be had without the extra; metrics say which one is missing."""
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from andamios.monitoring import HealthChecker\n"
        "try:\n    from andamios.monitoring import MetricsCollector\n"
        "except ImportError as error:\n    print(type(error).__name__, error.extra)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert "MissingDependencyError metrics" == done.stdout.strip()


def test_unknown_name() -> None:
    """The package has no other names."""
    package = importlib.import_module("andamios.monitoring")
    with pytest.raises(AttributeError, match="Nothing"):
        _ = package.Nothing
