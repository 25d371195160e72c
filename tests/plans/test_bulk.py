"""Many rows at once: the short way stores, gives back and refuses what SQLAlchemy's does."""

import asyncio
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Annotated, Any, Literal, TypeAlias

import pytest
import sqlalchemy as sa
from annotated_types import Ge
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from andamios import (
    AndamiosEngine,
    BaseModel,
    DataError,
    DuplicateError,
    GenericRepository,
    NotFoundError,
    QueryError,
    SoftDeleteModel,
    TimestampedModel,
    UUIDModel,
    VersioningMixin,
)
from andamios.core.facts import QueryFinished, TransactionEnded
from andamios.core.listening import all_statements_seen, listen
from harness.fixtures.queries import MaxQueries
from tests.core.conftest import server
from tests.core.server import Server, eventually
from tests.plans.portraits import Portrait, answer_of, portrait

__all__ = ["server"]

pytestmark = pytest.mark.isolation("own")

MOMENT = dt.datetime(2026, 3, 4, 5, 6, 7, 89, dt.UTC)
ELSEWHERE = dt.datetime(2026, 3, 4, 5, 6, 7, 89, dt.timezone(dt.timedelta(hours=-5)))
D = decimal.Decimal


class ManyBase(BaseModel, DeclarativeBase):
    """Tables of their own."""

    __abstract__ = False


class Tone(enum.Enum):
    """Its values differ from its names."""

    DARK = "0"
    LIGHT = "1"


class ManyAll(ManyBase):
    """A column of each kind."""

    name: Mapped[str] = mapped_column("given name", sa.String(9), unique=True)
    rank: Mapped[int | None] = mapped_column(default=3)
    small: Mapped[int | None] = mapped_column(sa.SmallInteger)
    size: Mapped[float | None]
    price: Mapped[D | None] = mapped_column(sa.Numeric(6, 2))
    flag: Mapped[bool | None]
    at: Mapped[dt.datetime | None]
    day: Mapped[dt.date | None]
    hour: Mapped[dt.time | None]
    span: Mapped[dt.timedelta | None]
    token: Mapped[uuid.UUID | None] = mapped_column(default=lambda: uuid.UUID(int=5))
    data: Mapped[bytes | None]
    tone: Mapped[Tone | None] = mapped_column(default=Tone.DARK)
    level: Mapped[Literal["low", "high"] | None]
    note: Mapped[dict[str, Any] | None] = mapped_column(default=dict)
    tags: Mapped[list[Any] | None]
    null: Mapped[Any | None] = mapped_column(sa.JSON)
    made: Mapped[int | None] = mapped_column(server_default="7")
    even: Mapped[Annotated[int, Ge(0)] | None]


class ManyVersioned(VersioningMixin, TimestampedModel, ManyBase):
    """What is counted and dated."""

    __abstract__ = False

    name: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int | None] = mapped_column(default=3)
    word: Mapped[str | None] = mapped_column(default="made", onupdate=lambda: "changed")
    mark: Mapped[str | None] = mapped_column(onupdate="x")
    parts: Mapped[list["ManyPart"]] = relationship()


class ManyPart(ManyBase):
    """A part."""

    label: Mapped[str]
    many_id: Mapped[int] = mapped_column(sa.ForeignKey("many_versioned.id"))


class ManyMarked(SoftDeleteModel, ManyBase):
    """A key of two parts, and a mark."""

    __abstract__ = False

    left: Mapped[str] = mapped_column(primary_key=True)
    right: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    weight: Mapped[float | None]


class ManyRandom(UUIDModel, ManyBase):
    """A key that is made here."""

    __abstract__ = False

    name: Mapped[str]


class ManyOdd(ManyBase):
    """Defaults that look at the row, or are SQL, and what the database computes."""

    a: Mapped[int]
    double: Mapped[int] = mapped_column(
        default=lambda context: 2 * context.get_current_parameters()["a"]
    )
    four: Mapped[int] = mapped_column(default=sa.func.length("abcd"))
    both: Mapped[int] = mapped_column(sa.Computed("a + 1", persisted=True))


class Folded(sa.String):
    """A text that queries compare without regard to case."""

    class comparator_factory(sa.String.Comparator[str]):  # noqa: N801  SQLAlchemy's name for it
        """Compares."""

        def operate(self, op: Any, *other: Any, **options: Any) -> Any:
            """Compare in small letters."""
            return op(sa.func.lower(self.expr), *map(sa.func.lower, other), **options)


class ManyFolded(ManyBase):
    """What is compared in its own way."""

    word: Mapped[str] = mapped_column(Folded(9))


class ManyChosen(ManyBase):
    """An object that makes itself."""

    name: Mapped[str]

    def __init__(self, name: str) -> None:
        self.name = name.upper()


@pytest.fixture(scope="session")
def db_metadata() -> sa.MetaData:
    """Have these tables alone."""
    return ManyBase.metadata


Ask: TypeAlias = Callable[[AndamiosEngine], Awaitable[Any]]
Begin: TypeAlias = Callable[[AndamiosEngine], Awaitable[None]]


@contextmanager
def statements(engine: AndamiosEngine) -> Iterator[list[str]]:
    """Note what is announced, which nobody has to see every statement for."""
    noted: list[str] = []
    listener = engine.hooks.listen(QueryFinished, lambda fact: noted.append(fact.statement))
    try:
        yield noted
    finally:
        engine.hooks.remove(QueryFinished, listener)


