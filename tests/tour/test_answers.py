"""The tour's answers against those of a script that knows only csv and sqlite3."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from andamios.tour.answers import Answer, answer_all
from andamios.tour.loading import load
from andamios.tour.source import ROWS
from andamios.tour.target import filled_database
from tests.tour.conftest import in_thread
from tests.tour.plain_answers import plain_answers

if TYPE_CHECKING:
    from pathlib import Path

    from andamios import AndamiosEngine


def test_whole_tour_gives_the_plain_answers(directory: Path, tmp_path: Path) -> None:
    """All 336,776 flights: every table is equal, the picture is one, and no draft is left."""
    command = [sys.executable, "-m", "andamios", "tour", "--json", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    report = json.loads(done.stdout)

    assert "" == done.stderr
    assert plain_answers(directory) == {a["name"]: a["rows"] for a in report["answers"]}
    assert sum(ROWS.values()) == report["rows"]
    assert report["peak_memory_mb"] is None or report["peak_memory_mb"] < 300
    assert ["flights.db", "flights.png"] == sorted(file.name for file in tmp_path.iterdir())
    assert (tmp_path / "flights.png").read_bytes().startswith(b"\x89PNG")


def test_answers_are_the_same_on_every_backend(tour_database: str, small_directory: Path) -> None:
    """NULLs, means and shares come out equal, to the digit."""
    answers = in_thread(_answers(tour_database, small_directory))

    assert plain_answers(small_directory) == {answer.name: answer.rows for answer in answers}


def test_code_that_is_shown_is_the_code_that_ran(tour_database: str, small_directory: Path) -> None:
    """Every answer has the lines of its function, without signature and docstring."""
    for answer in in_thread(_answers(tour_database, small_directory)):
        assert answer.question.endswith((".", "?"))
        assert "return" in answer.code
        assert "async def " + answer.name not in answer.code
        assert answer.question not in answer.code


async def _answers(url: str, directory: Path) -> list[Answer]:
    async def fill(engine: AndamiosEngine) -> None:
        await load(engine, directory, lambda _table, _done: None)

    async with filled_database(url, fill) as engine:
        return await answer_all(engine)
