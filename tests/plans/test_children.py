"""Relationships that come along: the short way finds and writes what SQLAlchemy's does."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest
import sqlalchemy as sa

from andamios import AndamiosEngine, GenericRepository, QueryBuilder
from andamios.core.facts import QueryFinished, TransactionEnded
from andamios.core.listening import all_statements_seen
from andamios.plans.children import Graph
from tests.plans.kin import KinBadge, KinHouse, KinNote, KinPerson, KinSeal, KinTag, KinToken, fill
from tests.plans.portraits import deep_portrait, portrait, rough_portrait

pytestmark = pytest.mark.isolation("committing")

SHORT: dict[str, tuple[Any, ...]] = {
    "a collection": (KinPerson.notes,),
    "a collection of the same class": (KinPerson.staff,),
    "a single object": (KinPerson.team,),
    "a single object of the same class": (KinPerson.boss,),
    "both sides": (KinPerson.boss, KinPerson.staff),
    "a single object that is required": (KinNote.person,),
    "two single objects of one class": (KinNote.person, KinNote.writer),
    "a single object that refers to this one": (KinPerson.badge,),
    "a collection through a table": (KinPerson.tags,),
    "a dict": (KinPerson.by_text,),
    "a set": (KinPerson.in_set,),
    "the same objects in two collections": (KinPerson.notes, KinPerson.in_set),
    "behind a collection": (KinPerson.notes, KinNote.remarks),
    "joined behind a collection": (KinPerson.notes, KinNote.writer),
    "back again": (KinPerson.notes, KinNote.person),
    "behind a single object": (KinNote.person, KinPerson.tags),
    "joined behind one that is joined": (KinNote.writer, KinPerson.team),
    "far": (KinNote.writer, KinPerson.staff, KinPerson.notes, KinNote.writer, KinPerson.badge),
    "everything": (
        *(KinPerson.team, KinPerson.boss, KinPerson.staff, KinPerson.notes),
        *(KinNote.remarks, KinPerson.tags, KinPerson.badge),
    ),
    "by a key that is a text": (KinHouse.tokens,),
    "by a key that is a uuid": (KinToken.twins,),
    "of a key that is a text": (KinToken.house, KinHouse.tokens),
}

LONG: dict[str, tuple[Any, ...]] = {
    "has expressions": (KinPerson.seals,),
    "several rows may fit": (KinPerson.any_note,),
    "is not joined by equal columns alone": (KinPerson.short_notes,),
    "by options or conditions": (KinPerson.notes.and_(KinNote.text == "a"),),
    "twice": (KinPerson.notes, KinPerson.notes),
}


@pytest.fixture
async def kin(engine: AndamiosEngine) -> AndamiosEngine:
    """A few persons and what belongs to them."""
    await fill(engine)
    return engine


def _query(engine: AndamiosEngine, loads: tuple[Any, ...], **options: Any) -> QueryBuilder[Any]:
    model = loads[0].parent.class_
    key = sa.inspect(model).primary_key[0].key
    return QueryBuilder(model, engine).load(*loads, **options).order_by(key)


@pytest.mark.parametrize("name", SHORT)
async def test_the_same_both_ways(
    kin: AndamiosEngine, name: str, refuse_the_long_way: pytest.MonkeyPatch
) -> None:
    """Values, order, identity, what is loaded and what SQLAlchemy knows of it are the same."""
    query = _query(kin, SHORT[name])
    short, again, first = await query.execute(), await query.execute(), await query.first()
    refuse_the_long_way.undo()
    with all_statements_seen():
        long, long_first = await query.execute(), await query.first()

    assert portrait(long) == portrait(short) == portrait(again)
    assert portrait(long_first) == portrait(first)
    assert deep_portrait(long) == deep_portrait(short)
    assert await rough_portrait(kin, long) == await rough_portrait(kin, short)


@pytest.mark.parametrize("strategy", ["selectin", "joined"])
@pytest.mark.parametrize(
    "load", [KinPerson.team, KinPerson.boss, KinPerson.badge, KinNote.person, KinNote.writer]
)
async def test_single_objects_by_either_strategy(
    kin: AndamiosEngine, load: Any, strategy: str, refuse_the_long_way: pytest.MonkeyPatch
) -> None:
    """Single objects can be joined, or asked for by their keys."""
    query = _query(kin, (load,), strategy=strategy)
    short = await query.execute()
    refuse_the_long_way.undo()
    with all_statements_seen():
        long = await query.execute()

    assert portrait(long) == portrait(short)


@pytest.mark.parametrize("reason", LONG)
async def test_what_takes_the_long_way(kin: AndamiosEngine, reason: str) -> None:
    """What cannot be loaded on the short way is told, with the reason."""
    path = _query(kin, LONG[reason]).explain_path()

    assert not path.is_short
    assert reason in str(path)


async def test_the_long_way_loads_it_nevertheless(kin: AndamiosEngine) -> None:
    """Which way it takes, a query finds what it should."""
    ana, *_ = await _query(kin, (KinPerson.seals, KinPerson.short_notes)).execute()

    assert ([2], ["a", "b"]) == (
        [seal.double for seal in ana.seals],
        sorted(note.text for note in ana.short_notes),
    )


async def test_other_strategies_and_sessions(kin: AndamiosEngine) -> None:
    """Other strategies, and sessions, load as SQLAlchemy does."""
    for strategy in ("subquery", "immediate", "joined"):
        query = _query(kin, (KinPerson.notes,), strategy=strategy)
        assert not query.explain_path().is_short
        assert ["a", "b"] == [note.text for note in (await query.execute())[0].notes]
    joined = _query(kin, (KinPerson.in_set,), strategy="joined")
    assert "a collection, and joined" in str(joined.explain_path())
    async with kin.session() as session:
        persons = QueryBuilder(KinPerson, session).load(KinPerson.notes)
        assert "in a session" in str(persons.explain_path())


async def test_each_has_a_plan_of_its_own(kin: AndamiosEngine) -> None:
    """Queries that differ in what they load alone do not take each other's plans."""
    loads = [(), (KinPerson.team,), (KinPerson.boss,), (KinPerson.boss, KinPerson.team)]
    queries = [QueryBuilder(KinPerson, kin).load(*load).order_by("id") for load in loads]
    short = [portrait(await query.execute()) for query in queries]
    with all_statements_seen():
        assert [portrait(await query.execute()) for query in queries] == short


