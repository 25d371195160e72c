"""Queries by name: orders, slices, joins, groups and shapes, on tables of every kind."""

import decimal
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func
from sqlalchemy.orm import aliased

from andamios import AndamiosEngine, QueryBuilder
from harness.conformance.models import (
    ConformanceAuthor,
    ConformanceBook,
    ConformanceDraft,
    ConformanceInvoice,
    ConformanceParcel,
    ConformancePlace,
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
    PlansTagged,
    Shade,
)

__all__ = ["DEEP", "EITHER", "LONG", "QUERIES"]

D = decimal.Decimal


def _q(model: type[Any]) -> Callable[[AndamiosEngine], QueryBuilder[Any]]:
    return lambda engine: QueryBuilder(model, engine)


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
    "partial": lambda e: _q(PlansPartial)(e).filter({"name": "p"}),
    "numbered": lambda e: _q(PlansNumbered)(e).filter({"key__gt": 5}).order_by("key"),
    "numbered, larger": lambda e: _q(PlansNumbered)(e).filter({"key__gt": 2**35}).order_by("key"),
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
    "only another model": lambda e: B(e).join(BOOK.author).only(AUTHOR).order_by(BOOK.id),
    "only another model, outside": lambda e: (
        A(e).outerjoin(AUTHOR.books).only(BOOK).order_by("id", BOOK.id)
    ),
    "only another model and more": lambda e: (
        A(e).outerjoin(AUTHOR.books).only(BOOK, "name").order_by("id", BOOK.id)
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
    *("only another model", "only another model, outside", "only another model and more"),
    *("partial", "numbered", "numbered, larger"),
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
