"""
What is asked both ways: queries of every kind on tables with a few rows, by name.

The words are those of the conformance suite: every operator on every type of column, NULLs and
values at the edge, values of a wrong type, orders, slices, joins, groups, shapes and ends.
"""

import datetime as dt
import decimal
import itertools
import math
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from hypothesis import settings
from sqlalchemy import func
from sqlalchemy.orm import aliased

from andamios import AndamiosEngine, FilterBuilder, GenericRepository, QueryBuilder
from andamios.queries.operators import OPERATORS, SYNONYMS
from harness.conformance.models import (
    ConformanceAuthor,
    ConformanceBook,
    ConformanceColour,
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
    PlansOdd,
    PlansPlain,
    PlansRecord,
    PlansSized,
    PlansSwitch,
    PlansTagged,
    Shade,
)

__all__ = [
    "READS",
    "VALUES",
    "WRONG",
    "Ask",
    "Case",
    "Way",
    "fill",
    "filter_cases",
    "is_night",
    "read_cases",
]

Ask = Callable[[AndamiosEngine], Awaitable[Any]]
Way = Literal["short", "long", "either"]


@dataclass(frozen=True)
class Case:
    """
    Something to ask.

    Args:
        name: What a report calls it.
        ask: Asks it of an engine.
        way: Which way it takes, unless it must take the long one.
        is_deep: Whether to look at what becomes of its results.
    """

    name: str
    ask: Ask
    way: Way = "short"
    is_deep: bool = False


def is_night() -> bool:
    """Whether a run takes its time: ``--hypothesis-profile=nightly``."""
    return settings().max_examples > 100


MOMENT = dt.datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=dt.UTC)
LIMA = dt.timezone(dt.timedelta(hours=-5))
D = decimal.Decimal

TEXTS = [
    "ana",
    "Ana",
    "José",
    "100%",
    "1000",
    "a_b",
    "a/b",
    "a\\b",
    "it's",
    "",
    " ",
    "🧉",
    ":x %s $1 ?",
]

VALUES: dict[str, list[Any]] = {
    "label": TEXTS,
    "short": ["a", "🧉" * 10, ""],
    "long": ["añ🧉" * 500, "ana", ""],
    "whole": [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1],
    "ratio": [0.0, -0.0, 0.1 + 0.2, math.pi, -1e-300, 1.7976931348623157e308, 1.0],
    "amount": [D("0.1"), D(0), D("-2.00005"), D("12345678901.2345"), D("1E+2")],
    "exact": [D("12345678901234567890.0123456789"), D("-0.0000000001"), D(9), D(10)],
    "flag": [True, False],
    "moment": [
        MOMENT,
        MOMENT.astimezone(LIMA),
        MOMENT.replace(year=1000, day=28),
        MOMENT.replace(microsecond=0),
    ],
    "day": [dt.date(2024, 2, 29), dt.date(1000, 1, 1), dt.date(9999, 12, 31)],
    "clock": [dt.time(23, 59, 59, 999_999), dt.time(0), dt.time(12, 30)],
    "span": [
        dt.timedelta(0),
        dt.timedelta(microseconds=-1),
        dt.timedelta(days=100, microseconds=1),
    ],
    "code": [uuid.UUID(int=255), uuid.UUID("00000000-0000-4000-8000-0000000000ff")],
    "colour": [ConformanceColour.RED, ConformanceColour.GREEN],
    "data": [b"", bytes(range(256)), b"\x00", b"a"],
    "document": [{}, {"a": None}, {"a": 1, "b": [None, "é", {"c": 0.1}]}, {"a": 1}],
    "items": [[], [1, "x"], [[1], None, True]],
}
"""Values of each column; the rows have them in turn, and one row has none."""

