"""Durations: counted, summed up, and the worst statements kept."""

import logging

import pytest

from andamios.monitoring.latencies import BOUNDS, Latencies, LatencySummary
from andamios.monitoring.slow import SlowQueries


def test_summary() -> None:
    """Mean of all, percentiles by nearest rank."""
    latencies = Latencies()
    for milliseconds in range(100, 0, -1):
        latencies.observe(milliseconds / 1000)
    expected = LatencySummary(count=100, mean=0.0505, median=0.05, p95=0.095, p99=0.099)
    found = latencies.summary()
    assert expected.mean == pytest.approx(found.mean)
    assert (100, 0.05, 0.095, 0.099) == (found.count, found.median, found.p95, found.p99)


def test_nothing_observed() -> None:
    """Nothing is zero, not an error."""
    assert LatencySummary() == Latencies().summary()


def test_one_observation() -> None:
    """One duration is its own median and percentiles."""
    latencies = Latencies()
    latencies.observe(0.2)
    assert LatencySummary(1, 0.2, 0.2, 0.2, 0.2) == latencies.summary()


def test_nearest_rank() -> None:
    """A percentile is a duration that was observed, and at least that share is within it."""
    latencies = Latencies()
    for seconds in (0.3, 0.1, 0.2):
        latencies.observe(seconds)
    found = latencies.summary()
    assert (0.2, 0.3, 0.3) == (found.median, found.p95, found.p99)


def test_buckets() -> None:
    """A bucket holds its upper end, and the last one what is longer than all."""
    latencies = Latencies()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] * 1.01, 1e9):
        latencies.observe(seconds)
    assert [2, 1] == latencies.counts[:2]
    assert 1 == latencies.counts[-1]


def test_percentiles_are_of_the_last_thousand() -> None:
    """What was slow long ago is forgotten by percentiles and kept by the mean."""
    latencies = Latencies()
    for seconds in [1.0] * 1000 + [0.001] * 1000:
        latencies.observe(seconds)
    assert (2000, 0.001) == (latencies.summary().count, latencies.summary().p99)
    assert 0.5 < latencies.summary().mean < 0.51


def test_slow_statements_are_bounded() -> None:
    """A new statement takes the place of the one that cost least."""
    slow = SlowQueries("sqlite", kept=2)
    for name, seconds in (("a", 3.0), ("b", 1.0), ("c", 2.0), ("a", 1.0)):
        slow.add(f"SELECT {name}", seconds)
    assert [("SELECT a", 2, 4.0, 3.0), ("SELECT c", 1, 2.0, 2.0)] == [
        (query.statement, query.count, query.total, query.longest) for query in slow.worst()
    ]
    assert 4 == slow.count


def test_slow_statements_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log has time, fingerprint and text, and no value."""
    slow = SlowQueries("postgresql")
    with caplog.at_level(logging.WARNING, "andamios.slow"):
        slow.add("SELECT * FROM t WHERE a = $$secret$$", 1.25)
    (record,) = caplog.records
    name = slow.worst()[0].fingerprint
    assert f"1.250 s [{name}] SELECT * FROM t WHERE a = ?" == record.getMessage()
    assert (name, 1.25) == (record.__dict__["fingerprint"], record.__dict__["duration"])