async def restart(engine: AndamiosEngine) -> None:
    """Empty the tables, so that keys begin anew."""
    tables = [table.name for table in reversed(ManyBase.metadata.sorted_tables)]
    empty = [f"DELETE FROM {table}" for table in tables]
    if engine.backend == "postgresql":
        empty = [f"TRUNCATE {', '.join(tables)} RESTART IDENTITY"]
    elif engine.backend in {"mysql", "mariadb"}:
        counted = [each for each in tables if each not in {"many_marked", "many_random"}]
        empty += [f"ALTER TABLE {table} AUTO_INCREMENT = 1" for table in counted]
    async with engine.connections.acquire() as connection, connection.begin():
        for sql in empty:
            await connection.execute(sa.text(sql))


async def stored(engine: AndamiosEngine) -> Portrait:
    """Show what is in the tables, as other programs would see it."""
    found = []
    async with engine.session(read_only=True) as session:
        for table in ManyBase.metadata.sorted_tables:
            rows = await session.execute(sa.select(table).order_by(*table.primary_key))
            found.append((table.name, portrait([tuple(row) for row in rows])))
    return found


async def both(
    engine: AndamiosEngine, ask: Ask, case: str = "", begin: Begin = restart
) -> list[str]:
    """Do it both ways, see that all is equal, and give the statements of the short one."""
    with statements(engine) as sent:
        first = (await answer_of(ask, engine))[1], await stored(engine)
    await begin(engine)
    with all_statements_seen():
        second = (await answer_of(ask, engine))[1], await stored(engine)
    assert (case, _comparable(second)) == (case, _comparable(first))
    return sent


def _comparable(found: tuple[Portrait, Portrait]) -> Portrait:
    """Leave out of an error's message how the statement was written."""
    (kind, answer), tables = found
    if kind == "raised":
        name, message, facts, told = answer
        answer = name, message.partition(" in: ")[0], facts, told
    return kind, answer, tables


def leaves_keys(engine: AndamiosEngine) -> bool:
    """Whether SQLAlchemy leaves keys in objects that it stored before one was refused."""
    return engine.backend in {"mysql", "mariadb"}


def full(number: int, **values: Any) -> dict[str, Any]:
    """Give a row with a value for each column."""
    return {
        "name": f"n{number:03}",
        "rank": number,
        "small": -number,
        "size": number / 3,
        "price": D(number) / 3,
        "flag": number % 2 == 0,
        "at": ELSEWHERE if number % 2 else MOMENT,
        "day": MOMENT.date(),
        "hour": dt.time(1, 2, 3, 4),
        "span": dt.timedelta(days=number, microseconds=1),
        "token": uuid.UUID(int=number),
        "data": bytes(range(number % 256)),
        "tone": Tone.LIGHT,
        "level": "low",
        "note": {"é": [number, 1.5, None, True, {"x": "\u2028"}]},
        "tags": ["a", number],
        "null": None,
        "made": number,
        "even": number,
        **values,
    }


def nothing(number: int) -> dict[str, Any]:
    """Give a row with None wherever it may be."""
    return {key: f"n{number:03}" if key == "name" else None for key in full(0)}


def creating(model: type[Any], rows: Callable[[], Any], **options: Any) -> Ask:
    """Create rows."""
    return lambda engine: GenericRepository[model](engine).create_many(rows(), **options)  # type: ignore[valid-type]


MIXED = ({"name": "a"}, {"rank": 1, "name": "b"}, {"name": "c", "rank": 2, "note": None})
VERSIONS = ({"name": "a"}, {"name": "b"}, {"name": "c"})

