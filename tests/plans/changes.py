"""
What is written both ways, on databases that are equal before and have to be equal after.

Each case gives what it wrote, the same read back by a session, and whatever a caller still holds:
an object whose write was refused is looked at too.
"""

import datetime as dt
import decimal
import itertools
import pickle
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import sqlalchemy as sa

from andamios import AndamiosEngine, GenericRepository
from andamios.models.actor import acting_as
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
from tests.plans.corpus import VALUES, WRONG, Ask, Case, Way, is_night
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
    PlansTagged,
    Shade,
)
from tests.plans.portraits import portrait

__all__ = ["CHANGES", "value_cases", "write_cases"]

D = decimal.Decimal
Make = Callable[[], Any]
Change = Callable[[Any], Any]


def _repository(engine: AndamiosEngine, entity: Any) -> GenericRepository[Any]:
    return GenericRepository[type(entity)](engine)  # type: ignore[misc]


async def _again(engine: AndamiosEngine, entity: Any) -> Any:
    """Read an object again, through a session, with SQLAlchemy's own query."""
    model = type(entity)
    key = sa.inspect(entity).identity
    async with engine.session(read_only=True) as session:
        found = await session.get(model, key, execution_options={"include_deleted": True})
        return portrait(found)


async def _tried(work: Awaitable[Any], *kept: Any) -> Any:
    """Wait for something, and show what it gave or raised, and what is left of some objects."""
    try:
        given = await work
    except Exception as error:  # noqa: BLE001  that is what is compared
        given = error
    return [given, *kept]


def _created(make: Make) -> Ask:
    async def ask(engine: AndamiosEngine) -> Any:
        entity = make()
        shown = await _tried(_repository(engine, entity).create(entity), entity)
        if isinstance(shown[0], Exception):
            return shown
        return [*shown, shown[0] is entity, await _again(engine, entity)]

    return ask


def _updated(make: Make, change: Change, *, from_read: bool = True) -> Ask:
    """Store something by a session, read it as the engine does, change it and store that."""

    async def ask(engine: AndamiosEngine) -> Any:
        entity = make()
        async with engine.session() as session:
            session.add(entity)
        model, key = type(entity), sa.inspect(entity).identity
        repository = _repository(engine, entity)
        if from_read:
            entity = await repository.get_one(key[0] if len(key) == 1 else tuple(key))
        entity = change(entity) or entity
        shown = await _tried(repository.update(entity), entity)
        async with engine.session(read_only=True) as session:
            row = await session.get(model, key, execution_options={"include_deleted": True})
            shown += [portrait(row), shown[0] is entity]
        return shown

    return ask


def _set(**values: Any) -> Change:
    def change(entity: Any) -> None:
        for name, value in values.items():
            setattr(entity, name, value)

    return change


def _deleted(make: Make, key: Callable[[Any], Any] | None = None) -> Ask:
    async def ask(engine: AndamiosEngine) -> Any:
        entity = make()
        async with engine.session() as session:
            session.add(entity)
        identity = tuple(sa.inspect(entity).identity)
        given = identity[0] if len(identity) == 1 else identity
        given = key(given) if key is not None else given
        repository = _repository(engine, entity)
        first = await _tried(repository.delete(given))
        return [*first, *await _tried(repository.delete(given)), await _again(engine, entity)]

    return ask


# -- each value of each column, created and set


def value_cases() -> Iterator[Case]:
    """Give each value of each column, right and wrong ones, in a new row and in one that is."""
    for column, values in VALUES.items():
        for number, value in enumerate([*values, None]):
            made = _created(lambda c=column, v=value: ConformanceValue(**{c: v}))
            yield Case(f"create {column} #{number}", made)
            before = values[(number + 1) % len(values)]
            make = lambda c=column, b=before: ConformanceValue(**{c: b})  # noqa: E731
            way: Way = "either" if value == before else "short"
            yield Case(f"update {column} #{number}", _updated(make, _set(**{column: value})), way)
    for column, wrong in _wrong():
        create = _created(lambda c=column, w=wrong: ConformanceValue(**{c: w}))
        update = _updated(lambda: ConformanceValue(label="x"), _set(**{column: wrong}))
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


async def _stale(engine: AndamiosEngine) -> Any:
    seats = GenericRepository[ConformanceSeat](engine)
    seat = await seats.create(ConformanceSeat(holder="a"))
    first, second = await seats.get_one(seat.id), await seats.get_one(seat.id)
    first.holder, second.holder = "b", "c"
    shown = [await seats.update(first), *await _tried(seats.update(second), second)]
    second.version = 2
    shown += await _tried(seats.update(second), second)
    first.holder = "d"
    shown += await _tried(seats.update(first), first)
    await seats.delete(seat.id)
    first.holder = "e"
    return [*shown, *await _tried(seats.update(first), first)]