async def test_limits_conditions_and_joins(
    kin: AndamiosEngine, refuse_the_long_way: pytest.MonkeyPatch
) -> None:
    """The rest of the query is as ever: only what it finds has its relationships loaded."""
    query = (
        QueryBuilder(KinPerson, kin)
        .join(KinPerson.notes)
        .filter(KinNote.text != "e")
        .order_by("-name")
        .limit(1)
        .load(KinPerson.team, KinPerson.notes)
    )
    (short,) = await query.execute()
    with all_statements_seen():
        refuse_the_long_way.undo()
        (long,) = await query.execute()

    assert portrait(long) == portrait(short)
    assert ("Beto", "blue", ["d"]) == (short.name, short.team.name, [n.text for n in short.notes])
    assert 2 == await query.limit(9).count()


async def test_rows_that_were_deleted_softly(
    kin: AndamiosEngine, refuse_the_long_way: pytest.MonkeyPatch
) -> None:
    """They are hidden among children, and shown to who asks for them."""
    loads = (KinPerson.notes, KinPerson.tags)
    query = _query(kin, loads)
    hidden, shown = (await query.execute())[0], (await query.include_deleted().execute())[0]
    with all_statements_seen():
        refuse_the_long_way.undo()
        long = (await query.include_deleted().execute())[0]

    assert (["a", "b"], ["x"]) == ([n.text for n in hidden.notes], [t.name for t in hidden.tags])
    assert (["a", "b", "gone"], ["x", "y"]) == (
        [n.text for n in shown.notes],
        [t.name for t in shown.tags],
    )
    assert portrait(long) == portrait(shown)


@pytest.mark.parametrize("store", ["merge", "add"])
@pytest.mark.parametrize("way", ["short", "long"])
async def test_collections_can_be_changed(kin: AndamiosEngine, way: str, store: str) -> None:
    """What was loaded can be changed, and a session that merges or adds it stores the changes."""
    query = _query(kin, (KinPerson.notes, KinPerson.tags, KinPerson.badge, KinPerson.boss))
    with all_statements_seen() if way == "long" else nullcontext():
        beto = (await query.execute())[1]
    beto.notes.append(KinNote(text="new"))
    beto.notes.remove(beto.notes[0])
    beto.tags.remove(beto.tags[0])
    beto.badge, beto.boss = KinBadge(number=8), None
    assert beto is beto.notes[0].person
    async with kin.session() as session:
        if store == "merge":
            await session.merge(beto)
        else:
            session.add(beto)
    found = (await query.execute())[1]

    assert (["new"], ["z"]) == ([n.text for n in found.notes], [tag.name for tag in found.tags])
    assert (8, None) == (found.badge.number, found.boss)