ROWS: dict[str, tuple[type[Any], Callable[[], Any]]] = {
    "whole rows": (ManyAll, lambda: [full(number) for number in range(12)]),
    "nothing but a name": (ManyAll, lambda: [{"name": "a"}, {"name": "b"}]),
    "None everywhere": (ManyAll, lambda: [nothing(1), nothing(2)]),
    "None here and there": (ManyAll, lambda: [nothing(1), full(2), full(3, note=None, made=None)]),
    "mixed fields": (ManyAll, lambda: list(MIXED)),
    "another order of fields": (
        ManyAll,
        lambda: [{"name": "a", "rank": 1}, {"rank": 2, "name": "b"}],
    ),
    "one at a time": (ManyAll, lambda: (full(number) for number in range(3))),
    "documents": (
        ManyAll,
        lambda: [
            full(1, note={"1": {"a": [[]]}}, null="x"),
            full(2, note={}, null=[1.0]),
            full(3, tags=[], null={"a": None}),
            full(4, note={"n": 10**30, "m": 1e300, "t": (1, 2)}, null=sa.JSON.NULL),
        ],
    ),
    "keys that were chosen": (ManyAll, lambda: [full(1, id=70), full(2, id=71)]),
    "a key that is None": (ManyAll, lambda: [full(1, id=None)]),
    "an expression": (ManyAll, lambda: [full(1, rank=sa.func.length("abc")), full(2, rank=4)]),
    "versions": (ManyVersioned, lambda: [*VERSIONS]),
    "a version that was chosen": (ManyVersioned, lambda: [{"name": "a", "version": 9}]),
    "two keys": (ManyMarked, lambda: [{"left": "a", "right": n, "weight": 0.5} for n in range(3)]),
    "a part of a key": (ManyMarked, lambda: [{"left": "a"}]),
    "marked rows": (ManyMarked, lambda: [{"left": "a", "right": 1, "deleted_at": MOMENT}]),
    "random keys": (ManyRandom, lambda: [{"name": "a"}, {"name": "b"}]),
    "odd defaults": (ManyOdd, lambda: [{"a": 1}, {"a": 2}]),
    "a computed column": (ManyOdd, lambda: [{"a": 1, "double": 1, "four": 1, "both": 1}]),
    "one that makes itself": (ManyChosen, lambda: [{"name": "a"}]),
    "no rows": (ManyAll, list),
    "a row without fields": (ManyOdd, lambda: [{}]),
    "a field that is not there": (ManyAll, lambda: [{"name": "a"}, {"name": "b", "nme": 1}]),
    "a duplicate": (ManyAll, lambda: [*(full(n) for n in range(5)), full(3), full(9)]),
    "a name that is too long": (ManyAll, lambda: [full(1), full(2, name="x" * 10)]),
    "a name that is missing": (ManyAll, lambda: [full(1), {"rank": 1}]),
    "a name that is None": (ManyAll, lambda: [full(1), full(2, name=None)]),
    "a name that is a number": (ManyAll, lambda: [full(1), full(2, name=5)]),
    "a name that ends early": (ManyAll, lambda: [full(1), full(2, name="a\x00b")]),
    "half a character": (ManyAll, lambda: [full(1), full(2, name="\ud800")]),
    "a number that is a text": (ManyAll, lambda: [full(1), full(2, rank="x")]),
    "a number that is too large": (ManyAll, lambda: [full(1), full(2, rank=1 << 63)]),
    "a small number that is too large": (ManyAll, lambda: [full(1), full(2, small=1 << 15)]),
    "a price that is too large": (ManyAll, lambda: [full(1), full(2, price=D(10_000))]),
    "no number": (ManyAll, lambda: [full(1), full(2, size=float("nan"))]),
    "a moment without a zone": (
        ManyAll,
        lambda: [full(1), full(2, at=MOMENT.replace(tzinfo=None))],
    ),
    "a document that is none": (ManyAll, lambda: [full(1), full(2, note={"x": float("nan")})]),
    "a document with an object": (ManyAll, lambda: [full(1), full(2, note={"x": MOMENT})]),
    "a tone that is none": (ManyAll, lambda: [full(1), full(2, tone="GREY")]),
    "a rule that is broken": (ManyAll, lambda: [full(1), full(2, even=-1)]),
}

LONG = {
    *("an expression", "odd defaults", "a row without fields", "a computed column", "no rows"),
    *("a field that is not there", "a rule that is broken", "a part of a key"),
}
"""What takes the long way."""


@pytest.mark.parametrize("returning", [None, "keys", "entities"])
async def test_dicts(engine: AndamiosEngine, returning: Literal["keys", "entities"] | None) -> None:
    """Dicts become the same rows, keys, objects, or errors."""
    for case, (model, rows) in ROWS.items():
        sent = await both(engine, creating(model, rows, returning=returning), case)
        is_copied = any(sql.startswith("COPY") for sql in sent)
        if engine.backend == "postgresql" and returning is None:
            assert is_copied == (case not in LONG), case
        await restart(engine)


OBJECTS: dict[str, tuple[bool, Callable[[], list[Any]]]] = {
    "whole": (True, lambda: [ManyAll(**full(number)) for number in range(5)]),
    "as they come": (True, lambda: [ManyAll(**row) for row in MIXED]),
    "with None": (False, lambda: [ManyAll(**nothing(1)), ManyAll(**nothing(2))]),
    "with versions": (True, lambda: [ManyVersioned(**row) for row in VERSIONS]),
    "with parts": (False, lambda: [ManyVersioned(name="a", parts=[ManyPart(label="x")])]),
    "with no parts": (True, lambda: [ManyVersioned(name="a", parts=[])]),
    "with two keys": (True, lambda: [ManyMarked(left="a", right=number) for number in range(3)]),
    "that make themselves": (True, lambda: [ManyChosen("a"), ManyChosen("b")]),
    "that the database fills in": (False, lambda: [ManyOdd(a=1), ManyOdd(a=2)]),
    "of which one is refused": (True, lambda: [ManyVersioned(name=name) for name in "aba"]),
    "twice": (False, lambda: [ManyRandom(name="a")] * 2),
}


@pytest.mark.parametrize("returning", [None, "keys", "entities"])
async def test_objects(
    engine: AndamiosEngine, returning: Literal["keys", "entities"] | None
) -> None:
    """Objects are stored, and left, the same."""
    for case, (is_copied, make) in OBJECTS.items():
        left: list[Portrait] = []

        async def ask(engine: AndamiosEngine, make: Any = make, left: Any = left) -> Any:
            entities = make()
            try:
                repository: Any = GenericRepository[type(entities[0])](engine)  # type: ignore[misc]
                return await repository.create_many(entities, returning=returning)
            finally:
                left.append(portrait(entities))

        sent = await both(engine, ask, case)

        if "refused" not in case or not leaves_keys(engine):
            assert (case, left[1]) == (case, left[0])
        if engine.backend == "postgresql":
            assert is_copied == any(sql.startswith("COPY") for sql in sent), case
        await restart(engine)


@pytest.mark.parametrize("returning", ["keys", "entities", None])
async def test_batches(engine: AndamiosEngine, returning: Any) -> None:
    """Batches of any size, from any source, give the same, and all or nothing."""
    told: list[list[int]] = []

    async def later() -> Any:
        for number in range(25):
            yield {"name": f"n{number}", "size": number}

    async def ask(engine: AndamiosEngine) -> Any:
        items = GenericRepository[ManyVersioned](engine)
        told.append([])
        await items.create_many(later(), batch=7, returning=returning)
        rows = [{"name": f"m{number}"} for number in range(25)]
        await items.create_many(rows, batch=10, returning=returning, progress=told[-1].append)
        await items.create_many([*rows[:1], *rows], batch=10, progress=told[-1].append)

    await both(engine, ask)

    assert [[10, 20, 25], [10, 20, 25]] == told