WRONG: list[Any] = [
    "x",
    1,
    1.5,
    True,
    b"x",
    D(1),
    MOMENT.replace(tzinfo=None),
    [],
    {},
    object,
    math.nan,
    "a\x00b",
]
"""Values of wrong types, for most columns; naive moments and the like are among them."""


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
                PlansSwitch(is_on=True, number=1, label="on"),
                PlansSwitch(is_on=False, number=1, label="off"),
            ]
        )
        await session.flush()
        await session.delete(drafts[2])
        await session.delete(await session.get_one(PlansTagged, ("b", 1)))


# -- filters on each type


def filter_cases() -> Iterator[Case]:
    """Give each operator on each column, with values that are there, are not, and are wrong."""
    for column, values in VALUES.items():
        for operator in (*OPERATORS, *SYNONYMS, ""):
            for number, value in enumerate(_operands(operator, values)):
                name = f"{column}__{operator}" if operator else column
                yield _filtered(f"{name} #{number}", {name: value})
    for column, value in itertools.product(VALUES, WRONG):
        yield _filtered(f"{column} against {value!r:.20}", {column: value})
        yield _filtered(f"{column} in {value!r:.20}", {f"{column}__in": [value]})
    for column, values in VALUES.items():
        attribute = getattr(ConformanceValue, column)
        yield _filtered(f"{column} beside a list", {"whole__in": [0, -1, 1], column: values[0]})
        yield _filtered(f"{column} ==", attribute == values[0])
        yield _filtered(f"{column} == again", attribute == values[-1])
        yield _filtered(f"{column} is null", attribute.is_(None))
        yield _filtered(f"{column} in_", attribute.in_(values[:2]))
        yield _filtered(f"{column} negated", ~(attribute == values[0]))
        yield _filtered(
            f"{column} built",
            FilterBuilder(ConformanceValue).or_({column: values[0]}, {column: None}),
        )
        if column not in {"document", "items", "flag"}:
            yield _filtered(f"{column} between", attribute.between(values[0], values[-1]))


def _operands(operator: str, values: list[Any]) -> list[Any]:
    operator = SYNONYMS.get(operator, operator)
    if operator in {"in", "not_in"}:
        return [[], values[:1], values, [values[0], None], [None]]
    if operator == "between":
        return [(values[0], values[-1]), (values[-1], values[0]), (values[0], None)]
    if operator == "is_null":
        return [True, False]
    if operator == "eq" or not operator:
        return [*values, None]
    return [values[0], values[-1], None]


def _filtered(name: str, condition: Any) -> Case:
    async def ask(engine: AndamiosEngine) -> Any:
        return (
            await QueryBuilder(ConformanceValue, engine)
            .filter(condition)
            .only("id")
            .order_by("id")
            .execute()
        )

    return Case(name, ask)


# -- queries on tables


def _q(model: type[Any]) -> Callable[[AndamiosEngine], QueryBuilder[Any]]:
    return lambda engine: QueryBuilder(model, engine)


def _r(model: type[Any]) -> Callable[[AndamiosEngine], GenericRepository[Any]]:
    return GenericRepository[model]  # type: ignore[valid-type]


A, B, V = _q(ConformanceAuthor), _q(ConformanceBook), _q(ConformanceValue)
AUTHOR, BOOK, VALUE = ConformanceAuthor, ConformanceBook, ConformanceValue
ODD = _q(PlansOdd)
Younger = aliased(ConformanceAuthor)

