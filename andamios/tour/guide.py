"""The tour from start to end: load, ask, draw, report."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL

from andamios.core.urls import make_url
from andamios.tour.answers import Answer, answer_all, show_systems
from andamios.tour.loading import Progress, load
from andamios.tour.picture import draw, require_matplotlib
from andamios.tour.source import data_directory
from andamios.tour.target import filled_database, make_folder

if TYPE_CHECKING:
    from andamios.core.engine import AndamiosEngine

__all__ = ["TourReport", "shown_url", "take_tour", "tour_url"]

DATABASE, PICTURE = "flights.db", "flights.png"


@dataclass(frozen=True, slots=True)
class TourReport:
    """
    What a tour did.

    Args:
        database: Its URL, without the password.
        rows: How many were loaded.
        load_seconds: How long that took, with the tables.
        seconds: How long everything took.
        peak_memory_mb: The most that the process ever held; None where nobody counts.
        picture: Where it is.
        answers: In the order in which they were asked.
        systems: Plan, index advice, cache, health and metrics, with times of this run.
    """

    database: str
    rows: int
    load_seconds: float
    seconds: float
    peak_memory_mb: float | None
    picture: str
    answers: list[Answer]
    systems: list[Answer]

    @property
    def rows_per_second(self) -> int:
        """How fast the load was."""
        return round(self.rows / self.load_seconds)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON has it."""
        return asdict(self) | {"rows_per_second": self.rows_per_second}


def tour_url(database_url: str | None, output: Path) -> URL:
    """
    Give the URL of the tour's database: the one that was asked for, or a file in ``output``.

    Raises:
        ConfigurationError: It cannot be read.
        MissingDependencyError: Its driver is not installed.
    """
    if database_url is not None:
        return make_url(database_url)
    return make_url(URL.create("sqlite", database=str(output / DATABASE)))


def shown_url(url: URL) -> str:
    """Give a URL as one writes it, without driver and password."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


async def take_tour(url: URL, output: Path, progress: Progress) -> TourReport:
    """
    Load the flights, ask every question, make every change, and draw the picture.

    Args:
        url: Of the database; the tour's tables there are replaced, others stay.
        output: Folder of the picture; made if it is not there.
        progress: Hears how the load gets on.

    Raises:
        AndamiosError: Something is missing, cannot be reached or cannot be written to.
    """
    start = time.perf_counter()
    directory = data_directory()
    require_matplotlib()
    await asyncio.to_thread(make_folder, output)
    loaded: list[float] = []

    async def fill(engine: AndamiosEngine) -> None:
        begin = time.perf_counter()
        loaded.append(await load(engine, directory, progress))
        loaded.append(time.perf_counter() - begin)

    async with filled_database(url, fill) as engine:
        answers = await answer_all(engine)
        systems = await show_systems(engine)
    picture = (output / PICTURE).absolute()
    await asyncio.to_thread(draw, answers, picture)
    return TourReport(
        database=shown_url(url),
        rows=int(loaded[0]),
        load_seconds=round(loaded[1], 2),
        seconds=round(time.perf_counter() - start, 2),
        peak_memory_mb=await asyncio.to_thread(_peak_memory),
        picture=str(picture),
        answers=answers,
        systems=systems,
    )


def _peak_memory() -> float | None:
    """Give the most memory that this process had, in MB, where the system tells (Linux)."""
    # Not getrusage: its figure includes the process that this one was forked from.
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return round(int(found[1]) / 1024, 1) if found else None