async def test_inside_a_session(engine: AndamiosEngine) -> None:
    """In a session, what waits goes first, a refusal undoes itself, and objects are members."""

    async def ask(engine: AndamiosEngine) -> Any:
        painted: list[Portrait] = []
        async with engine.session() as session:
            items = GenericRepository[ManyVersioned](session)
            session.add(ManyVersioned(name="waits"))
            with pytest.raises(DuplicateError):
                await items.create_many([{"name": "a"}, {"name": "waits"}])
            with pytest.raises(DataError):
                await items.create_many([{"name": "a"}, {"name": 5}])
            await items.create_many([{"name": "b"}])
            objects = [ManyVersioned(name="c"), ManyVersioned(name="d")]
            with pytest.raises(DuplicateError):
                await items.create_many([*objects, ManyVersioned(name="b")])
            if leaves_keys(engine):
                objects = [ManyVersioned(name="c", id=21), ManyVersioned(name="d", id=22)]
            painted.append(portrait(objects))
            members = await items.create_many(objects, returning="entities")
            members += await items.create_many([{"name": "e"}], returning="entities")
            painted.append(portrait(members))
            assert members[0] is await items.get_by_id(members[0].id)
            members[0].size = 99
            await session.flush()
            undone = ManyVersioned(name="f")
            async with session.begin_nested() as nested:
                await items.create_many([undone])
                await nested.rollback()
            painted.append(portrait([undone, *members]))
        painted.append(portrait(members))
        return painted

    sent = await both(engine, ask)

    if engine.backend == "postgresql":
        assert any(sql.startswith("COPY") for sql in sent), sent


async def test_facts(engine: AndamiosEngine) -> None:
    """COPY is announced with its rows, or its error, inside the transaction that it is in."""
    if engine.backend != "postgresql":
        pytest.skip("no other backend has COPY")
    queries: list[QueryFinished] = []
    ended: list[TransactionEnded] = []
    engine.hooks.listen(QueryFinished, queries.append)
    engine.hooks.listen(TransactionEnded, ended.append)
    items = GenericRepository[ManyVersioned](engine)
    await items.create_many([{"name": "a"}, {"name": "b"}])
    with pytest.raises(DuplicateError) as caught:
        await items.create_many([{"name": "a"}])

    assert [(2, None), (None, "DuplicateError")] == [(q.rows, q.error) for q in queries]
    assert {str(caught.value.statement)} == {q.statement for q in queries}
    assert ["committed", "rolled back"] == [each.outcome for each in ended]


@pytest.mark.parametrize("is_known", [False, True])
async def test_somebody_listens(engine: AndamiosEngine, *, is_known: bool) -> None:
    """Who has to see statements that write sees an INSERT, a stranger and a cache alike."""
    seen: list[str] = []
    sync_engine = engine.async_engine.sync_engine

    def note(*execution: Any) -> None:
        seen.append(execution[2])

    if is_known:
        listen(sync_engine, "before_cursor_execute", note, misses="writes")
    else:
        sa.event.listen(sync_engine, "before_cursor_execute", note)
    await GenericRepository[ManyVersioned](engine).create_many([{"name": "a"}])

    assert any(sql.startswith("INSERT") for sql in seen)


def versioned(number: int, **values: Any) -> dict[str, Any]:
    """Give a row of what is stored when many are updated."""
    return {"name": f"n{number}", "size": number, **values}