QUERIES: dict[str, Callable[[AndamiosEngine], QueryBuilder[Any]]] = {
    "all": A,
    "values": lambda e: V(e).order_by("id"),
    "by name": lambda e: A(e).filter_by(name="Ana"),
    "by name, of none": lambda e: A(e).filter_by(name="Nobody"),
    "two conditions": lambda e: A(e).filter({"age__gte": 30, "city": "Lima"}).order_by("name"),
    "two filters": lambda e: A(e).filter({"age": 40}).filter(AUTHOR.city != "Lima"),
    "excluded": lambda e: A(e).exclude(AUTHOR.age == 40).order_by("id"),
    "ordered": lambda e: A(e).order_by("age", "-name"),
    "ordered by expression": lambda e: A(e).order_by(AUTHOR.age.desc().nulls_last(), AUTHOR.name),
    "ordered by function": lambda e: A(e).order_by(func.length(AUTHOR.name), "id"),
    "ordered by text": lambda e: A(e).order_by(sa.text("conformance_author.name DESC")),
    "limited": lambda e: A(e).order_by("id").limit(2),
    "limited to none": lambda e: A(e).order_by("id").limit(0),
    "sliced": lambda e: A(e).order_by("id").limit(2).offset(1),
    "offset": lambda e: A(e).order_by("id").offset(3),
    "offset beyond": lambda e: A(e).order_by("id").offset(30),
    "distinct": lambda e: A(e).distinct().order_by("id"),
    "joined": lambda e: A(e).join(AUTHOR.books).order_by("name"),
    "joined, limited": lambda e: A(e).join(AUTHOR.books).order_by("name").limit(1),
    "joined, ordered there": lambda e: A(e).join(AUTHOR.books).order_by(BOOK.price.desc()),
    "joined outside": lambda e: A(e).outerjoin(AUTHOR.books).order_by("id"),
    "joined to a model": lambda e: A(e).join(BOOK, BOOK.author_id == AUTHOR.id).order_by("id"),
    "joined with itself": lambda e: A(e).join(Younger, Younger.age < AUTHOR.age).order_by("id"),
    "joined in the condition": lambda e: A(e).filter(BOOK.author_id == AUTHOR.id).order_by("id"),
    "joined in the condition, limited": lambda e: (
        A(e).filter(BOOK.author_id == AUTHOR.id).order_by("id").limit(2)
    ),
    "joined in the order": lambda e: A(e).filter(BOOK.author_id == AUTHOR.id).order_by(BOOK.id),
    "joined without a condition": lambda e: A(e).filter(BOOK.pages > 5).order_by("id"),
    "joined to one": lambda e: (
        B(e).join(BOOK.author).filter(AUTHOR.age > 5).order_by(AUTHOR.age, "id")
    ),
    "having": lambda e: A(e).join(AUTHOR.books).having(func.count(BOOK.id) > 1),
    "along a relationship": lambda e: A(e).filter({"books.title__startswith": "S"}).order_by("id"),
    "along two": lambda e: A(e).filter({"books.author.city": "Cusco"}),
    "without children": lambda e: A(e).filter({"books__is_null": True}).order_by("id"),
    "by subquery": lambda e: A(e).filter(AUTHOR.id.in_(sa.select(BOOK.author_id))).order_by("id"),
    "by exists": lambda e: (
        A(e).filter(sa.exists().where(BOOK.author_id == AUTHOR.id)).order_by("id")
    ),
    "by text": lambda e: A(e).filter(sa.text("age > :least").bindparams(least=30)).order_by("id"),
    "by literal": lambda e: A(e).filter(AUTHOR.age + 1 > sa.literal(31)).order_by("id"),
    "by case": lambda e: (
        A(e).filter(sa.case((AUTHOR.age > 30, "x"), else_="y") == "x").order_by("id")
    ),
    "by cast": lambda e: A(e).filter(sa.cast(AUTHOR.age, sa.String(10)) == "40").order_by("id"),
    "by tuple": lambda e: A(e).filter(
        sa.tuple_(AUTHOR.name, AUTHOR.age).in_([("Ana", 40), ("x", 1)])
    ),
    "by false": lambda e: A(e).filter(sa.false()),
    "by true": lambda e: A(e).filter(sa.true()).order_by("id"),
    "by a named parameter": lambda e: A(e).filter(AUTHOR.name == sa.bindparam("who", "Ana")),
    "by one parameter twice": lambda e: A(e).filter(
        sa.or_(AUTHOR.name == (who := sa.bindparam("who", "Ana")), AUTHOR.city == who)
    ),
    "by two of one name": lambda e: (
        A(e).filter(AUTHOR.age > 1, AUTHOR.age < 40, AUTHOR.age != 7).order_by("id")
    ),
    "by names of slices": lambda e: (
        A(e)
        .filter(AUTHOR.name != sa.bindparam("limit", "x"), AUTHOR.age > sa.bindparam("offset", 1))
        .order_by("id")
        .limit(2)
        .offset(1)
    ),
    "of many": lambda e: A(e).filter({"id__in": list(range(1, 400))}).order_by("id"),
    "drafts": lambda e: _q(ConformanceDraft)(e).order_by("id"),
    "drafts, deleted too": lambda e: _q(ConformanceDraft)(e).include_deleted().order_by("id"),
    "drafts by remark": lambda e: (
        _q(ConformanceDraft)(e).filter({"remarks.text__contains": "r"}).order_by("id")
    ),
    "drafts joined": lambda e: (
        _q(ConformanceDraft)(e).join(ConformanceDraft.remarks).order_by("id")
    ),
    "remarks of drafts": lambda e: (
        _q(ConformanceRemark)(e).filter({"draft.title": "d0"}).order_by("id")
    ),
    "seats": lambda e: _q(ConformanceSeat)(e).order_by("-id"),
    "invoices": lambda e: _q(ConformanceInvoice)(e).order_by("id"),
    "parcels": lambda e: _q(ConformanceParcel)(e).order_by("content"),
    "places": lambda e: _q(ConformancePlace)(e).order_by("hall", "number"),
    "tickets": lambda e: _q(ConformanceTicket)(e).order_by("id"),
    "odd": lambda e: ODD(e).filter(PlansOdd.key != 2).order_by("key"),
    "odd, not readable": lambda e: ODD(e).order_by("key"),
    "odd by own type": lambda e: ODD(e).filter({"back": "abc"}),
    "odd by renamed": lambda e: ODD(e).filter(
        {"rows": 1, "name": "a", "shade": Shade.DARK, "level": "low"}
    ),
    "odd by synonym": lambda e: ODD(e).filter({"other_name": "a"}),
    "odd by hybrid": lambda e: ODD(e).filter(PlansOdd.loud == "A"),
    "odd by long text": lambda e: ODD(e).filter({"short": "longer than five"}),
    "odd by price": lambda e: ODD(e).filter({"price": D("1.50")}),
    "records": lambda e: _q(PlansRecord)(e).order_by("id"),
    "tagged": lambda e: _q(PlansTagged)(e).order_by("left", "right"),
    "tagged, deleted too": lambda e: _q(PlansTagged)(e).include_deleted().order_by("left", "right"),
    "computed": lambda e: _q(PlansComputed)(e).order_by("id"),
    "sized": lambda e: _q(PlansSized)(e).filter({"area": 6}),
    "deferred": _q(PlansDeferred),
    "files": lambda e: _q(PlansFile)(e).order_by("id"),
    "folders": _q(PlansFolder),
    "plain": lambda e: _q(PlansPlain)(e).order_by("id"),
    "cards": _q(PlansCard),
    "unknown field": lambda e: A(e).filter({"nmae": 1}),
    "unknown operator": lambda e: A(e).filter({"age__near": 1}),
    "unknown order": lambda e: A(e).order_by("nmae"),
    "refused by the server": lambda e: A(e).filter(sa.text("no_such_column = 1")),
    "refused function": lambda e: A(e).filter(func.no_such_function(AUTHOR.age) == 1),
    # rows
    "only": lambda e: A(e).only("name", "age").order_by("id"),
    "only one": lambda e: A(e).only("name").order_by("id"),
    "only attributes": lambda e: A(e).only(AUTHOR.id, AUTHOR.city).order_by("id"),
    "only an expression": lambda e: (
        A(e).only((AUTHOR.age + 1).label("next"), func.upper(AUTHOR.name)).order_by("id")
    ),
    "only of both": lambda e: A(e).join(AUTHOR.books).only("name", BOOK.title).order_by(BOOK.title),
    "only two of a name": lambda e: A(e).join(AUTHOR.books).only("id", BOOK.id).order_by(BOOK.id),
    "only one twice": lambda e: A(e).only("name", "name").order_by("id"),
    "only twice": lambda e: A(e).only("name").only("age").order_by("id"),
    "only a literal": lambda e: (
        A(e).only(sa.literal("x").label("x"), sa.literal(None), sa.literal(1.5)).limit(1)
    ),
    "only a parameter": lambda e: A(e).only((AUTHOR.age + 5).label("n")).order_by("id"),
    "only another": lambda e: A(e).only((AUTHOR.age + 6).label("n")).order_by("id"),
    "only the model": lambda e: A(e).only(AUTHOR).order_by("id"),
    "only the model and more": lambda e: (
        A(e).join(AUTHOR.books).only(AUTHOR, BOOK.title).order_by(BOOK.title)
    ),
    "only the aliased": lambda e: (
        A(e)
        .join(Younger, Younger.age < AUTHOR.age)
        .only("name", Younger.name)
        .order_by("id", Younger.id)
    ),
    "only a subquery": lambda e: (
        A(e)
        .only(
            "name",
            sa.select(func.count(BOOK.id))
            .where(BOOK.author_id == AUTHOR.id)
            .scalar_subquery()
            .label("books"),
        )
        .order_by("id")
    ),
    "only a window": lambda e: (
        A(e).only("name", func.row_number().over(order_by=AUTHOR.id).label("n")).order_by("id")
    ),
    "only, distinct": lambda e: A(e).only("city").distinct().order_by("city"),
    "only, sliced": lambda e: A(e).only("name").order_by("-name").limit(2).offset(1),
    "only of odd": lambda e: (
        ODD(e).only("key", "name", "shade", "level", "token", "price").order_by("key")
    ),
    "only of odd, more": lambda e: (
        ODD(e).only(PlansOdd.rows, PlansOdd.note, PlansOdd.seen).order_by("key")
    ),
    "only, not readable": lambda e: ODD(e).only("back").order_by("key"),
    "only a hybrid": lambda e: ODD(e).only(PlansOdd.loud).order_by("key"),
    "only a synonym": lambda e: ODD(e).only("other_name").order_by("key"),
    "only inside": lambda e: V(e).only(VALUE.document["a"].as_integer()).order_by("id"),
    "only of computed": lambda e: _q(PlansComputed)(e).only("a", "b", "both").order_by("id"),
    "only of sized": lambda e: _q(PlansSized)(e).only("area"),
    "only of deferred": lambda e: _q(PlansDeferred)(e).only("name", "body"),
    "only of folders": lambda e: _q(PlansFolder)(e).only("path", "size"),
    "only of drafts": lambda e: (
        _q(ConformanceDraft)(e)
        .join(ConformanceDraft.remarks)
        .only("title", ConformanceRemark.text)
        .order_by(ConformanceRemark.id)
    ),
    "count of all": lambda e: A(e).aggregate(rows=func.count(), ages=func.count(AUTHOR.age)),
    "sums": lambda e: A(e).aggregate(
        total=func.sum(AUTHOR.age), mean=func.avg(AUTHOR.age), least=func.min(AUTHOR.age)
    ),
    "sums of none": lambda e: A(e).filter_by(age=1).aggregate(total=func.sum(AUTHOR.age)),
    "sums of values": lambda e: V(e).aggregate(
        a=func.sum(VALUE.amount),
        b=func.sum(VALUE.exact),
        c=func.max(VALUE.ratio),
        d=func.sum(VALUE.span),
        e=func.min(VALUE.moment),
        f=func.max(VALUE.day),
        g=func.min(VALUE.clock),
    ),
    "grouped": lambda e: A(e).group_by("city").aggregate(n=func.count()).order_by("city"),
    "grouped by two": lambda e: (
        A(e).group_by("city", "age").aggregate(n=func.count()).order_by("city", "age")
    ),
    "grouped, ordered by it": lambda e: (
        A(e).group_by("age").aggregate(n=func.count()).order_by("-n", "age")
    ),
    "grouped, alone": lambda e: A(e).group_by("city").order_by("city"),
    "grouped, having": lambda e: A(e).group_by("city").having(func.count() > 1),
    "grouped, having more": lambda e: A(e).group_by("city").having(func.count() > 5),
    "grouped, joined": lambda e: (
        A(e)
        .join(AUTHOR.books)
        .group_by("name")
        .aggregate(books=func.count(), price=func.sum(BOOK.price))
        .order_by("-books", "name")
    ),
    "grouped, sliced": lambda e: (
        A(e).group_by("age").aggregate(n=func.count()).order_by("age").limit(1).offset(1)
    ),
    "grouped by enum": lambda e: (
        V(e).group_by("colour").aggregate(n=func.count()).order_by("n", "colour")
    ),
}

