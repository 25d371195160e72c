"""How much a process holds that has imported the package, and has done nothing yet."""

import subprocess
import sys
from collections.abc import Callable

import pytest

RESIDENT = "import psutil; print(psutil.Process().memory_info().rss / 1e6)"

ALLOWED = 1.3
"""Times what SQLAlchemy takes."""


@pytest.fixture
def megabytes(record_footprint: Callable[[str, float], None]) -> Callable[[str], float]:
    """Measure what a new process holds after an import."""

    def measure(module: str) -> float:
        code = f"import {module}; {RESIDENT}"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        found = float(done.stdout)
        record_footprint(module, found)
        return found

    return measure


def test_footprint(megabytes: Callable[[str], float]) -> None:
    """The package takes little more than SQLAlchemy does."""
    empty = megabytes("sys")
    floor = megabytes("sqlalchemy.ext.asyncio")
    assert megabytes("andamios") - empty < (floor - empty) * ALLOWED
