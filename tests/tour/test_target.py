"""A tour's database is whole or not there, and nobody else's things are touched."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import inspect, text

from andamios import AndamiosEngine, ConfigurationError
from andamios.tour import Airline, TourModel
from andamios.tour.target import filled_database
from tests.tour.conftest import in_thread

if TYPE_CHECKING:
    from pathlib import Path


async def fill(engine: AndamiosEngine) -> None:
    await engine.create_all(TourModel)
    async with engine.session() as session:
        session.add(Airline(carrier="XX", name="A line"))


async def fail(engine: AndamiosEngine) -> None:
    await fill(engine)
    raise asyncio.CancelledError


async def build(url: str, filling: object = fill) -> None:
    async with filled_database(url, filling):  # type: ignore[arg-type]
        pass


async def tables(url: str) -> list[str]:
    async with (
        AndamiosEngine(url, uvloop=False) as engine,
        engine.connections.acquire() as connection,
    ):
        names: list[str] = await connection.run_sync(lambda c: inspect(c).get_table_names())
        return sorted(name for name in names if name.startswith("tour_"))


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def test_a_tour_that_fails_leaves_no_tables(tour_database: str) -> None:
    """Neither when it is cancelled, nor where the backend cannot roll tables back."""
    with pytest.raises(asyncio.CancelledError):
        in_thread(build(tour_database, fail))

    assert [] == in_thread(tables(tour_database))


def test_a_second_tour_replaces_the_first(tour_database: str) -> None:
    """Its tables are made anew, so that no row is there twice."""
    in_thread(build(tour_database))
    in_thread(build(tour_database))

    assert sorted(TourModel.metadata.tables) == in_thread(tables(tour_database))


def test_a_failed_file_leaves_the_old_one(tmp_path: Path) -> None:
    """The new file takes the place of the old one only when it is complete."""
    file = tmp_path / "flights.db"
    in_thread(build(f"sqlite:///{file}"))
    before = file.read_bytes()
    with pytest.raises(asyncio.CancelledError):
        in_thread(build(f"sqlite:///{file}", fail))

    assert before == file.read_bytes()
    assert ["flights.db"] == names(tmp_path)


@pytest.mark.parametrize("content", ["table", "view", "text"])
def test_a_file_that_is_not_the_tours_is_refused(tmp_path: Path, content: str) -> None:
    """A database of somebody's, and anything else, stays as it is."""
    file = tmp_path / "mine.db"
    if content == "text":
        file.write_text("a diary, and not a database")
    else:
        with sqlite3.connect(file) as connection:
            connection.execute(f"CREATE {content} mine AS SELECT 1 AS x")
        connection.close()
    before = file.read_bytes()

    with pytest.raises(ConfigurationError, match=r"--database-url"):
        in_thread(build(f"sqlite:///{file}"))
    assert before == file.read_bytes()
    assert ["mine.db"] == names(tmp_path)


def test_an_empty_file_is_taken(tmp_path: Path) -> None:
    """As ``mktemp`` makes it."""
    (tmp_path / "flights.db").touch()
    in_thread(build(f"sqlite:///{tmp_path / 'flights.db'}"))

    assert len(TourModel.metadata.tables) == len(
        in_thread(tables(f"sqlite:///{tmp_path / 'flights.db'}"))
    )


@pytest.mark.parametrize("backend", ["postgresql", "mysql"], indirect=True, scope="session")
def test_a_table_that_is_not_the_tours_is_refused(tour_database: str) -> None:
    """A table may have the name of one of the tour's and be somebody's."""

    async def try_to_build() -> int:
        async with AndamiosEngine(tour_database, uvloop=False) as engine:
            async with engine.connections.acquire() as connection, connection.begin():
                await connection.execute(text("CREATE TABLE tour_plane (mine INT)"))
                await connection.execute(text("INSERT INTO tour_plane VALUES (7)"))
            with pytest.raises(ConfigurationError, match="'tour_plane'"):
                await build(tour_database)
            async with engine.session() as session:
                return int(await session.scalar(text("SELECT mine FROM tour_plane")))

    assert 7 == in_thread(try_to_build())


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")],
)
@pytest.mark.usefixtures("directory")
def test_a_stopped_tour_cleans_up(
    tmp_path: Path, number: signal.Signals, code: int, word: str
) -> None:
    """Ctrl-C in the middle of the load: one line, the right code, and no file."""
    process = start_tour(tmp_path)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert code == process.returncode
    assert word in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert [] == names(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.usefixtures("directory")
def test_what_a_killed_tour_leaves_is_swept(tmp_path: Path) -> None:
    """A killed process cleans nothing up; the next tour does, and there is no database before."""
    process = start_tour(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    assert not (tmp_path / "flights.db").exists()
    in_thread(build(f"sqlite:///{tmp_path / 'flights.db'}"))

    assert ["flights.db"] == names(tmp_path)


def start_tour(folder: Path) -> subprocess.Popen[str]:
    """Start a tour, and wait until it is well under way."""
    command = [sys.executable, "-m", "andamios", "tour", "--output", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if sum(file.stat().st_size for file in folder.glob("*/*")) > 500_000:
            return process
        time.sleep(0.02)
    raise AssertionError("The tour did not begin to load")
