"""
The flights that the notebooks speak of: some days of the tour's data, loaded in a second.

In a notebook: ``from flights import load_flights``, then ``await load_flights(engine)``.
"""

import asyncio
from itertools import takewhile
from pathlib import Path

from andamios import AndamiosEngine, GenericRepository
from andamios.tour.models import Airline, Airport, Flight, Plane, TourModel, Weather
from andamios.tour.source import data_directory, read_rows

__all__ = ["Airline", "Airport", "Flight", "Plane", "TourModel", "Weather", "load_flights"]


async def load_flights(engine: AndamiosEngine, days: int = 7) -> int:
    """
    Make the tables anew and fill them with the first days of January 2013.

    Args:
        engine: Where to.
        days: Of flights and weather, up to 31; airlines, airports and planes come whole.

    Returns:
        How many flights there are.
    """
    await engine.drop_all(TourModel)
    await engine.create_all(TourModel)
    directory = data_directory()
    for model in (Airline, Airport, Plane, Weather, Flight):
        rows = await asyncio.to_thread(_rows, model, directory, days)
        await GenericRepository[model](engine).create_many(rows)
    return await GenericRepository[Flight](engine).count()


def _rows(model: type[TourModel], directory: Path, days: int) -> list[dict]:
    rows = read_rows(model, directory)
    if model is Flight:
        return list(takewhile(lambda row: row["month"] == 1 and row["day"] <= days, rows))
    if model is Weather:
        # Ordered by airport, and then by time.
        rows = (row for row in rows if row["time_hour"].month == 1 and row["time_hour"].day <= days)
    return list(rows)
