"""Streams on the short way: what a query finds, part by part, and a pool that is whole behind."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from andamios import AndamiosEngine, BaseModel, ConnectionFailedError, QueryBuilder
from andamios.core.facts import QueryFinished, TransactionEnded
from andamios.core.listening import all_statements_seen
from tests.core.server import other_connections
from tests.plans.kin import KinNote, KinPerson, KinSeal, KinTeam, fill
from tests.plans.portraits import deep_portrait, portrait

pytestmark = pytest.mark.isolation("committing")

COUNT = 25

COLLECTIONS: tuple[Any, ...] = (KinPerson.notes, KinNote.writer, KinPerson.tags)

MYSQL = {"mysql", "mariadb"}

ENDING = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
async def kin(engine: AndamiosEngine) -> AndamiosEngine:
    """Persons of whom some belong together, and more of them."""
    await fill(engine)
    async with engine.session() as session:
        session.add_all(KinPerson(name=f"p{number:02}") for number in range(COUNT - 4))
    return engine


def _queries(engine: AndamiosEngine) -> dict[str, QueryBuilder[Any]]:
    persons = QueryBuilder(KinPerson, engine).order_by("name", "id")
    return {
        "objects": persons,
        "a slice": persons.offset(2).limit(7),
        "nothing": persons.filter_by(name="nobody"),
        "rows": persons.only("name", KinPerson.id + 1),
        "groups": QueryBuilder(KinPerson, engine)
        .group_by("team_id")
        .aggregate(n=sa.func.count())
        .order_by("team_id"),
        "rows with objects": persons.join(KinPerson.team).only(KinTeam, "name"),
        "joined": persons.load(KinPerson.team, KinPerson.boss),
        "collections": persons.load(*COLLECTIONS),
    }


@pytest.mark.parametrize("name", _queries(None))  # type: ignore[arg-type]
async def test_the_same_both_ways(
    kin: AndamiosEngine, name: str, refuse_the_long_way: pytest.MonkeyPatch
) -> None:
    """A stream gives what the query gives, whatever its parts, and as SQLAlchemy gives it."""
    if name == "rows with objects" or (name == "collections" and kin.backend in MYSQL):
        refuse_the_long_way.undo()
    query = _queries(kin)[name]
    streamed = {size: [each async for each in query.stream(size)] for size in (1, 5, 7, 99)}
    refuse_the_long_way.undo()
    for size, short in streamed.items():
        with all_statements_seen():
            long = [each async for each in query.stream(size)]
        assert portrait(long) == portrait(short)
        assert deep_portrait(long) == deep_portrait(short)


async def test_loads_part_by_part(kin: AndamiosEngine) -> None:
    """What is loaded along is there with each object when it comes."""
    persons = QueryBuilder(KinPerson, kin).order_by("id").load(*COLLECTIONS)
    found = [
        (person.name, [(note.text, note.writer.name) for note in person.notes])
        async for person in persons.limit(3).stream(1)
    ]

    assert [
        ("Ana", [("a", "Ana"), ("b", "Beto")]),
        ("Beto", [("d", "Ana")]),
        ("Caro", []),
    ] == found


async def test_objects_are_let_go(kin: AndamiosEngine) -> None:
    """What was loaded along is not kept either, once nobody has it."""
    alive: weakref.WeakSet[KinPerson] = weakref.WeakSet()
    counts = []
    async for person in QueryBuilder(KinPerson, kin).load(KinPerson.boss).stream(2):
        alive.add(person)
        counts.append(len(alive))

    assert COUNT == len(counts)
    assert 8 >= max(counts)


async def test_it_sees_one_moment(kin: AndamiosEngine) -> None:
    """What others write meanwhile does not show, not even when it is written in the loop."""
    persons = QueryBuilder(KinPerson, kin)
    names = []
    async for person in persons.order_by("id").filter_by(boss_id=None).stream(2):
        if not names:
            await persons.filter(KinPerson.name > "p").update({"name": "later"})
        names.append(person.name)

    assert ["Ana", *(f"p{number:02}" for number in range(COUNT - 4))] == names
    assert COUNT - 4 == await persons.filter_by(name="later").count()


async def test_it_only_reads(kin: AndamiosEngine) -> None:
    """On PostgreSQL its transaction cannot write."""
    if kin.backend != "postgresql":
        pytest.skip("Others do not show it to a query")
    setting = sa.func.current_setting("transaction_read_only").label("it")
    query = QueryBuilder(KinPerson, kin).only(setting).limit(1)

    assert ["on"] == [row.it async for row in query.stream()]
    assert "off" == await query.scalar()


class _OnPurposeError(Exception):
    pass


@pytest.mark.parametrize("size", [1, 9, 99])
@pytest.mark.parametrize("end", ["left", "closed", "raised", "cancelled"])
async def test_the_pool_is_whole_behind(kin: AndamiosEngine, end: str, size: int) -> None:
    """However the loop ends, its connection comes back, without a transaction."""

    async def read() -> None:
        async with aclosing(QueryBuilder(KinPerson, kin).stream(size)) as stream:
            async for _ in stream:
                if end == "left":
                    break
                if end == "closed":
                    await stream.aclose()
                if end == "raised":
                    raise _OnPurposeError
                if end == "cancelled":
                    task = asyncio.current_task()
                    assert task is not None
                    task.cancel()
                    await asyncio.sleep(0)

    with _no_other_connection(kin):
        with contextlib.suppress(_OnPurposeError, asyncio.CancelledError):
            await asyncio.ensure_future(read())
        await _require_whole(kin)


async def test_forgotten(kin: AndamiosEngine) -> None:
    """A stream that is merely forgotten is closed by the event loop."""
    async for _ in QueryBuilder(KinPerson, kin).stream(3):
        break
    gc.collect()
    async with asyncio.timeout(5):
        while kin.connections.stats().in_use:  # noqa: ASYNC110  nothing tells when
            await asyncio.sleep(0.01)
    await _require_whole(kin)


@pytest.mark.parametrize("loads", [(), COLLECTIONS])
async def test_cancelled_anywhere(kin: AndamiosEngine, loads: Any) -> None:
    """Wherever it is cancelled, no connection is left out, and the next stream works."""
    query = QueryBuilder(KinPerson, kin).load(*loads).order_by("id").limit(3)

    async def read() -> int:
        return len([person async for person in query.stream(2)])

    assert 3 == await read()
    steps = 0
    while True:
        task = asyncio.ensure_future(read())
        for _ in range(steps):
            await asyncio.sleep(0)
        if task.done():
            break
        task.cancel()
        await asyncio.wait([task])
        assert 0 == kin.connections.stats().in_use
        steps += 1
    assert steps
    assert 3 == await read()
    await _require_whole(kin)


@contextlib.contextmanager
def _no_other_connection(engine: AndamiosEngine) -> Iterator[None]:
    """Require that the connections there are suffice, so that none was given up."""

    def refused(*_: object) -> None:
        pytest.fail("Another connection was made")

    sync_engine = engine.async_engine.sync_engine
    sa.event.listen(sync_engine, "connect", refused)
    yield
    sa.event.remove(sync_engine, "connect", refused)


async def _require_whole(engine: AndamiosEngine) -> None:
    """Require that all connections are back, outside of transactions, and work."""
    assert 0 == engine.connections.stats().in_use
    persons = QueryBuilder(KinPerson, engine)
    if engine.backend == "postgresql":
        async with engine.connections.acquire() as connection:
            told = await connection.scalars(
                sa.text(
                    "SELECT state FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid() AND state LIKE 'idle in%'"
                )
            )
            assert [] == told.all()
    assert 1 == await persons.filter_by(name="Ana").update({"name": "Ana"})
    assert [COUNT] * 3 == [len([each async for each in persons.stream(7)]) for _ in range(3)]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_the_connection_is_lost(kin: AndamiosEngine, test_database: str) -> None:
    """A stream whose connection ends says so, and gives up no other one."""
    if kin.backend == "sqlite":
        pytest.skip("SQLite has no server that could end a connection")
    seen = []

    async def read() -> None:
        async for person in QueryBuilder(KinPerson, kin).stream(1):
            seen.append(person)
            if len(seen) == 3:
                await _end_others(test_database, kin.backend)

    if kin.backend == "postgresql":
        with pytest.raises(ConnectionFailedError):
            await read()
        assert 3 == len(seen)
    else:  # what the server has sent already may be read to its end
        with contextlib.suppress(ConnectionFailedError):
            await read()
    await _require_whole(kin)


async def _end_others(url: str, backend: str) -> None:
    async with (
        AndamiosEngine(url, uvloop=False) as other,
        other.async_engine.connect() as connection,
    ):
        if backend not in MYSQL:
            await connection.execute(sa.text(ENDING))
            return
        for row in await other_connections(connection):
            with contextlib.suppress(SQLAlchemyError):
                await connection.execute(sa.text(f"KILL {row['Id']}"))


class KinOdd(BaseModel):
    """Has a column that cannot be read always."""

    shade: sa.orm.Mapped[str] = sa.orm.mapped_column(sa.Enum("dark", "light", native_enum=False))


async def test_a_value_that_cannot_be_read(engine: AndamiosEngine) -> None:
    """What fails in the middle fails as in SQLAlchemy's way, and the connection comes back."""
    async with engine.session() as session:
        for shade in ("dark", "light", "odd", "dark"):
            await session.execute(sa.text(f"INSERT INTO kin_odd (shade) VALUES ('{shade}')"))
    query, seen = QueryBuilder(KinOdd, engine).order_by("id"), list[str]()
    told = []
    assert 4 == await query.count()
    for way in (contextlib.nullcontext, all_statements_seen):
        with way(), _no_other_connection(engine):
            seen += [each.shade async for each in query.limit(2).stream(1)]
            with pytest.raises(LookupError, match="odd") as caught:
                seen += [each.shade async for each in query.stream(2)]
            assert 4 == await query.count()
        told.append((type(caught.value), str(caught.value)))
        assert 0 == engine.connections.stats().in_use

    assert told[0] == told[1]
    assert ["dark", "light"] * 2 == seen


