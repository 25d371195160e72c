"""What the tour's tests share: the data, a small part of it, and a database for it."""

from __future__ import annotations

import asyncio
import csv
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from andamios import AndamiosEngine, MissingDependencyError
from andamios.tour import TourModel
from andamios.tour.source import data_directory, open_table

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

HEAD = {"airlines": 16, "airports": 1_458, "planes": 3_322, "weather": 400, "flights": 900}


def in_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """Run on a loop of another thread, where files may be read: the tour has its loop alone."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def directory() -> Path:
    """The folder of the real files."""
    try:
        return data_directory()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def small_directory(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first lines of each file, unpacked."""
    folder = tmp_path_factory.mktemp("flights")
    for table, count in HEAD.items():
        with (
            open_table(table, directory) as source,
            (folder / f"{table}.csv").open("w", newline="") as target,
        ):
            for number, line in enumerate(csv.reader(source)):
                if number > count:
                    break
                csv.writer(target).writerow(line)
    return folder


@pytest.fixture
def tour_database(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a place for the tour on each backend, without its tables before and after."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'flights.db'}"
        return
    url: str = request.getfixturevalue("test_database")
    in_thread(_drop(url))
    yield url
    in_thread(_drop(url))


async def _drop(url: str) -> None:
    async with AndamiosEngine(url, uvloop=False, pool_size=1) as engine:
        await engine.drop_all(TourModel)
