"""
What the tour asks the data: each function is one question, and its body is what is shown.

All of them read, with the session of the task that calls them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import func

from andamios.queries.builder import QueryBuilder
from andamios.tour.measures import ON_TIME, band, mean, share
from andamios.tour.models import Airline, Airport, Flight, Plane, Weather

__all__ = [
    "QUESTIONS",
    "airlines",
    "one_flight",
    "pages",
    "plane_ages",
    "scheduled_hours",
    "wind",
    "worst_routes",
]

DAILY = 365

Rows = list[dict[str, Any]]


async def one_flight() -> Rows:
    """What is known about United's flight 1545 of 1 January?"""
    flight = await (
        QueryBuilder(Flight)
        .filter_by(carrier="UA", number=1545, month=1, day=1)
        .load(Flight.airline, Flight.origin_airport, Flight.destination)
        .load(Flight.plane, Flight.weather)
        .one()
    )
    return [
        {
            "airline": flight.airline.name,
            "from": flight.origin_airport.name,
            "to": flight.destination and flight.destination.name,
            "plane": flight.plane and flight.plane.model,
            "wind": flight.weather and flight.weather.wind_speed,
            "delay": flight.dep_delay,
        }
    ]


async def worst_routes() -> Rows:
    """Which routes, flown at least once a day, arrive latest?"""
    return await (
        QueryBuilder(Flight)
        .outerjoin(Flight.destination)
        .group_by(Flight.origin, Flight.dest, Airport.name)
        .having(func.count(Flight.arr_delay) >= DAILY)
        .aggregate(flights=func.count(Flight.arr_delay), delay=mean(Flight.arr_delay))
        .order_by("-delay", "origin", "dest")
        .limit(10)
        .as_dicts()
    )


async def airlines() -> Rows:
    """Which airlines arrive on time, that is less than 15 minutes late?"""
    on_time = share(Flight.arr_delay < ON_TIME)
    return await (
        QueryBuilder(Flight)
        .join(Flight.airline)
        .group_by(Airline.name)
        .aggregate(flights=func.count(), delay=mean(Flight.dep_delay), on_time=on_time)
        .order_by(Airline.name)
        .as_dicts()
    )


async def scheduled_hours() -> Rows:
    """At what hour of the day is it wise to leave?"""
    return await (
        QueryBuilder(Flight)
        .filter(Flight.dep_delay.is_not(None))
        .group_by(Flight.hour)
        .aggregate(flights=func.count(), delay=mean(Flight.dep_delay))
        .order_by(Flight.hour)
        .as_dicts()
    )


async def plane_ages() -> Rows:
    """Are older planes less punctual?"""
    age = band(2013 - Plane.year, 0, 5, 10, 15, 20, 25).label("age_from")
    return await (
        QueryBuilder(Flight)
        .join(Flight.plane)
        .filter(Plane.year.is_not(None))
        .group_by(age)
        .aggregate(planes=func.count(Plane.tailnum.distinct()), flights=func.count())
        .aggregate(delay=mean(Flight.dep_delay), on_time=share(Flight.arr_delay < ON_TIME))
        .order_by(func.max(Plane.year).desc())
        .as_dicts()
    )


async def wind() -> Rows:
    """How much does wind delay departures?"""
    speed = band(Weather.wind_speed, 0, 5, 10, 15, 20, 25, 30).label("mph_from")
    return await (
        QueryBuilder(Flight)
        .join(Flight.weather)
        .filter(Weather.wind_speed.is_not(None), Flight.dep_delay.is_not(None))
        .group_by(speed)
        .aggregate(flights=func.count(), delay=mean(Flight.dep_delay))
        .order_by(func.min(Weather.wind_speed))
        .as_dicts()
    )


async def pages() -> Rows:
    """Which departures were latest? Two pages, the second found by the first one's cursor."""
    latest = (
        QueryBuilder(Flight)
        .filter(Flight.dep_delay.is_not(None))
        .load(Flight.airline)
        .order_by(Flight.dep_delay.desc())
    )
    first = await latest.page_after(None, 5)
    second = await latest.page_after(first.next, 5)
    return [
        {
            "page": number,
            "airline": flight.airline.name,
            "flight": f"{flight.carrier} {flight.number}",
            "from": flight.origin,
            "to": flight.dest,
            "delay": flight.dep_delay,
        }
        for number, page in enumerate([first, second], start=1)
        for flight in page.items
    ]


QUESTIONS = (one_flight, worst_routes, airlines, scheduled_hours, plane_ages, wind, pages)
"""In the order in which they are asked."""
