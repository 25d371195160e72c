"""What is written down of a run: table, page, chart and history."""

from pathlib import Path

import pytest

from benchmarks.speed import history
from benchmarks.speed.report import page, summary, table, with_summary
from benchmarks.speed.results import Figure, Measured, Report


def figure(ratio: float, microseconds: float) -> Figure:
    return Figure(ratio, ratio * 0.9, ratio * 1.1, microseconds, 30)


@pytest.fixture
def recorded() -> Report:
    """A run of two operations and three systems."""
    return Report(
        "2026-01-01T00:00:00+00:00",
        {"cores": "2"},
        {"andamios": "0.1.0"},
        servers={"postgresql": {"server": "PostgreSQL 18.6", "fsync": "on"}},
        measured=[
            Measured(
                "postgresql",
                "get",
                {
                    "asyncpg": figure(1.0, 123.4),
                    "andamios": figure(1.2, 148),
                    "tortoise": figure(5.9, 726),
                    "sqlalchemy_orm": figure(12.34, 1523),
                    "psycopg": figure(1.9, 234),
                },
            ),
            Measured(
                "postgresql",
                "bulk",
                {"asyncpg": figure(1.0, 87_000), "andamios": figure(1.31, 114_000)},
                {"tortoise": "OperationalError: too many\nparameters"},
            ),
        ],
        single={"postgresql": {"10,000 rows created, ms": 114.0}},
    )


TABLE = """\
| operation | asyncpg | Andamios | target | best peer | SQLAlchemy ORM | Tortoise | psycopg |
| --- | --- | --- | --- | --- | --- | --- | --- |
| get by key, on its own | 123 µs | 1.20 | ≤ 1.5 | 5.90 (Tortoise) | 12.3 | 5.90 | 1.90 |
| bulk insert 10,000 | 87.0 ms | **1.31** | ≤ 1.3 | – | – | failed | – |

- tortoise failed at bulk insert 10,000: OperationalError: too many"""


def test_table_has_targets_and_the_best_peer(recorded: Report) -> None:
    """A missed target is bold, a driver is no peer, and a failure says why in one line."""
    assert TABLE == table(recorded, "postgresql")


def test_page_says_what_it_ran_on(recorded: Report) -> None:
    """Figures without versions and settings mean nothing."""
    written = page(recorded)
    for line in ("- cores: 2", "- andamios: 0.1.0", "- fsync: on", TABLE):
        assert line in written
    assert "- 10,000 rows created, ms: 114.0" in written


def test_history_gives_back_what_was_written(recorded: Report, tmp_path: Path) -> None:
    """Each run is a line, and the oldest comes first."""
    path = tmp_path / "folder" / "history.jsonl"
    assert [] == history.read(path)
    later = Report("2026-02-01T00:00:00+00:00", {}, {})
    history.append(recorded, path)
    history.append(later, path)
    assert [recorded, later] == history.read(path)


def test_chart_is_the_same_for_the_same_figures(recorded: Report, tmp_path: Path) -> None:
    """So that one sees in a diff whether figures changed."""
    pytest.importorskip("matplotlib")
    from benchmarks.speed.chart import chart  # noqa: PLC0415  only with matplotlib

    first, second = tmp_path / "first.svg", tmp_path / "second.svg"
    for path in (first, second):
        chart(recorded, "postgresql", path)
    assert first.read_text("utf-8") == second.read_text("utf-8")
    assert "<svg" in first.read_text("utf-8")


def test_the_readme_has_the_last_recorded_figures() -> None:
    """Its table is that of ``python -m benchmarks.speed readme``, and nobody's hand was in it."""
    text = Path("README.md").read_text(encoding="utf-8")
    last = history.read(Path("benchmarks/results/history.jsonl"))[-1]
    assert summary(last) in text
    assert text == with_summary(text, last)


def test_a_text_without_marks_is_refused(recorded: Report) -> None:
    """Rather than left without the table."""
    with pytest.raises(ValueError, match="no marks"):
        with_summary("# A README", recorded)