async def _gone(engine: AndamiosEngine) -> Any:
    places = GenericRepository[ConformancePlace](engine)
    place = await places.create(ConformancePlace(hall="gone", number=1))
    await places.delete(("gone", 1))
    place.guest = "x"
    return await _tried(places.update(place), place)


async def _refused_then_right(engine: AndamiosEngine) -> Any:
    tickets = GenericRepository[ConformanceTicket](engine)
    await tickets.create(ConformanceTicket(code="taken"))
    # With every column: after a refused write SQLAlchemy reads again what it had not read.
    unset = dict.fromkeys(["train", "number", "parent_id"])
    ticket = await tickets.create(ConformanceTicket(code="mine", **unset))
    ticket.code, ticket.seats = "taken", 5
    shown = await _tried(tickets.update(ticket), ticket)
    shown = [portrait(shown)]
    ticket.code = "free"
    shown += await _tried(tickets.update(ticket), ticket)
    new = ConformanceTicket(code="taken", holder="x")
    shown += [portrait(await _tried(tickets.create(new), new))]
    new.code = "new"
    return [*shown, *await _tried(tickets.create(new), new)]


async def _twice(engine: AndamiosEngine) -> Any:
    authors = GenericRepository[ConformanceAuthor](engine)
    author = await authors.create(ConformanceAuthor(name="twice"))
    shown = await _tried(authors.create(author), author)
    author.age = 1
    shown += [portrait(await _tried(authors.update(author), author))]
    author.age = 2
    author.city = "x"
    return [*shown, *await _tried(authors.update(author), author)]


async def _of_a_session(engine: AndamiosEngine) -> Any:
    authors = GenericRepository[ConformanceAuthor](engine)
    async with engine.session() as session:
        author = ConformanceAuthor(name="of a session")
        session.add(author)
        await session.flush()
        author.age = 3
        shown = [portrait(await _tried(authors.update(author), author))]
        waiting = ConformanceAuthor(name="waiting")
        session.add(waiting)
        shown += [portrait(await _tried(authors.create(waiting), waiting))]
        await session.rollback()
    return shown


async def _wrong_model(engine: AndamiosEngine) -> Any:
    authors = GenericRepository[ConformanceAuthor](engine)
    book: Any = ConformanceBook(title="x")
    return [*await _tried(authors.create(book)), *await _tried(authors.update(book))]


async def _by_clone(engine: AndamiosEngine) -> Any:
    authors = GenericRepository[ConformanceAuthor](engine)
    author = await authors.create(ConformanceAuthor(name="cloned", age=1, city="x"))
    read = await authors.get_one(author.id)
    clone = pickle.loads(pickle.dumps(read))
    clone.age = 2
    shown = await _tried(authors.update(clone), clone)
    changed = await authors.get_one(author.id)
    changed.age = 3
    later = pickle.loads(pickle.dumps(changed))
    shown += await _tried(authors.update(later), later)
    return [*shown, await _again(engine, author)]


async def _expired(engine: AndamiosEngine) -> Any:
    authors = GenericRepository[ConformanceAuthor](engine)
    async with engine.session() as session:
        author = ConformanceAuthor(name="expired", age=1)
        session.add(author)
        await session.flush()
        session.expire(author, ["age"])
    author.city = "x"
    shown = [portrait(await _tried(authors.update(author), author))]
    author.age = 5
    return [*shown, *await _tried(authors.update(author), author), await _again(engine, author)]


async def _acting(engine: AndamiosEngine) -> Any:
    records = GenericRepository[PlansRecord](engine)
    with acting_as("ana"):
        record = await records.create(PlansRecord(title="acted"))
    shown = [portrait(record)]
    with acting_as("beto"):
        record.text = "x"
        record = await records.update(record)
    before = record.updated_at
    record.text = "y"
    record = await records.update(record)
    return [*shown, record, record.updated_at > before, record.created_at < before]


async def _key_moved(engine: AndamiosEngine) -> Any:
    places = GenericRepository[ConformancePlace](engine)
    place = await places.create(ConformancePlace(hall="moved", number=1, guest="g"))
    place.number = 2
    shown = await _tried(places.update(place), place)
    return [*shown, await _again(engine, place)]


