"""Several writes, one after the other, and what is left of the objects."""

import pickle
from typing import Any

from andamios import AndamiosEngine, GenericRepository
from andamios.models.actor import acting_as
from harness.conformance.models import (
    ConformanceAuthor,
    ConformanceBook,
    ConformanceDraft,
    ConformancePlace,
    ConformanceSeat,
    ConformanceTicket,
)
from tests.plans.models import PlansRecord
from tests.plans.portraits import portrait
from tests.plans.storing import read_again, tried

__all__ = [
    "acting",
    "author_goes",
    "by_clone",
    "expired",
    "gone",
    "key_moved",
    "of_a_session",
    "referred",
    "refused_then_right",
    "softly",
    "stale",
    "twice",
    "wrong_model",
]


async def stale(engine: AndamiosEngine) -> Any:
    """Change two copies of one row, one after the other, and one that is gone."""
    seats = GenericRepository[ConformanceSeat](engine)
    seat = await seats.create(ConformanceSeat(holder="a"))
    first, second = await seats.get_one(seat.id), await seats.get_one(seat.id)
    first.holder, second.holder = "b", "c"
    shown = [await seats.update(first), *await tried(seats.update(second), second)]
    second.version = 2
    shown += await tried(seats.update(second), second)
    first.holder = "d"
    shown += await tried(seats.update(first), first)
    await seats.delete(seat.id)
    first.holder = "e"
    return [*shown, *await tried(seats.update(first), first)]


async def gone(engine: AndamiosEngine) -> Any:
    """Change a row that is gone."""
    places = GenericRepository[ConformancePlace](engine)
    place = await places.create(ConformancePlace(hall="gone", number=1))
    await places.delete(("gone", 1))
    place.guest = "x"
    return await tried(places.update(place), place)


async def refused_then_right(engine: AndamiosEngine) -> Any:
    """Try again what was refused, with values that fit."""
    tickets = GenericRepository[ConformanceTicket](engine)
    await tickets.create(ConformanceTicket(code="taken"))
    # With every column: after a refused write SQLAlchemy reads again what it had not read.
    unset = dict.fromkeys(["train", "number", "parent_id"])
    ticket = await tickets.create(ConformanceTicket(code="mine", **unset))
    ticket.code, ticket.seats = "taken", 5
    shown = await tried(tickets.update(ticket), ticket)
    shown = [portrait(shown)]
    ticket.code = "free"
    shown += await tried(tickets.update(ticket), ticket)
    new = ConformanceTicket(code="taken", holder="x")
    shown += [portrait(await tried(tickets.create(new), new))]
    new.code = "new"
    return [*shown, *await tried(tickets.create(new), new)]


async def twice(engine: AndamiosEngine) -> Any:
    """Create an object twice."""
    authors = GenericRepository[ConformanceAuthor](engine)
    author = await authors.create(ConformanceAuthor(name="twice"))
    shown = await tried(authors.create(author), author)
    author.age = 1
    shown += [portrait(await tried(authors.update(author), author))]
    author.age = 2
    author.city = "x"
    return [*shown, *await tried(authors.update(author), author)]


async def of_a_session(engine: AndamiosEngine) -> Any:
    """Write objects that belong to a session."""
    authors = GenericRepository[ConformanceAuthor](engine)
    async with engine.session() as session:
        author = ConformanceAuthor(name="of a session")
        session.add(author)
        await session.flush()
        author.age = 3
        shown = [portrait(await tried(authors.update(author), author))]
        waiting = ConformanceAuthor(name="waiting")
        session.add(waiting)
        shown += [portrait(await tried(authors.create(waiting), waiting))]
        await session.rollback()
    return shown


async def wrong_model(engine: AndamiosEngine) -> Any:
    """Write an object of another model."""
    authors = GenericRepository[ConformanceAuthor](engine)
    book: Any = ConformanceBook(title="x")
    return [*await tried(authors.create(book)), *await tried(authors.update(book))]


async def by_clone(engine: AndamiosEngine) -> Any:
    """Write copies of objects."""
    authors = GenericRepository[ConformanceAuthor](engine)
    author = await authors.create(ConformanceAuthor(name="cloned", age=1, city="x"))
    read = await authors.get_one(author.id)
    clone = pickle.loads(pickle.dumps(read))
    clone.age = 2
    shown = await tried(authors.update(clone), clone)
    changed = await authors.get_one(author.id)
    changed.age = 3
    later = pickle.loads(pickle.dumps(changed))
    shown += await tried(authors.update(later), later)
    return [*shown, await read_again(engine, author)]


async def expired(engine: AndamiosEngine) -> Any:
    """Write an object of which a part is to be read again."""
    authors = GenericRepository[ConformanceAuthor](engine)
    async with engine.session() as session:
        author = ConformanceAuthor(name="expired", age=1)
        session.add(author)
        await session.flush()
        session.expire(author, ["age"])
    author.city = "x"
    shown = [portrait(await tried(authors.update(author), author))]
    author.age = 5
    return [*shown, *await tried(authors.update(author), author), await read_again(engine, author)]


async def acting(engine: AndamiosEngine) -> Any:
    """Write as somebody, and see when."""
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


async def key_moved(engine: AndamiosEngine) -> Any:
    """Change a key."""
    places = GenericRepository[ConformancePlace](engine)
    place = await places.create(ConformancePlace(hall="moved", number=1, guest="g"))
    place.number = 2
    shown = await tried(places.update(place), place)
    return [*shown, await read_again(engine, place)]


async def softly(engine: AndamiosEngine) -> Any:
    """Mark a row as deleted, restore and delete it."""
    drafts = GenericRepository[ConformanceDraft](engine)
    draft = await drafts.create(ConformanceDraft(title="soft"))
    kept = await drafts.get_one(draft.id)
    shown = [await drafts.delete(draft.id), await drafts.get_by_id(draft.id)]
    kept.title = "changed"
    shown += await tried(drafts.update(kept), kept)
    shown += [await drafts.restore(draft.id), await drafts.hard_delete(draft.id)]
    return [*shown, await drafts.query().include_deleted().filter_by(id=draft.id).first()]


async def referred(engine: AndamiosEngine) -> Any:
    """Delete a row that another refers to."""
    tickets = GenericRepository[ConformanceTicket](engine)
    parent = await tickets.create(ConformanceTicket(code="parent"))
    child = await tickets.create(ConformanceTicket(parent_id=parent.id))
    shown = await tried(tickets.delete(parent.id))
    return [*shown, await tickets.delete(child.id), await tickets.delete(parent.id)]


async def author_goes(engine: AndamiosEngine) -> Any:
    """Delete a row with what belongs to it."""
    authors = GenericRepository[ConformanceAuthor](engine)
    author = await authors.create(
        ConformanceAuthor(name="goes", books=[ConformanceBook(title="x")])
    )
    return await tried(authors.delete(author.id))