async def test_more_keys_than_one_statement_takes(engine: AndamiosEngine) -> None:
    """Parents in any number have their children, and share what they refer to."""
    async with engine.session() as session:
        await session.execute(
            sa.insert(KinPerson), [{"id": n, "name": f"{n:04}"} for n in range(1, 1203)]
        )
        await session.execute(sa.insert(KinTag), [{"id": 1, "name": "x"}])
        links = [{"person_id": n, "tag_id": 1} for n in range(1, 1203)]
        await session.execute(KinPerson.tags.property.secondary.insert(), links)
        notes = [{"text": f"{n}", "person_id": n, "writer_id": 7} for n in range(1, 1203)]
        await session.execute(sa.insert(KinNote), notes)
    loads = (KinPerson.tags, KinPerson.notes, KinNote.writer, KinPerson.boss)
    found = await _query(engine, loads).execute()

    assert [[str(person.id)] for person in found] == [[n.text for n in p.notes] for p in found]
    assert {id(found[0].tags[0])} == {id(tag) for person in found for tag in person.tags}
    assert {id(found[6])} == {id(note.writer) for person in found for note in person.notes}


async def test_one_moment(
    kin: AndamiosEngine, test_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a transaction sees one moment, parents and children are of the same one."""
    fill_graph = Graph.fill

    async def meanwhile(self: Graph, answer: Any) -> Any:
        async with AndamiosEngine(test_database, uvloop=False) as other, other.session() as session:
            await session.execute(sa.update(KinNote).values(text="later"))
        return await fill_graph(self, answer)

    monkeypatch.setattr(Graph, "fill", meanwhile)
    found = await _query(kin, (KinPerson.notes,)).first()

    sees_later = kin.backend == "postgresql"  # as its transactions do, in READ COMMITTED
    assert (["later", "later"] if sees_later else ["a", "b"]) == [n.text for n in found.notes]


async def test_statements_and_transactions_are_told(kin: AndamiosEngine) -> None:
    """Who listens hears of each statement, and of each transaction that ended."""
    query, told = _query(kin, (KinPerson.notes, KinPerson.team)), list[Any]()
    await query.execute()
    kin.hooks.listen(QueryFinished, told.append)
    kin.hooks.listen(TransactionEnded, told.append)
    await query.execute()

    heard = [fact.statement.split()[0] for fact in told if isinstance(fact, QueryFinished)]
    assert ["SELECT", "SELECT"] == heard
    ended = [fact.outcome for fact in told if isinstance(fact, TransactionEnded)]
    assert ["committed"] * (2 if kin.backend == "postgresql" else 1) == ended


async def test_cancelled_anywhere(kin: AndamiosEngine) -> None:
    """Wherever it is cancelled, no connection is left out, and the next call works."""
    query = _query(kin, (KinPerson.notes, KinPerson.team))
    await query.execute()
    steps = 0
    while True:
        task = asyncio.ensure_future(query.execute())
        for _ in range(steps):
            await asyncio.sleep(0)
        if task.done():
            break
        task.cancel()
        await asyncio.wait([task])
        assert 0 == kin.connections.stats().in_use
        steps += 1
    assert steps
    assert 4 == len(await query.execute())


async def test_an_error_behind_the_first_statement(
    kin: AndamiosEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails in the middle gives its connection back, with no transaction left open."""

    async def broken(_self: Graph, _answer: Any) -> Any:
        raise LookupError

    monkeypatch.setattr(Graph, "fill", broken)
    with pytest.raises(LookupError):
        await _query(kin, (KinPerson.notes,)).execute()
    monkeypatch.undo()

    assert 0 == kin.connections.stats().in_use
    ana, *others = await _query(kin, (KinPerson.notes,)).execute()
    await GenericRepository[KinSeal](kin).create(KinSeal(person_id=ana.id, size=1))
    assert 3 == len(others)
