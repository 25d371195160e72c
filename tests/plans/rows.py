"""The rows that are there when something is asked."""

import datetime as dt
import decimal
import itertools

from andamios import AndamiosEngine
from harness.conformance.models import (
    ConformanceAuthor,
    ConformanceBook,
    ConformanceDraft,
    ConformanceInvoice,
    ConformanceParcel,
    ConformancePlace,
    ConformanceProfile,
    ConformanceRemark,
    ConformanceSeat,
    ConformanceTicket,
    ConformanceValue,
)
from tests.plans.models import (
    PlansCard,
    PlansComputed,
    PlansDeferred,
    PlansFile,
    PlansFolder,
    PlansNumbered,
    PlansOdd,
    PlansPartial,
    PlansPlain,
    PlansRecord,
    PlansSized,
    PlansSwitch,
    PlansTagged,
    Shade,
)
from tests.plans.values import MOMENT, VALUES

__all__ = ["fill"]

D = decimal.Decimal


async def fill(engine: AndamiosEngine) -> None:
    """Put rows into all tables, by sessions alone."""
    async with engine.session() as session:
        columns = [[*values, None] for values in VALUES.values()]
        for number in range(max(map(len, columns)) - 1):
            picked = (values[number % len(values)] for values in columns)
            session.add(ConformanceValue(**dict(zip(VALUES, picked, strict=True))))
        session.add(ConformanceValue())
        authors = [
            ConformanceAuthor(name=name, age=age, city=city)
            for name, age, city in [
                *(("Ana", 40, "Lima"), ("Beto", 30, "Cusco"), ("Carla", None, None)),
                *(("Dora", 40, "Puno"), ("ana", 30, "Lima")),
            ]
        ]
        authors[0].profile = ConformanceProfile(motto="onwards")
        authors[3].profile = ConformanceProfile(motto=None)
        authors[0].books = [
            ConformanceBook(title="Rivers", price=D("10.5"), pages=100),
            ConformanceBook(title="Bridges", price=D(20), pages=300),
        ]
        authors[1].books = [ConformanceBook(title="Salt", price=D(30))]
        authors[3].books = [ConformanceBook(title="Salt", price=None, pages=7)]
        session.add_all(authors)
        session.add_all(ConformanceTicket(code=f"c{n}", seats=n + 1) for n in range(3))
        drafts = [
            ConformanceDraft(
                title=f"d{n}", remarks=[ConformanceRemark(text=f"r{n}{m}") for m in range(2)]
            )
            for n in range(3)
        ]
        session.add_all(drafts)
        session.add_all(ConformanceSeat(holder=f"h{n}", taken=n) for n in range(3))
        session.add_all(ConformanceInvoice(total=n) for n in range(3))
        session.add_all(ConformanceParcel(content=f"p{n}") for n in range(3))
        session.add_all(
            ConformancePlace(hall=hall, number=n, guest=None if n else "g")
            for hall, n in itertools.product("AB", range(2))
        )
        session.add_all(
            [
                PlansOdd(name="a", rows=1, level="low", short="x", price=D("1.5"), back="abc"),
                PlansOdd(name="b", shade=Shade.LIGHT, note={"x": [1]}, seen=MOMENT, back="!no"),
                PlansOdd(shade=None, note=None),
                *(PlansRecord(title=f"t{n}", text=None if n else "x") for n in range(3)),
                *(PlansTagged(left=x, right=n, weight=n / 3) for x in "ab" for n in range(2)),
                PlansComputed(a=1),
                PlansComputed(a=2, b=0),
                PlansSized(width=2, height=3),
                PlansDeferred(name="x", body="long"),
                PlansFile(path="/a"),
                PlansFolder(path="/b", size=3),
                PlansPlain(name="p", at=dt.date(2024, 1, 1)),
                PlansPlain(name="q"),
                PlansCard(name="c"),
                PlansNumbered(key=D(5), label="small"),
                PlansNumbered(key=D(2**40), label="large"),
                PlansPartial(name="p"),
                PlansPartial(),
                PlansSwitch(is_on=True, number=1, label="on"),
                PlansSwitch(is_on=False, number=1, label="off"),
            ]
        )
        await session.flush()
        await session.delete(drafts[2])
        await session.delete(await session.get_one(PlansTagged, ("b", 1)))
