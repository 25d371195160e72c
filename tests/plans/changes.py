"""What is written both ways, on databases that are equal before and have to be equal after."""

import datetime as dt
import decimal
import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from harness.conformance.histories_models import ConformanceContract, ConformanceLetter
from harness.conformance.models import (
    ConformanceAuthor,
    ConformanceBook,
    ConformanceDraft,
    ConformanceInvoice,
    ConformanceParcel,
    ConformancePlace,
    ConformanceProfile,
    ConformanceSeat,
    ConformanceTicket,
    ConformanceValue,
)
from tests.plans import stories
from tests.plans.cases import Ask, Case, Way, is_night
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
from tests.plans.storing import created, deleted, setting, updated
from tests.plans.values import VALUES, WRONG

__all__ = ["CHANGES"]

D = decimal.Decimal


# -- each value of each column, created and set


def value_cases() -> Iterator[Case]:
    """Give each value of each column, right and wrong ones, in a new row and in one that is."""
    for column, values in VALUES.items():
        for number, value in enumerate([*values, None]):
            made = created(lambda c=column, v=value: ConformanceValue(**{c: v}))
            yield Case(f"create {column} #{number}", made)
            before = values[(number + 1) % len(values)]
            make = lambda c=column, b=before: ConformanceValue(**{c: b})  # noqa: E731
            way: Way = "either" if value == before else "short"
            yield Case(f"update {column} #{number}", updated(make, setting(**{column: value})), way)
    for column, wrong in _wrong():
        create = created(lambda c=column, w=wrong: ConformanceValue(**{c: w}))
        update = updated(lambda: ConformanceValue(label="x"), setting(**{column: wrong}))
        yield Case(f"create {column} of {wrong!r:.20}", create, "either")
        yield Case(f"update {column} to {wrong!r:.20}", update, "either")


def _wrong() -> Iterator[tuple[str, Any]]:
    """Give columns with values that are wrong for most: two each, or all of them at night."""
    whole = itertools.cycle(WRONG)
    for column in VALUES:
        yield from (
            (column, value) for value in itertools.islice(whole, len(WRONG) if is_night() else 2)
        )
        next(whole)  # so that neighbours get others


# -- models of each kind


def _all(**others: Any) -> dict[str, Any]:
    return {name: values[0] for name, values in VALUES.items()} | others


def _backwards(entity: Any) -> None:
    before = entity.name
    entity.name = "other"
    entity.name = before


def _without(entity: Any) -> None:
    del entity.age


def _mutated(entity: Any) -> None:
    entity.note["new"] = 1