async def _softly(engine: AndamiosEngine) -> Any:
    drafts = GenericRepository[ConformanceDraft](engine)
    draft = await drafts.create(ConformanceDraft(title="soft"))
    kept = await drafts.get_one(draft.id)
    shown = [await drafts.delete(draft.id), await drafts.get_by_id(draft.id)]
    kept.title = "changed"
    shown += await _tried(drafts.update(kept), kept)
    shown += [await drafts.restore(draft.id), await drafts.hard_delete(draft.id)]
    return [*shown, await drafts.query().include_deleted().filter_by(id=draft.id).first()]


async def _referred(engine: AndamiosEngine) -> Any:
    tickets = GenericRepository[ConformanceTicket](engine)
    parent = await tickets.create(ConformanceTicket(code="parent"))
    child = await tickets.create(ConformanceTicket(parent_id=parent.id))
    shown = await _tried(tickets.delete(parent.id))
    return [*shown, await tickets.delete(child.id), await tickets.delete(parent.id)]


async def _author_goes(engine: AndamiosEngine) -> Any:
    authors = GenericRepository[ConformanceAuthor](engine)
    author = await authors.create(
        ConformanceAuthor(name="goes", books=[ConformanceBook(title="x")])
    )
    return await _tried(authors.delete(author.id))