LONG = {
    *(
        "odd, not readable",
        "deferred",
        "files",
        "folders",
    ),
    *("joined in the condition", "joined in the condition, limited", "joined in the order"),
    *("joined with itself", "only the aliased"),
}
"""What SQLAlchemy has to do: it makes more of a row than its columns say, or says no better."""

EITHER = {
    *("only the model", "only the model and more"),  # outside of sessions
    "joined without a condition",
    "unknown field",
    "unknown operator",
    "unknown order",
    "of many",
    "sized",
    "odd, not readable",
    "only, not readable",
}

DEEP = {
    *("all", "by name", "values", "ordered", "joined", "drafts", "drafts, deleted too", "seats"),
    *("invoices", "parcels", "places", "tickets", "odd", "records", "tagged", "computed", "sized"),
    *("plain", "cards", "deferred", "folders", "joined in the condition", "limited to none"),
}

ENDS: dict[str, Callable[[QueryBuilder[Any]], Awaitable[Any]]] = {
    "execute": lambda q: q.execute(),
    "first": lambda q: q.first(),
    "one": lambda q: q.one(),
    "one_or_none": lambda q: q.one_or_none(),
    "scalar": lambda q: q.scalar(),
    "count": lambda q: q.count(),
    "exists": lambda q: q.exists(),
    "as_dicts": lambda q: q.as_dicts(),
}

