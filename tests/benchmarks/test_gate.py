"""When a slow run fails, and when it is only noise."""

import pytest

from benchmarks.speed.gate import Miss, missed, missed_again
from benchmarks.speed.results import Figure, Measured, Report


def report(**ratios: float | None) -> Report:
    """A run on PostgreSQL with these ratios; None is an operation that failed."""
    floor = Figure(1.0, 1.0, 1.0, 100.0, 5)
    found = Report("2026-01-01T00:00:00+00:00", {}, {})
    for name, ratio in ratios.items():
        own = {} if ratio is None else {"andamios": Figure(ratio, ratio, ratio, 150.0, 5)}
        failures = {"andamios": "it broke"} if ratio is None else {}
        figures = {"asyncpg": floor, **own}
        found.measured.append(Measured("postgresql", name, figures, failures))
    return found


@pytest.mark.parametrize(("ratio", "is_missed"), [(1.5, False), (2.25, False), (2.26, True)])
def test_target_times_one_and_a_half_is_allowed(ratio: float, *, is_missed: bool) -> None:
    """The target of a get is 1.5; noise may make it 2.25."""
    expected = [Miss("postgresql", "get", ratio, 2.25)] if is_missed else []
    assert expected == missed(report(get=ratio))


def test_operation_without_a_figure_is_missed() -> None:
    """What fails is not fast."""
    assert [Miss("postgresql", "get", None, 2.25)] == missed(report(get=None))


def test_one_miss_is_noise() -> None:
    """Only what both runs miss fails, whatever else the second one misses."""
    first, second = report(get=9, count=9, insert=1), report(get=1, count=8, insert=9)
    assert [Miss("postgresql", "count", 8, pytest.approx(2.4))] == missed_again(first, second)


def test_operation_without_a_target_is_never_missed() -> None:
    """Not every operation has a target on every backend."""
    found = report(count=99)
    (measured,) = found.measured
    found.measured = [Measured("mysql", measured.operation, measured.figures)]
    assert [] == missed(found)


def test_miss_says_what_is_allowed() -> None:
    """The line that CI prints."""
    assert "mysql: get: 3.00, allowed are 2.25" == str(Miss("mysql", "get", 3, 2.25))
    assert "mysql: get: failed, allowed are 2.25" == str(Miss("mysql", "get", None, 2.25))
