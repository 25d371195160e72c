"""Filling the tour's tables: every row in one transaction, read while it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sqlalchemy.schema import CreateIndex, CreateTable

from andamios.repositories.generic import GenericRepository
from andamios.tour.models import TourModel
from andamios.tour.source import ROWS, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from andamios.core.engine import AndamiosEngine

__all__ = ["Progress", "load"]


class Progress(Protocol):
    """Hears how the load gets on."""

    def __call__(self, table: str, done: int) -> None:
        """Be told how many rows of a table are written."""


async def load(engine: AndamiosEngine, directory: Path, progress: Progress) -> int:
    """
    Create the tour's tables and fill them.

    Indexes come last: sorting all entries once is faster than placing each of them.

    Args:
        engine: Where to; it has none of the tables yet.
        directory: Where the CSV files are.
        progress: Called after every batch.

    Returns:
        How many rows were written.
    """
    tables = TourModel.metadata.sorted_tables
    written = 0
    async with engine.session() as session:
        for table in tables:
            await session.execute(CreateTable(table))
        for model in ROWS:
            rows = read_rows(model, directory)
            repository = GenericRepository[model](session)  # type: ignore[valid-type]  # a variable
            written += await repository.create_many(rows, progress=_of(model, progress))
        for table in tables:
            for index in table.indexes:
                await session.execute(CreateIndex(index))
    return written


def _of(model: type[TourModel], progress: Progress) -> Callable[[int], None]:
    return lambda done: progress(str(model.__tablename__), done)