RARE = {"one", "one_or_none", "scalar"}
"""Ends that are much like others, and wait for the night."""

CALLS: dict[str, Ask] = {
    "get_by_id": lambda e: _r(AUTHOR)(e).get_by_id(1),
    "get_by_id of none": lambda e: _r(AUTHOR)(e).get_by_id(99),
    "get_by_id of a wrong key": lambda e: _r(AUTHOR)(e).get_by_id("1"),
    "get_by_id of a large key": lambda e: _r(AUTHOR)(e).get_by_id(2**63 - 1),
    "get_by_id of two parts": lambda e: _r(ConformancePlace)(e).get_by_id(("A", 1)),
    "get_by_id of one part": lambda e: _r(ConformancePlace)(e).get_by_id("A"),
    "get_by_id of a deleted": lambda e: _r(ConformanceDraft)(e).get_by_id(3),
    "get_by_id of a kept": lambda e: _r(ConformanceDraft)(e).get_by_id(1),
    "get_by_id of a uuid": lambda e: _r(ConformanceParcel)(e).get_by_id(uuid.UUID(int=1)),
    "get_by_id of an odd": lambda e: _r(PlansOdd)(e).get_by_id(1),
    "get_by_id of an unreadable": lambda e: _r(PlansOdd)(e).get_by_id(2),
    "get_by_id of a folder": lambda e: _r(PlansFolder)(e).get_by_id(2),
    "get_by_id of a plain": lambda e: _r(PlansPlain)(e).get_by_id(1),
    "get_by_id of a switch": lambda e: _r(PlansSwitch)(e).get_by_id((True, 1)),
    "get_by_id of another switch": lambda e: _r(PlansSwitch)(e).get_by_id((False, 1)),
    "get_many of switches": lambda e: _r(PlansSwitch)(e).get_many([(False, 1), (True, 1)]),
    "get_by_id of a record": lambda e: _r(PlansRecord)(e).get_by_id(1),
    "get_by_id with books": lambda e: _r(AUTHOR)(e).get_by_id(1, load=AUTHOR.books),
    "get_one": lambda e: _r(AUTHOR)(e).get_one(2),
    "get_one of none": lambda e: _r(AUTHOR)(e).get_one(99),
    "get_many": lambda e: _r(AUTHOR)(e).get_many([3, 1, 99, 1]),
    "get_many of none": lambda e: _r(AUTHOR)(e).get_many([]),
    "get_many of two parts": lambda e: _r(ConformancePlace)(e).get_many(
        [("B", 1), ("A", 0), ("C", 0)]
    ),
    "get_many with books": lambda e: _r(AUTHOR)(e).get_many([1, 2], load=[AUTHOR.books]),
    "find_one": lambda e: _r(AUTHOR)(e).find_one({"name": "Beto"}),
    "find_one of none": lambda e: _r(AUTHOR)(e).find_one({"name": "Nobody"}),
    "find_one of several": lambda e: _r(AUTHOR)(e).find_one({"age": 40}),
    "list": lambda e: _r(AUTHOR)(e).list(),
    "list with all": lambda e: _r(AUTHOR)(e).list({"age__gt": 1}, order_by=["-age", "id"], limit=3),
    "list with books": lambda e: _r(AUTHOR)(e).list(order_by="id", load=AUTHOR.books),
    "list with profiles": lambda e: _r(AUTHOR)(e).list(
        order_by="id", load=[AUTHOR.books, AUTHOR.profile]
    ),
    "list with authors": lambda e: _r(BOOK)(e).list(order_by="id", load=BOOK.author),
    "list with both": lambda e: A(e).load(AUTHOR.books, BOOK.author).order_by("id").execute(),
    "list joined with books": lambda e: (
        A(e).load(AUTHOR.books, strategy="joined").order_by("id").execute()
    ),
    "list with remarks": lambda e: _r(ConformanceDraft)(e).list(
        order_by="id", load=ConformanceDraft.remarks
    ),
    "count": lambda e: _r(AUTHOR)(e).count({"age": 40}),
    "exists": lambda e: _r(AUTHOR)(e).exists({"age": 41}),
    "page": lambda e: _page(A(e).order_by("id").page(2, 2)),
    "page_after": lambda e: _page(A(e).order_by("id").page_after(None, 2)),
    "for_update": lambda e: A(e).for_update().execute(),
    "stream": lambda e: _streamed(A(e).order_by("id")),
}