UPDATES: dict[str, tuple[bool, type[Any], Callable[[], Any]]] = {
    "every column": (
        True,
        ManyAll,
        lambda: [{**full(n + 50), "id": n} for n in (1, 2, 3)],
    ),
    "every column but one": (
        True,
        ManyAll,
        lambda: [_without(full(n + 50, id=n), "name", "null") for n in (3, 1, 2)],
    ),
    "nothing else": (
        True,
        ManyAll,
        lambda: [_without(full(n, id=n), "name", "null") for n in (1, 2, 3)],
    ),
    "None": (True, ManyAll, lambda: [{"id": 1, "rank": None, "note": None, "token": None}]),
    "numbers that are rounded": (
        True,
        ManyAll,
        lambda: [{"id": n, "price": D("1.005"), "size": 1e-320} for n in (1, 2)],
    ),
    "some that differ": (True, ManyVersioned, lambda: [{"id": n, "size": 2} for n in (1, 2, 3)]),
    "mixed fields": (
        True,
        ManyVersioned,
        lambda: [{"id": 1, "size": 9}, {"id": 2, "size": 9, "version": 1}, {"size": 9, "id": 3}],
    ),
    "one twice": (True, ManyVersioned, lambda: [{"id": 1, "size": 9}, {"id": 1, "size": 8}]),
    "versions": (
        True,
        ManyVersioned,
        lambda: [{"id": n, "size": 9, "version": 1} for n in (1, 2)],
    ),
    "a version that is stale": (
        True,
        ManyVersioned,
        lambda: [{"id": 1, "size": 9, "version": 1}, {"id": 2, "size": 9, "version": 5}],
    ),
    "a stale version that changes nothing": (
        True,
        ManyVersioned,
        lambda: [{"id": 1, "size": 9, "version": 1}, {"id": 2, "size": 2, "version": 5}],
    ),
    "one that is missing": (True, ManyVersioned, lambda: [{"id": n, "size": 9} for n in (1, 99)]),
    "a key alone": (False, ManyVersioned, lambda: [{"id": 1}, {"id": 2}]),
    "a key alone that is missing": (False, ManyVersioned, lambda: [{"id": 99}]),
    "no key": (False, ManyVersioned, lambda: [{"size": 1}]),
    "a key that is a text": (False, ManyVersioned, lambda: [{"id": "1", "size": 1}]),
    "a key that is too large": (False, ManyVersioned, lambda: [{"id": 1 << 70, "size": 1}]),
    "a field that is not there": (False, ManyVersioned, lambda: [{"id": 1, "sze": 1}]),
    "names that move on": (
        False,
        ManyVersioned,
        lambda: [{"id": 1, "name": "n9"}, {"id": 2, "name": "n1"}, {"id": 3, "name": "n2"}],
    ),
    "names that collide": (
        False,
        ManyVersioned,
        lambda: [{"id": 1, "name": "n2"}, {"id": 2, "name": "n1"}],
    ),
    "an expression": (
        False,
        ManyVersioned,
        lambda: [{"id": 1, "size": ManyVersioned.size + 5}, {"id": 2, "size": 5}],
    ),
    "objects": (True, ManyVersioned, lambda: [ManyVersioned(id=1, size=9), {"id": 2, "size": 9}]),
    "two keys": (
        True,
        ManyMarked,
        lambda: [{"left": "a", "right": n, "weight": n / 7} for n in (1, 2)],
    ),
    "marked rows": (
        True,
        ManyMarked,
        lambda: [{"left": "a", "right": n, "weight": n / 7} for n in (1, 2, 3)],
    ),
    "a mark": (
        False,
        ManyMarked,
        lambda: [{"left": "a", "right": n, "deleted_at": MOMENT} for n in (1, 2)],
    ),
    "a name that is None": (True, ManyRandom, lambda: [{"id": uuid.UUID(int=1), "name": None}]),
    "a name that is too long": (
        True,
        ManyRandom,
        lambda: [{"id": uuid.UUID(int=1), "name": "x" * 300}],
    ),
    "a name that is a number": (
        True,
        ManyRandom,
        lambda: [{"id": uuid.UUID(int=1), "name": "a"}, {"id": uuid.UUID(int=2), "name": 5}],
    ),
    "a number that is a text": (True, ManyVersioned, lambda: [{"id": 1, "size": "x"}]),
    "a tone that is none": (True, ManyAll, lambda: [{"id": 1, "tone": "GREY"}]),
    "a rule that is broken": (False, ManyAll, lambda: [{"id": 1, "even": -1}]),
    "what the database computes": (False, ManyOdd, lambda: [{"id": 1, "both": 7}]),
    "what others are made of": (True, ManyOdd, lambda: [{"id": 1, "a": 7}]),
    "one that makes itself": (True, ManyChosen, lambda: [{"id": 1, "name": "low"}]),
}
"""Whether a statement from arrays is tried, and rows for ``update_many``."""

UPSERTS: dict[str, tuple[bool, type[Any], Any, Callable[[], Any]]] = {
    "every column": (True, ManyAll, "name", lambda: [full(n, even=9) for n in (1, 2, 8, 9)]),
    "mixed fields": (True, ManyAll, ManyAll.name, lambda: [*MIXED, {"name": "n002", "rank": 8}]),
    "None": (True, ManyAll, "name", lambda: [nothing(1), nothing(8)]),
    "one twice": (
        True,
        ManyVersioned,
        "name",
        lambda: [
            {"name": "n1", "size": 8},
            {"name": "n1"},
            {"name": "x"},
            {"name": "x", "size": 1},
        ],
    ),
    "versions": (True, ManyVersioned, "name", lambda: [versioned(n, size=9) for n in (1, 2, 8)]),
    "nothing else": (True, ManyVersioned, "name", lambda: [{"name": "n1"}, {"name": "n8"}]),
    "a version that was read": (
        False,
        ManyVersioned,
        "name",
        lambda: [versioned(1, version=1, size=8)],
    ),
    "by its key": (True, ManyVersioned, "id", lambda: [versioned(7, id=1), versioned(8, id=70)]),
    "a key of another row": (True, ManyVersioned, "name", lambda: [versioned(1, id=2)]),
    "another unique name": (True, ManyVersioned, "id", lambda: [versioned(2, id=1)]),
    "two keys": (
        True,
        ManyMarked,
        ["left", "right"],
        lambda: [{"left": "a", "right": n, "weight": 0.25} for n in (1, 2, 7)],
    ),
    "marked rows": (
        True,
        ManyMarked,
        ["right", "left"],
        lambda: [{"left": "a", "right": n, "weight": 0.25} for n in (2, 3)],
    ),
    "objects": (True, ManyVersioned, "name", lambda: [ManyVersioned(**versioned(1, size=77))]),
    "an expression": (
        False,
        ManyVersioned,
        "name",
        lambda: [versioned(1, size=sa.func.length("abc")), versioned(2, size=2)],
    ),
    "odd defaults": (False, ManyOdd, "id", lambda: [{"id": 1, "a": 5}, {"id": 9, "a": 5}]),
    "numbers of other kinds": (
        True,
        ManyAll,
        "name",
        lambda: [{"name": "n001", "price": 1.005, "size": 3}, {"name": "z", "price": 2, "size": 4}],
    ),
    "no key": (False, ManyVersioned, "name", lambda: [{"size": 1}]),
    "a key that is None": (False, ManyVersioned, "name", lambda: [{"name": None, "size": 1}]),
    "a field that is not there": (False, ManyVersioned, "name", lambda: [{"name": "a", "sze": 1}]),
    "a name that is a number": (False, ManyVersioned, "name", lambda: [{"name": 5, "size": 1}]),
    "a name that is too long": (True, ManyVersioned, "name", lambda: [{"name": "x" * 300}]),
    "a number that is too large": (
        False,
        ManyAll,
        "name",
        lambda: [{"name": "a", "small": 1 << 15}],
    ),
    "a name that is missing": (True, ManyRandom, "id", lambda: [{"id": uuid.UUID(int=1)}]),
    "a document that is none": (
        True,
        ManyAll,
        "name",
        lambda: [{"name": "a", "note": {}}, {"name": "b", "note": {"x": float("nan")}}],
    ),
    "a rule that is broken": (False, ManyAll, "name", lambda: [{"name": "a", "even": -1}]),
}
"""Whether a statement from arrays is tried, by what rows are found, and those rows."""


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in names}