WRITES: dict[str, Ask] = {
    "create of nothing": created(ConformanceValue),
    "create of everything": created(lambda: ConformanceValue(**_all())),
    "create of Nones": created(lambda: ConformanceValue(**dict.fromkeys(VALUES))),
    "create with a key": created(lambda: ConformanceValue(id=5000)),
    "create with a key of None": created(lambda: ConformanceValue(id=None)),
    "create after a key": created(lambda: ConformanceValue(label="after")),
    "create an author": created(lambda: ConformanceAuthor(name="n")),
    "create without a name": created(lambda: ConformanceAuthor(age=1)),
    "create with no books": created(lambda: ConformanceAuthor(name="n", books=[])),
    "create without a profile": created(lambda: ConformanceAuthor(name="n", profile=None)),
    "create with books": created(
        lambda: ConformanceAuthor(name="n", books=[ConformanceBook(title="t")])
    ),
    "create by a parent": created(lambda: ConformanceProfile(author=ConformanceAuthor(name="p"))),
    "create of none's": created(lambda: ConformanceBook(title="t", author_id=99999)),
    "create a ticket": created(lambda: ConformanceTicket(code="first")),
    "create a duplicate": created(lambda: ConformanceTicket(code="first")),
    "create a pair": created(lambda: ConformanceTicket(train="a", number=1)),
    "create a pair again": created(lambda: ConformanceTicket(train="a", number=1)),
    "create a taken key": created(lambda: ConformanceTicket(id=1)),
    "create against a check": created(lambda: ConformanceTicket(seats=0)),
    "create with a missing parent": created(lambda: ConformanceTicket(parent_id=-1)),
    "create with an explicit None": created(lambda: ConformanceTicket(holder=None, seats=None)),
    "create a seat": created(lambda: ConformanceSeat(holder="h")),
    "create with a version": created(lambda: ConformanceSeat(holder="h", version=7)),
    "create an invoice": created(lambda: ConformanceInvoice(total=1)),
    "create a parcel": created(lambda: ConformanceParcel(content="c")),
    "create a parcel with a key": created(
        lambda: ConformanceParcel(id=uuid.UUID(int=3), content="c")
    ),
    "create a place": created(lambda: ConformancePlace(hall="x", number=1)),
    "create a place again": created(lambda: ConformancePlace(hall="x", number=1)),
    "create a place without a number": created(lambda: ConformancePlace(hall="x")),
    "create a draft": created(lambda: ConformanceDraft(title="d")),
    "create a deleted draft": created(
        lambda: ConformanceDraft(title="d", deleted_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    ),
    "create with history": created(lambda: ConformanceContract(title="t")),
    "create with hooks": created(lambda: ConformanceLetter(text=" t ")),
    "create an odd": created(lambda: PlansOdd(rows=1, level="low", price=D("1.005"))),
    "create an odd of Nones": created(
        lambda: PlansOdd(name=None, shade=None, note=None, token=None)
    ),
    "create an odd with a key": created(lambda: PlansOdd(key=777, back="abc")),
    "create an odd of no level": created(lambda: PlansOdd(level="middle")),
    "create an odd too long": created(lambda: PlansOdd(short="longer than five")),
    "create an odd too large": created(lambda: PlansOdd(price=D(100000))),
    "create an odd of SQL": created(lambda: PlansOdd(rows=sa.literal(1) + 1)),
    "create a record": created(lambda: PlansRecord(title="r1")),
    "create a record again": created(lambda: PlansRecord(title="r1")),
    "create a tagged": created(lambda: PlansTagged(left="l", right=1, weight=0.5)),
    "create a tagged again": created(lambda: PlansTagged(left="l", right=1)),
    "create a computed": created(lambda: PlansComputed(a=1)),
    "create a computed with b": created(lambda: PlansComputed(a=1, b=2)),
    "create a sized": created(lambda: PlansSized(width=2, height=2)),
    "create a deferred": created(lambda: PlansDeferred(name="d", body="b")),
    "create a file": created(lambda: PlansFile(path="p")),
    "create a folder": created(lambda: PlansFolder(path="p", size=1)),
    "create a plain": created(lambda: PlansPlain(name="p")),
    "create a card": created(lambda: PlansCard(name="c")),
    "create a partial": created(lambda: PlansPartial(name="p")),
    "create a partial of nothing": created(PlansPartial),
    "create a numbered": created(lambda: PlansNumbered(key=7)),
    "create a large numbered": created(lambda: PlansNumbered(key=2**41)),
    "update a partial": updated(lambda: PlansPartial(name="p"), setting(name="q")),
    "update a numbered": updated(lambda: PlansNumbered(key=8), setting(label="x")),
    "update a large numbered": updated(lambda: PlansNumbered(key=2**42), setting(label="x")),
    "delete a partial": deleted(lambda: PlansPartial(name="d")),
    "delete a numbered": deleted(lambda: PlansNumbered(key=9)),
    "delete a large numbered": deleted(lambda: PlansNumbered(key=2**43)),
    "update nothing": updated(lambda: ConformanceAuthor(name="n"), setting()),
    "update to the same": updated(lambda: ConformanceAuthor(name="n"), setting(name="n")),
    "update there and back": updated(lambda: ConformanceAuthor(name="n"), _backwards),
    "update a name": updated(lambda: ConformanceAuthor(name="n"), setting(name="m")),
    "update two": updated(lambda: ConformanceAuthor(name="n"), setting(age=1, city="c")),
    "update to None": updated(lambda: ConformanceAuthor(name="n"), setting(name=None)),
    "update as created": updated(
        lambda: ConformanceAuthor(name="n"), setting(name="m"), from_read=False
    ),
    "update without": updated(lambda: ConformanceAuthor(name="n", age=1), _without),
    "update by a new one": updated(
        lambda: ConformanceAuthor(name="n", age=1),
        lambda e: ConformanceAuthor(id=e.id, city="by key"),
    ),
    "update by books": updated(
        lambda: ConformanceBook(title="t", author=ConformanceAuthor(name="a")), setting(pages=2)
    ),
    "update by a parent": updated(
        lambda: ConformanceBook(title="t", author=ConformanceAuthor(name="a")),
        lambda book: setattr(book, "author", ConformanceAuthor(name="new")),
    ),
    "update of SQL": updated(
        lambda: ConformanceAuthor(name="n", age=1), setting(age=ConformanceAuthor.age + 1)
    ),
    "update against a check": updated(lambda: ConformanceTicket(code="c1"), setting(seats=-1)),
    "update to no parent": updated(lambda: ConformanceTicket(code="c2"), setting(parent_id=-1)),
    "update a seat": updated(lambda: ConformanceSeat(holder="h"), setting(holder="i")),
    "update a version": updated(lambda: ConformanceSeat(holder="h"), setting(version=9)),
    "update a version too": updated(
        lambda: ConformanceSeat(holder="h"), setting(version=1, holder="k")
    ),
    "update a version to None": updated(
        lambda: ConformanceSeat(holder="h"), setting(version=None, holder="k")
    ),
    "update an invoice": updated(lambda: ConformanceInvoice(total=1), setting(total=2)),
    "update a stamp": updated(
        lambda: ConformanceInvoice(total=1),
        setting(updated_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
    ),
    "update a parcel": updated(lambda: ConformanceParcel(content="c"), setting(content="d")),
    "update a place": updated(lambda: ConformancePlace(hall="y", number=1), setting(guest="g")),
    "update a draft": updated(lambda: ConformanceDraft(title="d"), setting(title="e")),
    "update with history": updated(lambda: ConformanceContract(title="t"), setting(price=1)),
    "update with hooks": updated(lambda: ConformanceLetter(text="t"), setting(text=" u ")),
    "update an odd": updated(
        lambda: PlansOdd(rows=1),
        setting(name="m", rows=2, shade=Shade.LIGHT, level="high", token=uuid.UUID(int=9)),
    ),
    "update an odd to None": updated(
        lambda: PlansOdd(rows=1, note={"a": 1}), setting(rows=None, shade=None, note=None)
    ),
    "update an odd in place": updated(lambda: PlansOdd(note={"a": 1}), _mutated),
    "update an odd type": updated(lambda: PlansOdd(back="ab"), setting(back="cd")),
    "update an odd price": updated(lambda: PlansOdd(price=D("1.50")), setting(price=D("1.5"))),
    "update an odd too long": updated(PlansOdd, setting(short="longer than five")),
    "update a record": updated(lambda: PlansRecord(title="u"), setting(text="t")),
    "update a tagged": updated(lambda: PlansTagged(left="u", right=1), setting(weight=1.5)),
    "update a computed": updated(lambda: PlansComputed(a=1), setting(a=2)),
    "update a sized": updated(lambda: PlansSized(width=1, height=1), setting(width=5)),
    "update a deferred": updated(lambda: PlansDeferred(name="d"), setting(name="e")),
    "update a deferred one": updated(lambda: PlansDeferred(name="d"), setting(body="e")),
    "update a folder": updated(lambda: PlansFolder(path="p", size=1), setting(size=2)),
    "update a plain": updated(lambda: PlansPlain(name="p"), setting(name="q")),
    "update a card": updated(lambda: PlansCard(name="c"), setting(size=4)),
    "delete a value": deleted(lambda: ConformanceValue(label="d")),
    "delete by a wrong key": deleted(ConformanceValue, lambda _: "x"),
    "delete a place": deleted(lambda: ConformancePlace(hall="z", number=1)),
    "delete by a part": deleted(lambda: ConformancePlace(hall="z", number=2), lambda _: "z"),
    "delete a parcel": deleted(lambda: ConformanceParcel(content="c")),
    "delete a draft": deleted(lambda: ConformanceDraft(title="d")),
    "delete a seat": deleted(lambda: ConformanceSeat(holder="d")),
    "delete a tagged": deleted(lambda: PlansTagged(left="d", right=1)),
    "delete a record": deleted(lambda: PlansRecord(title="d")),
    "delete an odd": deleted(PlansOdd),
    "delete a plain": deleted(lambda: PlansPlain(name="d")),
    "delete a folder": deleted(lambda: PlansFolder(path="d")),
    "delete with history": deleted(lambda: ConformanceContract(title="t")),
    "delete with hooks": deleted(lambda: ConformanceLetter(text="t")),
    "delete an author": deleted(lambda: ConformanceAuthor(name="d")),
    "stale versions": stories.stale,
    "a row that is gone": stories.gone,
    "refused, then right": stories.refused_then_right,
    "twice": stories.twice,
    "of a session": stories.of_a_session,
    "of another model": stories.wrong_model,
    "by a clone": stories.by_clone,
    "expired": stories.expired,
    "acting": stories.acting,
    "a key that moves": stories.key_moved,
    "softly": stories.softly,
    "referred to": stories.referred,
    "a parent that goes": stories.author_goes,
}

LONG = {
    "create with books",
    "create by a parent",
    "create with history",
    "create with hooks",
    "create an odd of SQL",
    "create a sized",
    "create a file",
    "create a folder",
    "create a card",
    "update by a parent",
    "update of SQL",
    "update with history",
    "update with hooks",
    "update a sized",
    "update a folder",
    "delete a draft",
    "delete a tagged",
    "delete a folder",
    "delete with history",
    "delete with hooks",
    "delete an author",
}
"""What SQLAlchemy has to do."""

EITHER = {
    *("create a partial", "create a partial of nothing", "update a partial", "delete a partial"),
    *("create a numbered", "update a numbered", "delete a numbered"),
    *("create a large numbered", "update a large numbered", "delete a large numbered"),
    "create with a key of None",
    "create with no books",
    "create without a profile",
    "create a place without a number",
    "create an odd of no level",
    "create an odd too long",
    "create an odd too large",
    "create a computed",
    "create a computed with b",
    "create a deferred",
    "update nothing",
    "update to the same",
    "update there and back",
    "update without",
    "update by a new one",
    "update a version",
    "update a version too",
    "update a version to None",
    "update a draft",
    "update an odd in place",
    "update an odd price",
    "update an odd too long",
    "update a tagged",
    "update a computed",
    "update a deferred",
    "update a deferred one",
    "update a card",
    "delete by a wrong key",
    "delete by a part",
    "of a session",
    "of another model",
    "expired",
    "a key that moves",
    "softly",
    "a parent that goes",
}
"""What may take any way: it is refused before, or a database has its own."""


def write_cases() -> Iterator[Case]:
    """Give writes of models of each kind."""
    assert LONG | EITHER <= WRITES.keys()
    for name, ask in WRITES.items():
        way: Way = "long" if name in LONG else "either" if name in EITHER else "short"
        yield Case(name, ask, way)


CHANGES = {"values": value_cases, "models": write_cases}