LONG_CALLS = {"get_by_id of a folder", "page", "page_after", "for_update"}


async def _page(found: Awaitable[Any]) -> Any:
    page = await found
    return page.items, getattr(page, "total", None)


async def _streamed(query: QueryBuilder[Any]) -> list[Any]:
    return [item async for item in query.stream(2)]


def read_cases() -> Iterator[Case]:
    """Give each query with each of its ends, and the reading methods of a repository."""
    for name, query in QUERIES.items():
        for end, work in ENDS.items():
            if end in RARE and not is_night():
                continue
            way: Way = "either" if name in EITHER | LONG else "short"
            if name in LONG - EITHER and end == "execute":
                way = "long"
            yield Case(
                f"{name}: {end}", _ended(query, work), way, name in DEEP and end == "execute"
            )
    for name, ask in CALLS.items():
        way = "long" if name in LONG_CALLS else "either"
        yield Case(name, ask, way, is_deep=True)


def _ended(
    query: Callable[[AndamiosEngine], QueryBuilder[Any]],
    work: Callable[[QueryBuilder[Any]], Awaitable[Any]],
) -> Ask:
    async def ask(engine: AndamiosEngine) -> Any:
        return await work(query(engine))

    return ask


READS = {"filters": filter_cases, "queries": read_cases}