async def fill(engine: AndamiosEngine) -> None:
    """Store what is updated."""
    await restart(engine)
    with all_statements_seen():
        await GenericRepository[ManyAll](engine).create_many([full(n) for n in (1, 2, 3)])
        rows = [versioned(n) for n in (1, 2, 3)]
        await GenericRepository[ManyVersioned](engine).create_many(rows)
        marked = [
            {"left": "a", "right": n, "weight": 0.5, "deleted_at": None if n < 3 else MOMENT}
            for n in (1, 2, 3)
        ]
        await GenericRepository[ManyMarked](engine).create_many(marked)
        random = [{"id": uuid.UUID(int=n), "name": "a"} for n in (1, 2)]
        await GenericRepository[ManyRandom](engine).create_many(random)
        await GenericRepository[ManyOdd](engine).create_many([{"a": 1}])
        await GenericRepository[ManyChosen](engine).create_many([{"name": "a"}])


@pytest.mark.parametrize("batch", [1000, 2])
async def test_update_many(engine: AndamiosEngine, batch: int) -> None:
    """Rows are updated, counted, refused and left alone the same."""
    for case, (is_tried, model, rows) in UPDATES.items():
        await fill(engine)

        async def ask(engine: AndamiosEngine, model: Any = model, rows: Any = rows) -> Any:
            return await GenericRepository[model](engine).update_many(rows(), batch=batch)

        sent = await both(engine, ask, case, fill)
        is_short = any("FROM unnest(" in sql for sql in sent)
        is_bound = "number" not in case and "tone" not in case  # or refused before it is sent
        if engine.backend == "postgresql" and is_bound:
            assert (case, is_short) == (case, is_tried and case != "every column")


@pytest.mark.parametrize("batch", [1000, 2])
async def test_upsert_many(engine: AndamiosEngine, batch: int) -> None:
    """Rows are inserted or updated, counted and refused the same."""
    for case, (is_tried, model, on, rows) in UPSERTS.items():
        await fill(engine)

        async def ask(
            engine: AndamiosEngine, model: Any = model, rows: Any = rows, on: Any = on
        ) -> Any:
            return await GenericRepository[model](engine).upsert_many(rows(), on=on, batch=batch)

        sent = await both(engine, ask, case, fill)
        if engine.backend == "postgresql" and "document" not in case:
            assert (case, is_tried) == (case, any("FROM unnest(" in sql for sql in sent))


async def test_rows_are_not_updated_one_by_one(
    engine: AndamiosEngine, max_queries: MaxQueries
) -> None:
    """Many rows cost no more statements than one, and those that are equal no UPDATE."""
    await fill(engine)
    rows = [{"left": "a", "right": n, "weight": 0.75} for n in (1, 2)]
    marked = GenericRepository[ManyMarked](engine)
    own = 1 if engine.backend == "postgresql" else 2
    with max_queries(own):
        assert 2 == await marked.update_many(rows)
    assert [0.75, 0.75] == [each.weight for each in await marked.query().execute()]
    if engine.backend != "postgresql":
        with max_queries(1):
            await marked.update_many(rows)


async def test_values_that_queries_take_for_the_same(engine: AndamiosEngine) -> None:
    """A value is set though its type's own comparison finds nothing to change."""

    async def begin(engine: AndamiosEngine) -> None:
        await restart(engine)
        await GenericRepository[ManyFolded](engine).create_many([{"id": 1, "word": "a"}])

    async def ask(engine: AndamiosEngine) -> Any:
        words = GenericRepository[ManyFolded](engine)
        await words.update_many([{"id": 1, "word": "A"}])
        return (await words.get_one(1)).word

    await begin(engine)
    sent = await both(engine, ask, "", begin)

    assert "A" == await ask(engine)
    if engine.backend == "postgresql":  # at once, by the database's comparison
        assert [True] == ["FROM unnest(" in sql for sql in sent if sql.startswith("UPDATE")]