WRITES: dict[str, tuple[Ask, str]] = {
    "create of nothing": (_created(ConformanceValue), "short"),
    "create of everything": (_created(lambda: ConformanceValue(**_all())), "short"),
    "create of Nones": (_created(lambda: ConformanceValue(**dict.fromkeys(VALUES))), "short"),
    "create with a key": (_created(lambda: ConformanceValue(id=5000)), "short"),
    "create with a key of None": (_created(lambda: ConformanceValue(id=None)), "either"),
    "create after a key": (_created(lambda: ConformanceValue(label="after")), "short"),
    "create an author": (_created(lambda: ConformanceAuthor(name="n")), "short"),
    "create without a name": (_created(lambda: ConformanceAuthor(age=1)), "short"),
    "create with no books": (_created(lambda: ConformanceAuthor(name="n", books=[])), "either"),
    "create without a profile": (
        _created(lambda: ConformanceAuthor(name="n", profile=None)),
        "either",
    ),
    "create with books": (
        _created(lambda: ConformanceAuthor(name="n", books=[ConformanceBook(title="t")])),
        "long",
    ),
    "create by a parent": (
        _created(lambda: ConformanceProfile(author=ConformanceAuthor(name="p"))),
        "long",
    ),
    "create of none's": (_created(lambda: ConformanceBook(title="t", author_id=99999)), "short"),
    "create a ticket": (_created(lambda: ConformanceTicket(code="first")), "short"),
    "create a duplicate": (_created(lambda: ConformanceTicket(code="first")), "short"),
    "create a pair": (_created(lambda: ConformanceTicket(train="a", number=1)), "short"),
    "create a pair again": (_created(lambda: ConformanceTicket(train="a", number=1)), "short"),
    "create a taken key": (_created(lambda: ConformanceTicket(id=1)), "short"),
    "create against a check": (_created(lambda: ConformanceTicket(seats=0)), "short"),
    "create with a missing parent": (_created(lambda: ConformanceTicket(parent_id=-1)), "short"),
    "create with an explicit None": (
        _created(lambda: ConformanceTicket(holder=None, seats=None)),
        "short",
    ),
    "create a seat": (_created(lambda: ConformanceSeat(holder="h")), "short"),
    "create with a version": (_created(lambda: ConformanceSeat(holder="h", version=7)), "short"),
    "create an invoice": (_created(lambda: ConformanceInvoice(total=1)), "short"),
    "create a parcel": (_created(lambda: ConformanceParcel(content="c")), "short"),
    "create a parcel with a key": (
        _created(lambda: ConformanceParcel(id=uuid.UUID(int=3), content="c")),
        "short",
    ),
    "create a place": (_created(lambda: ConformancePlace(hall="x", number=1)), "short"),
    "create a place again": (_created(lambda: ConformancePlace(hall="x", number=1)), "short"),
    "create a place without a number": (_created(lambda: ConformancePlace(hall="x")), "either"),
    "create a draft": (_created(lambda: ConformanceDraft(title="d")), "short"),
    "create a deleted draft": (
        _created(
            lambda: ConformanceDraft(title="d", deleted_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        ),
        "short",
    ),
    "create with history": (_created(lambda: ConformanceContract(title="t")), "long"),
    "create with hooks": (_created(lambda: ConformanceLetter(text=" t ")), "long"),
    "create an odd": (_created(lambda: PlansOdd(rows=1, level="low", price=D("1.005"))), "short"),
    "create an odd of Nones": (
        _created(lambda: PlansOdd(name=None, shade=None, note=None, token=None)),
        "short",
    ),
    "create an odd with a key": (_created(lambda: PlansOdd(key=777, back="abc")), "short"),
    "create an odd of no level": (_created(lambda: PlansOdd(level="middle")), "either"),
    "create an odd too long": (_created(lambda: PlansOdd(short="longer than five")), "either"),
    "create an odd too large": (_created(lambda: PlansOdd(price=D(100000))), "either"),
    "create an odd of SQL": (_created(lambda: PlansOdd(rows=sa.literal(1) + 1)), "long"),
    "create a record": (_created(lambda: PlansRecord(title="r1")), "short"),
    "create a record again": (_created(lambda: PlansRecord(title="r1")), "short"),
    "create a tagged": (_created(lambda: PlansTagged(left="l", right=1, weight=0.5)), "short"),
    "create a tagged again": (_created(lambda: PlansTagged(left="l", right=1)), "short"),
    "create a computed": (_created(lambda: PlansComputed(a=1)), "either"),
    "create a computed with b": (_created(lambda: PlansComputed(a=1, b=2)), "either"),
    "create a sized": (_created(lambda: PlansSized(width=2, height=2)), "long"),
    "create a deferred": (_created(lambda: PlansDeferred(name="d", body="b")), "either"),
    "create a file": (_created(lambda: PlansFile(path="p")), "long"),
    "create a folder": (_created(lambda: PlansFolder(path="p", size=1)), "long"),
    "create a plain": (_created(lambda: PlansPlain(name="p")), "short"),
    "create a card": (_created(lambda: PlansCard(name="c")), "long"),
    "update nothing": (_updated(lambda: ConformanceAuthor(name="n"), _set()), "either"),
    "update to the same": (
        _updated(lambda: ConformanceAuthor(name="n"), _set(name="n")),
        "either",
    ),
    "update there and back": (_updated(lambda: ConformanceAuthor(name="n"), _backwards), "either"),
    "update a name": (_updated(lambda: ConformanceAuthor(name="n"), _set(name="m")), "short"),
    "update two": (_updated(lambda: ConformanceAuthor(name="n"), _set(age=1, city="c")), "short"),
    "update to None": (_updated(lambda: ConformanceAuthor(name="n"), _set(name=None)), "short"),
    "update as created": (
        _updated(lambda: ConformanceAuthor(name="n"), _set(name="m"), from_read=False),
        "short",
    ),
    "update without": (_updated(lambda: ConformanceAuthor(name="n", age=1), _without), "either"),
    "update by a new one": (
        _updated(
            lambda: ConformanceAuthor(name="n", age=1),
            lambda e: ConformanceAuthor(id=e.id, city="by key"),
        ),
        "either",
    ),
    "update by books": (
        _updated(
            lambda: ConformanceBook(title="t", author=ConformanceAuthor(name="a")), _set(pages=2)
        ),
        "short",
    ),
    "update by a parent": (
        _updated(
            lambda: ConformanceBook(title="t", author=ConformanceAuthor(name="a")),
            lambda book: setattr(book, "author", ConformanceAuthor(name="new")),
        ),
        "long",
    ),
    "update of SQL": (
        _updated(lambda: ConformanceAuthor(name="n", age=1), _set(age=ConformanceAuthor.age + 1)),
        "long",
    ),
    "update against a check": (
        _updated(lambda: ConformanceTicket(code="c1"), _set(seats=-1)),
        "short",
    ),
    "update to no parent": (
        _updated(lambda: ConformanceTicket(code="c2"), _set(parent_id=-1)),
        "short",
    ),
    "update a seat": (_updated(lambda: ConformanceSeat(holder="h"), _set(holder="i")), "short"),
    "update a version": (_updated(lambda: ConformanceSeat(holder="h"), _set(version=9)), "either"),
    "update a version too": (
        _updated(lambda: ConformanceSeat(holder="h"), _set(version=1, holder="k")),
        "either",
    ),
    "update a version to None": (
        _updated(lambda: ConformanceSeat(holder="h"), _set(version=None, holder="k")),
        "either",
    ),
    "update an invoice": (_updated(lambda: ConformanceInvoice(total=1), _set(total=2)), "short"),
    "update a stamp": (
        _updated(
            lambda: ConformanceInvoice(total=1),
            _set(updated_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
        ),
        "short",
    ),
    "update a parcel": (
        _updated(lambda: ConformanceParcel(content="c"), _set(content="d")),
        "short",
    ),
    "update a place": (
        _updated(lambda: ConformancePlace(hall="y", number=1), _set(guest="g")),
        "short",
    ),
    "update a draft": (_updated(lambda: ConformanceDraft(title="d"), _set(title="e")), "either"),
    "update with history": (
        _updated(lambda: ConformanceContract(title="t"), _set(price=1)),
        "long",
    ),
    "update with hooks": (_updated(lambda: ConformanceLetter(text="t"), _set(text=" u ")), "long"),
    "update an odd": (
        _updated(
            lambda: PlansOdd(rows=1),
            _set(name="m", rows=2, shade=Shade.LIGHT, level="high", token=uuid.UUID(int=9)),
        ),
        "short",
    ),
    "update an odd to None": (
        _updated(lambda: PlansOdd(rows=1, note={"a": 1}), _set(rows=None, shade=None, note=None)),
        "short",
    ),
    "update an odd in place": (_updated(lambda: PlansOdd(note={"a": 1}), _mutated), "either"),
    "update an odd type": (_updated(lambda: PlansOdd(back="ab"), _set(back="cd")), "short"),
    "update an odd price": (
        _updated(lambda: PlansOdd(price=D("1.50")), _set(price=D("1.5"))),
        "either",
    ),
    "update an odd too long": (_updated(PlansOdd, _set(short="longer than five")), "either"),
    "update a record": (
        _updated(lambda: PlansRecord(title="u"), _set(text="t")),
        "short",
    ),
    "update a tagged": (
        _updated(lambda: PlansTagged(left="u", right=1), _set(weight=1.5)),
        "either",
    ),
    "update a computed": (_updated(lambda: PlansComputed(a=1), _set(a=2)), "either"),
    "update a sized": (_updated(lambda: PlansSized(width=1, height=1), _set(width=5)), "long"),
    "update a deferred": (_updated(lambda: PlansDeferred(name="d"), _set(name="e")), "either"),
    "update a deferred one": (_updated(lambda: PlansDeferred(name="d"), _set(body="e")), "either"),
    "update a folder": (_updated(lambda: PlansFolder(path="p", size=1), _set(size=2)), "long"),
    "update a plain": (_updated(lambda: PlansPlain(name="p"), _set(name="q")), "short"),
    "update a card": (_updated(lambda: PlansCard(name="c"), _set(size=4)), "either"),
    "delete a value": (_deleted(lambda: ConformanceValue(label="d")), "short"),
    "delete by a wrong key": (_deleted(ConformanceValue, lambda _: "x"), "either"),
    "delete a place": (_deleted(lambda: ConformancePlace(hall="z", number=1)), "short"),
    "delete by a part": (
        _deleted(lambda: ConformancePlace(hall="z", number=2), lambda _: "z"),
        "either",
    ),
    "delete a parcel": (_deleted(lambda: ConformanceParcel(content="c")), "short"),
    "delete a draft": (_deleted(lambda: ConformanceDraft(title="d")), "long"),
    "delete a seat": (_deleted(lambda: ConformanceSeat(holder="d")), "short"),
    "delete a tagged": (_deleted(lambda: PlansTagged(left="d", right=1)), "long"),
    "delete a record": (_deleted(lambda: PlansRecord(title="d")), "short"),
    "delete an odd": (_deleted(PlansOdd), "short"),
    "delete a plain": (_deleted(lambda: PlansPlain(name="d")), "short"),
    "delete a folder": (_deleted(lambda: PlansFolder(path="d")), "long"),
    "delete with history": (_deleted(lambda: ConformanceContract(title="t")), "long"),
    "delete with hooks": (_deleted(lambda: ConformanceLetter(text="t")), "long"),
    "delete an author": (_deleted(lambda: ConformanceAuthor(name="d")), "long"),
    "stale versions": (_stale, "short"),
    "a row that is gone": (_gone, "short"),
    "refused, then right": (_refused_then_right, "short"),
    "twice": (_twice, "short"),
    "of a session": (_of_a_session, "either"),
    "of another model": (_wrong_model, "either"),
    "by a clone": (_by_clone, "short"),
    "expired": (_expired, "either"),
    "acting": (_acting, "short"),
    "a key that moves": (_key_moved, "either"),
    "softly": (_softly, "either"),
    "referred to": (_referred, "short"),
    "a parent that goes": (_author_goes, "either"),
}


def write_cases() -> Iterator[Case]:
    """Give writes of models of each kind."""
    for name, (ask, way) in WRITES.items():
        yield Case(name, ask, way)  # type: ignore[arg-type]


CHANGES = {"values": value_cases, "models": write_cases}
