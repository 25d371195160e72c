"""
Where the tour's database is built: whole, or not at all.

A file of SQLite is built in a folder of its own beside its place and moved there when it
is complete, so that a tour that is stopped, by Ctrl-C or by losing power, leaves either
the old file or none. On a server all rows are written in one transaction, and the
tables go again when it fails. What is not the tour's is never touched.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL

from andamios.core.engine import AndamiosEngine
from andamios.core.monitor import HealthMonitor
from andamios.core.urls import make_url
from andamios.errors import ConfigurationError
from andamios.tour.models import TourModel
from andamios.tour.ownership import require_own_file, require_own_tables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["database_file", "filled_database", "make_folder"]

LONGEST_LOAD = 1800.0
"""Seconds."""

PREFIX = ".andamios-tour-"
"""Of the folder in which a file is built; the process's number follows."""


def database_file(url: URL) -> Path | None:
    """Give the file that a URL means, or None for a server or a database in memory."""
    name = url.database
    if url.get_backend_name() != "sqlite" or name in {None, "", ":memory:"} or url.query:
        return None
    return Path(str(name))


def make_folder(folder: Path) -> None:
    """
    Make a folder if it is not there, and see whether one can write into it.

    Raises:
        ConfigurationError: One cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write to {folder} ({error.strerror}). "
            "Choose another place with --output or --database-url."
        ) from error


@asynccontextmanager
async def filled_database(
    url: str | URL, fill: Callable[[AndamiosEngine], Awaitable[None]]
) -> AsyncIterator[AndamiosEngine]:
    """
    Open a database in which the tour's tables are complete.

    Args:
        url: Any database URL; tables of an earlier tour are replaced.
        fill: Creates the tables and writes all rows.

    Yields:
        An open engine.

    Raises:
        ConfigurationError: The place cannot be written to, or holds what is not the tour's.
    """
    url = make_url(url)
    file = database_file(url)
    if file is not None:
        await _build_file(file.absolute(), fill)
    async with _engine(url) as engine:
        if file is None:
            await _build_tables(engine, fill)
        yield engine


def _engine(url: URL) -> AndamiosEngine:
    # All rows are one transaction, which takes over a minute where the disk is busy.
    return AndamiosEngine(url, monitor=HealthMonitor(leak_after=LONGEST_LOAD))


async def _build_file(file: Path, fill: Callable[[AndamiosEngine], Awaitable[None]]) -> None:
    folder = await asyncio.to_thread(_begin, file)
    try:
        async with _engine(_url_of(folder / file.name)) as engine:
            await fill(engine)
        # Closing has written the log back into the file, which is now all there is.
        await asyncio.to_thread(_move, folder / file.name, file)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _begin(file: Path) -> Path:
    make_folder(file.parent)
    require_own_file(file)
    for left_over in file.parent.glob(f"{PREFIX}*"):
        if not _is_running(left_over.name.removeprefix(PREFIX).partition("-")[0]):
            shutil.rmtree(left_over, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=file.parent))


def _move(built: Path, file: Path) -> None:
    # A log that an earlier process left behind would be read as if it were the new file's.
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    built.replace(file)


async def _build_tables(
    engine: AndamiosEngine, fill: Callable[[AndamiosEngine], Awaitable[None]]
) -> None:
    await require_own_tables(engine)
    await engine.drop_all(TourModel)
    try:
        await fill(engine)
    except BaseException:
        await engine.drop_all(TourModel)
        raise


def _url_of(file: Path) -> URL:
    return URL.create("sqlite", database=str(file))


def _is_running(process: str) -> bool:
    if os.name == "nt" or not process.isdigit():
        return True  # nobody knows: asking would end the process there
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