async def test_writes_inside_a_session(engine: AndamiosEngine) -> None:
    """Objects that the session has are changed in place, and what waits goes first."""

    async def ask(engine: AndamiosEngine) -> Any:
        async with engine.session() as session:
            items = GenericRepository[ManyVersioned](session)
            held, _ = await items.list({"id__le": 2}, order_by="id")
            session.add(ManyVersioned(name="waits", size=1))
            await items.update_many([{"id": n, "size": 50} for n in (1, 2, 3)])
            with pytest.raises(NotFoundError):
                await items.update_many([{"id": n, "size": 60} for n in (2, 3, 99)])
            painted = [portrait(held)]
            await items.upsert_many([versioned(n, size=70) for n in (1, 3, 8)], on="name")
            await items.upsert_many([{"name": "waits", "size": 70}], on="name")
            painted.append(portrait(held))
            return painted

    await fill(engine)
    sent = await both(engine, ask, "", fill)

    if engine.backend == "postgresql":
        assert 4 == sum("FROM unnest(" in sql for sql in sent), sent


@pytest.fixture
def on_postgresql(backend: str) -> None:
    """Leave other backends alone."""
    if backend != "postgresql":
        pytest.skip("no other backend has COPY")


async def run(engine: AndamiosEngine, *statements: str) -> None:
    """Change tables behind the engine's back, as a migration does."""
    other = AndamiosEngine(engine.url, uvloop=False, pool_size=1)
    async with other, other.connections.acquire() as connection, connection.begin():
        for sql in statements:
            await connection.exec_driver_sql(sql)


class ApartBase(BaseModel, DeclarativeBase):
    """What only PostgreSQL has."""

    __abstract__ = False


class ManyApart(ApartBase):
    """A table of another schema, with names that have to be quoted, and types of PostgreSQL's."""

    __tablename__ = "Many Apart"

    label: Mapped[str] = mapped_column("La-bel")
    numbers: Mapped[list[int] | None] = mapped_column(postgresql.ARRAY(sa.Integer))
    words: Mapped[list[str] | None] = mapped_column(postgresql.ARRAY(sa.Text, dimensions=2))
    tone: Mapped[Tone | None] = mapped_column(sa.Enum(Tone, name="Tone Of", schema="a part"))

    __table_args__ = {"schema": "a part"}  # noqa: RUF012


class ManyFound(ApartBase):
    """A type that asyncpg knows as a text only."""

    words: Mapped[str | None] = mapped_column(postgresql.TSVECTOR)
    address: Mapped[str | None] = mapped_column(postgresql.INET)

    __table_args__ = {"schema": "a part"}  # noqa: RUF012


class ManyCounted(ApartBase):
    """A key that the database alone decides, and a table of another schema."""

    number: Mapped[int] = mapped_column(sa.Identity(always=True), primary_key=True)
    label: Mapped[str]

    __table_args__ = {"schema": "a part"}  # noqa: RUF012


APART: dict[str, tuple[bool, type[Any], list[dict[str, Any]]]] = {
    "arrays and enums": (
        True,
        ManyApart,
        [
            {"label": "x", "numbers": [1, None], "words": [["a"], ["b"]], "tone": Tone.DARK},
            {"label": "x", "numbers": [], "words": None, "tone": None},
        ],
    ),
    "an address": (False, ManyFound, [{"address": "10.0.0.1"}]),
    "what asyncpg cannot copy": (False, ManyFound, [{"words": "a b"}]),
    "keys that are counted": (True, ManyCounted, [{"label": "x"}, {"label": "y"}]),
    "a key that must not be given": (False, ManyCounted, [{"label": "x", "number": 5}]),
}


@pytest.mark.usefixtures("on_postgresql")
@pytest.mark.parametrize("returning", [None, "keys", "entities"])
async def test_tables_apart(engine: AndamiosEngine, returning: Any) -> None:
    """Names are quoted, types of PostgreSQL's copied, and what COPY does otherwise is inserted."""
    for case, (is_copied, model, rows) in APART.items():
        painted = []
        ask = creating(model, lambda rows=rows: rows, returning=returning)
        for way in (nullcontext, all_statements_seen):
            await run(engine, 'DROP SCHEMA IF EXISTS "a part" CASCADE', 'CREATE SCHEMA "a part"')
            await engine.create_all(ApartBase)
            with way(), statements(engine) as sent:
                answer = (await answer_of(ask, engine))[1]
                found = portrait(await GenericRepository[model](engine).query().as_dicts())
            painted.append((case, _comparable((answer, found))))
            is_short = any(sql.startswith('COPY "a part"') for sql in sent)
            assert is_short == (is_copied and way is nullcontext), case
        assert painted[1] == painted[0]


class ManyChanging(UUIDModel, ManyBase):
    """What is changed under its plans."""

    __abstract__ = False

    name: Mapped[str | None]
    size: Mapped[int]


CHANGES = {
    "nothing": "SELECT 1",
    "a view": "ALTER TABLE many_changing RENAME TO many_rest;;"
    "CREATE VIEW many_changing AS SELECT * FROM many_rest WHERE name <> 'x'",
    "a rule": "CREATE RULE many_doubled AS ON INSERT TO many_changing WHERE new.name = 'a' "
    "DO ALSO INSERT INTO many_changing VALUES ('b', 1, gen_random_uuid())",
    "a longer text": "ALTER TABLE many_changing ALTER name TYPE text",
    "a short text": "ALTER TABLE many_changing ALTER name TYPE varchar(1)",
    "no text": "ALTER TABLE many_changing ALTER name TYPE integer USING length(name)",
    "a number of the same size": "ALTER TABLE many_changing ALTER size TYPE double precision",
    "a smaller number": "ALTER TABLE many_changing ALTER size TYPE smallint",
    "a column that is gone": "ALTER TABLE many_changing DROP name",
    "a new column": "ALTER TABLE many_changing ADD other integer NOT NULL DEFAULT 1",
    "a column that is wanted": "ALTER TABLE many_changing ALTER name SET NOT NULL",
    "no table": "DROP TABLE many_changing",
    "a trigger": "CREATE FUNCTION many_change() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN new.name = 'changed'; RETURN new; END $$;;"
    "CREATE TRIGGER many_changed BEFORE INSERT ON many_changing "
    "FOR EACH ROW EXECUTE FUNCTION many_change()",
}


