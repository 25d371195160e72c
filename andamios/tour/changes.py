"""
What the tour changes, and takes back: each function is one scene, and its body is shown.

A repository of an engine commits every call by itself; one of a session works inside its
transaction.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from andamios.errors import StaleVersionError
from andamios.queries.builder import QueryBuilder
from andamios.repositories.generic import GenericRepository
from andamios.tour.models import Airline, Flight, Plane

if TYPE_CHECKING:
    from andamios.core.engine import AndamiosEngine

__all__ = ["CHANGES", "airline_that_closed", "change_of_mind", "two_editors"]

Rows = list[dict[str, Any]]


async def two_editors(engine: AndamiosEngine) -> Rows:
    """Two people change the same plane. Does the second one overwrite the first?"""
    planes = GenericRepository[Plane](engine)
    hers, his = await planes.get_one("N14228"), await planes.get_one("N14228")
    hers.seats = 160
    await planes.update(hers)
    his.seats = 120
    try:
        await planes.update(his)
    except StaleVersionError as error:
        expected, actual = error.expected, error.actual
    plane = await planes.get_one("N14228")
    return [{"he read version": expected, "it is version": actual, "seats": plane.seats}]


async def airline_that_closed(engine: AndamiosEngine) -> Rows:
    """An airline is deleted, and comes back. Where was it meanwhile?"""
    async with engine.session() as session:
        airlines = GenericRepository[Airline](session)
        flights = QueryBuilder(Flight, session).join(Flight.airline).filter_by(carrier="HA")
        everything = QueryBuilder(Airline, session).include_deleted()

        async def look(when: str) -> dict[str, Any]:
            return {
                "when": when,
                "airlines": await airlines.count(),
                "with deleted": await everything.count(),
                "its flights": await flights.count(),
            }

        before = await look("before")
        await airlines.delete("HA")
        meanwhile = await look("deleted")
        await airlines.restore("HA")
        return [before, meanwhile, await look("restored")]


async def change_of_mind(engine: AndamiosEngine) -> Rows:
    """A transaction deletes thousands of flights, and fails. What is left of it?"""
    flights = GenericRepository[Flight](engine)
    before = await flights.count({"carrier": "UA"})
    with suppress(RuntimeError):
        async with engine.session() as session:
            deleted = await GenericRepository[Flight](session).delete_where({"carrier": "UA"})
            raise RuntimeError("changed my mind")
    after = await flights.count({"carrier": "UA"})
    return [{"flights before": before, "deleted": deleted, "flights after": after}]


CHANGES = (two_editors, airline_that_closed, change_of_mind)
"""In the order in which they are made."""