async def test_it_is_told(kin: AndamiosEngine) -> None:
    """Who listens hears of the statement when its first rows are there, and of the end."""
    query, told = QueryBuilder(KinPerson, kin), list[Any]()
    await query.first()
    kin.hooks.listen(QueryFinished, told.append)
    kin.hooks.listen(TransactionEnded, told.append)
    async for _ in query.stream(5):
        assert [QueryFinished] == [type(fact) for fact in told]
        assert (None, None) == (told[0].rows, told[0].error)

    assert [QueryFinished, TransactionEnded] == [type(fact) for fact in told]
    assert "committed" == told[1].outcome
    async with aclosing(query.stream(5)) as stream:
        async for _ in stream:
            break
    assert "rolled back" == told[-1].outcome


@pytest.mark.isolation("own")
async def test_tables_that_have_changed(engine: AndamiosEngine) -> None:
    """A stream whose statement was prepared before a column changed works as before."""
    await fill(engine)
    query = QueryBuilder(KinPerson, engine).only("name", "boss_id").order_by("id").limit(4)
    before = [tuple(row) async for row in query.stream(3)]
    if engine.backend != "sqlite":
        word = "ALTER COLUMN" if engine.backend == "postgresql" else "MODIFY"
        kind = "TYPE varchar(77)" if engine.backend == "postgresql" else "varchar(77)"
        async with engine.session() as session:
            await session.execute(sa.text(f"ALTER TABLE kin_person {word} name {kind}"))

    assert before == [tuple(row) async for row in query.stream(3)]
    assert before == [tuple(row) async for row in query.stream(3)]
    assert 1 == await QueryBuilder(KinSeal, engine).count()