@pytest.mark.usefixtures("on_postgresql")
@pytest.mark.parametrize("change", CHANGES)
async def test_tables_that_change(engine: AndamiosEngine, change: str) -> None:
    """What somebody else does to a table is seen by the next call, as INSERT would see it."""
    small = creating(ManyChanging, lambda: [{"name": "a", "size": 1}])
    rows = [{"name": "abc", "size": 1 << 40}, {"name": None, "size": 5}]
    painted = []
    for way in (nullcontext, all_statements_seen):
        with way():
            await small(engine)
            await small(engine)
            await run(engine, *CHANGES[change].split(";;"))
            for ask in (small, creating(ManyChanging, lambda: rows)):
                painted.append(_comparable(((await answer_of(ask, engine))[1], ())))
                painted.append(await _names(engine))
        await run(engine, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        await engine.create_all(ManyBase)

    assert painted[4:] == painted[:4]


async def _names(engine: AndamiosEngine) -> Portrait:
    """Show what is in the table, but for keys."""
    async with engine.session(read_only=True) as session:
        if await session.scalar(sa.text("SELECT to_regclass('many_changing') IS NULL")):
            return None
        found = await session.execute(sa.text("SELECT * FROM many_changing"))
        rows = [tuple(v for v in row if not isinstance(v, uuid.UUID)) for row in found]
    return sorted(map(str, rows))


@pytest.mark.usefixtures("on_postgresql")
@pytest.mark.parametrize("returning", ["keys", "entities"])
async def test_a_trigger_that_makes_keys(engine: AndamiosEngine, returning: Any) -> None:
    """What comes back is what a trigger made of it."""
    await run(
        engine,
        "CREATE FUNCTION many_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN new.id = new.id + 1000; RETURN new; END $$",
        "CREATE TRIGGER many_changed BEFORE INSERT ON many_versioned "
        "FOR EACH ROW EXECUTE FUNCTION many_change()",
    )
    await both(engine, creating(ManyVersioned, lambda: [*VERSIONS], returning=returning))


@pytest.mark.usefixtures("on_postgresql")
async def test_policies_of_rows(engine: AndamiosEngine) -> None:
    """Where policies say which rows somebody may write, rows are inserted."""
    role = f"many_{uuid.uuid4().hex}"
    await run(
        engine,
        f"CREATE ROLE {role}",
        f"GRANT ALL ON many_random TO {role}",
        "ALTER TABLE many_random ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY many_few ON many_random USING (name <> 'x')",
    )
    try:
        options = {"connect_args": {"server_settings": {"role": role}}}
        async with AndamiosEngine(engine.url, uvloop=False, **options) as guest:
            with statements(guest) as sent:
                assert 1 == await GenericRepository[ManyRandom](guest).create_many([{"name": "a"}])
                with pytest.raises(QueryError):
                    await GenericRepository[ManyRandom](guest).create_many([{"name": "x"}])
            assert not any(sql.startswith("COPY") for sql in sent), sent
    finally:
        await run(engine, "DROP POLICY many_few ON many_random", f"DROP OWNED BY {role}")
        await run(engine, f"DROP ROLE {role}")


@pytest.mark.usefixtures("on_postgresql")
@pytest.mark.parametrize("place", ["engine", "session"])
async def test_cancelled_while_it_waits(engine: AndamiosEngine, server: Server, place: str) -> None:
    """A COPY that is cancelled stores nothing and leaves no connection behind."""
    await GenericRepository[ManyRandom](engine).create_many([{"name": "a"}])
    rows = [{"name": "x" * 200} for _ in range(5000)]
    async with engine.session() as other:
        await other.execute(sa.text("LOCK TABLE many_random IN SHARE MODE"))

        async def copy() -> None:
            if place == "engine":
                await GenericRepository[ManyRandom](engine).create_many(rows)
            else:
                async with engine.session() as session:
                    await GenericRepository[ManyRandom](session).create_many(rows)

        task = asyncio.create_task(copy())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await _is_clean(engine, server, stored=1)


@pytest.mark.usefixtures("on_postgresql")
async def test_cancelled_at_any_step(engine: AndamiosEngine, server: Server) -> None:
    """Wherever a cancellation strikes, all rows are stored or none, and nothing is left open."""
    items, step, is_done = GenericRepository[ManyRandom](engine), 0, False
    rows = [{"name": "x"} for _ in range(3000)]
    while not is_done:
        task = asyncio.create_task(items.create_many(rows, returning="keys"))
        for _ in range(step):
            await asyncio.sleep(0)
        is_done = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        count = await items.count()
        assert count in {0, 3000}
        await items.delete_where({}, unscoped=True)
        step += 7
    assert step > 20
    await _is_clean(engine, server, stored=0)


async def _is_clean(engine: AndamiosEngine, server: Server, *, stored: int) -> None:
    async def is_quiet() -> bool:
        return 0 == engine.connections.stats().in_use and 0 == await server.open_transactions()

    assert await eventually(is_quiet)
    assert stored == await GenericRepository[ManyRandom](engine).count()
    assert 2 == await GenericRepository[ManyRandom](engine).create_many([{"name": "a"}] * 2)
