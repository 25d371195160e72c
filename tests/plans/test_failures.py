"""The short way when something fails: cancelled, cut off, outdated, crowded, or listened to."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import MetaData, event, text

from andamios import (
    AndamiosEngine,
    AndamiosError,
    CommitOutcomeUnknownError,
    ConnectionFailedError,
    GenericRepository,
    PoolTimeoutError,
)
from andamios.core import ping
from andamios.core.facts import (
    CommitStarted,
    ConnectionReturned,
    ConnectionTaken,
    QueryFinished,
    TransactionEnded,
)
from andamios.core.listening import all_statements_seen, listen, stop
from harness.faults import Moment
from harness.fixtures.faults import FaultProxyMaker
from tests.core.server import Server, eventually, other_connections
from tests.plans.counting import ran
from tests.plans.models import PlansBase, PlansNote
from tests.plans.portraits import answer_of, difference

# A connection that is struck between its making and its set-up, which SQLAlchemy then
# forgets, is closed by the garbage collector, with a warning.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

Notes = GenericRepository[PlansNote]
Work = Callable[[AndamiosEngine], Awaitable[Any]]
KEPT = 1_000_000


@pytest.fixture(scope="session")
def db_metadata() -> MetaData:
    """The tables of this folder's models."""
    return PlansBase.metadata


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect what a test left behind while the test still answers for it."""
    yield
    gc.collect()


@pytest_asyncio.fixture
async def server(test_database: str) -> AsyncIterator[Server]:
    """The server, seen through a connection that no test uses otherwise."""
    async with AndamiosEngine(test_database, uvloop=False, pool_size=1) as watcher:
        yield Server(watcher)


@pytest_asyncio.fixture
async def make_engine(engine: AndamiosEngine) -> AsyncIterator[Callable[..., AndamiosEngine]]:
    """Build engines on this test's database, which are closed after it."""
    made: list[AndamiosEngine] = []

    def make(**options: Any) -> AndamiosEngine:
        made.append(AndamiosEngine(engine.url, uvloop=False, **options))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def stored(engine: AndamiosEngine, word: str, **values: Any) -> PlansNote:
    """Store a note by a session."""
    async with engine.session() as session:
        note = PlansNote(word=word, **values)
        session.add(note)
    return note


async def keep(engine: AndamiosEngine) -> PlansNote:
    """Store the note that calls are about, whose key is known and no new one's."""
    return await stored(engine, "kept", id=KEPT)


async def words(engine: AndamiosEngine) -> list[str]:
    """Give what is committed, on the long way."""
    with all_statements_seen():
        return sorted(note.word for note in await Notes(engine).list())


async def is_whole(engine: AndamiosEngine, server: Server) -> bool:
    """Whether nothing is checked out, nobody waits, and nothing is open on the server."""
    stats = engine.connections.stats()
    return (0, 0, 0) == (stats.in_use, stats.waiting, await server.open_transactions())


# -- cancelled


class Struck:
    """
    Work that is cancelled when it waits for the n-th time.

    Args:
        work: What is awaited.
        at: When to strike, from 1.
    """

    def __init__(self, work: Awaitable[Any], at: int) -> None:
        self._work, self._at = work, at
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        """Pass on what the work waits for."""
        steps: Any = self._work.__await__()
        answer: Any = None
        failure: BaseException | None = None
        while True:
            try:
                waited = steps.throw(failure) if failure else steps.send(answer)
            except StopIteration as end:
                return end.value
            self.waits += 1
            task = asyncio.current_task()
            if self.waits == self._at and task is not None:
                task.cancel()
            try:
                answer, failure = (yield waited), None
            except BaseException as error:  # noqa: BLE001  it is the work's
                failure = error


async def _get(engine: AndamiosEngine) -> None:
    await Notes(engine).get_by_id(KEPT)


async def _list(engine: AndamiosEngine) -> None:
    await Notes(engine).list({"size": None}, order_by="word", limit=5)


async def _create(engine: AndamiosEngine) -> None:
    await Notes(engine).create(PlansNote(word="struck"))


async def _update(engine: AndamiosEngine) -> None:
    note = await Notes(engine).find_one({"word": "kept"})
    assert note is not None
    note.size = (note.size or 0) + 1
    await Notes(engine).update(note)


async def _delete(engine: AndamiosEngine) -> None:
    await Notes(engine).delete(KEPT)


WORKS = [_get, _list, _create, _update, _delete]


@pytest.mark.parametrize("pool", ["warm", "cold", "overflowing", "crowded", "written to"])
@pytest.mark.parametrize("work", WORKS)
async def test_cancelled_at_every_await(
    engine: AndamiosEngine,
    make_engine: Callable[..., AndamiosEngine],
    server: Server,
    work: Work,
    pool: str,
) -> None:
    """Wherever a call is struck, no connection stays out, and the next call works."""
    await keep(engine)
    sizes = {"overflowing": (1, 5), "crowded": (1, 0), "written to": (3, 1)}.get(pool, (2, 1))
    crowd = {"overflowing": _none, "crowded": _none, "written to": _touch}.get(pool)
    tried = make_engine(pool_size=sizes[0], max_overflow=sizes[1], pool_timeout=5)
    for at in range(1, 100):
        if pool == "cold":
            await tried.close()
        else:
            await Notes(tried).count()
        struck = await _strike(tried, work, at, crowd)
        assert await eventually(lambda: is_whole(tried, server)), f"struck at {at}"
        await _restore(engine)
        assert await Notes(tried).exists({"word": "kept"})
        if struck.waits < at:
            break
    assert at > 1
    assert [0] * 6 == [
        len(found) for found in await asyncio.gather(*(_none(tried) for _ in range(6)))
    ]


async def _strike(engine: AndamiosEngine, work: Work, at: int, crowd: Work | None) -> Struck:
    """Strike work that others were before, whom that must not concern."""
    struck = Struck(work(engine), at)

    async def run() -> None:
        await struck

    tasks = [asyncio.create_task(crowd(engine)) for _ in range(3)] if crowd is not None else []
    *others, end = await asyncio.gather(*tasks, asyncio.create_task(run()), return_exceptions=True)
    assert [[]] * len(tasks) == others
    assert isinstance(end, asyncio.CancelledError | None), end
    return struck


async def _none(engine: AndamiosEngine) -> list[PlansNote]:
    return await Notes(engine).list({"word": "nobody's"})


async def _touch(engine: AndamiosEngine) -> list[PlansNote]:
    """Write, though nothing changes."""
    await Notes(engine).query().filter(PlansNote.word == "nobody's").update({"size": 1})
    return []


async def _restore(engine: AndamiosEngine) -> None:
    await Notes(engine).delete_where({"word": "struck"})
    if not await Notes(engine).exists({"word": "kept"}):
        await keep(engine)


@pytest.mark.parametrize("handed", ["a connection", "leave to open one"])
@pytest.mark.parametrize("work", WORKS)
async def test_cancelled_when_its_turn_comes(
    make_engine: Callable[..., AndamiosEngine], work: Work, handed: str
) -> None:
    """Who is struck in the moment in which it is handed something passes that on."""
    engine = make_engine(pool_size=1, max_overflow=0)
    await keep(engine)
    pool: Any = engine.async_engine.sync_engine.pool
    lent = pool.lend()
    task = asyncio.create_task(work(engine))
    await asyncio.sleep(0)
    assert (1, 1) == (engine.connections.stats().in_use, engine.connections.stats().waiting)
    if handed == "a connection":
        pool.take_back(lent)
    else:
        pool.resize(2, 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if handed != "a connection":
        assert 1 == engine.connections.stats().in_use
        pool.take_back(lent)
    assert [[], []] == await asyncio.gather(_none(engine), _none(engine))
    stats = engine.connections.stats()
    assert (0, 0) == (stats.in_use, stats.waiting)


# -- cut off


OTHERS = (
    "SELECT pid, wait_event_type = 'Lock' AS waits FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)
KILL = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


@pytest.fixture
def kind(engine: AndamiosEngine) -> str:
    """Whose words to use for what a server is asked."""
    if engine.backend == "sqlite":
        pytest.skip("SQLite has no server that could end a connection")
    return "postgresql" if engine.backend == "postgresql" else "mysql"


async def end(engine: AndamiosEngine, kind: str, *, waiting: bool = False) -> int:
    """End connections to this database from the server's side, and say how many."""
    async with AndamiosEngine(engine.url, uvloop=False, pool_size=1) as other:
        plain = other.async_engine.execution_options(isolation_level="AUTOCOMMIT")
        async with plain.connect() as connection:
            if kind == "postgresql":
                others = [tuple(row) for row in await connection.execute(text(OTHERS))]
            else:
                # InnoDB's own list of those who wait is renewed only for who seldom asks.
                listed = await other_connections(connection)
                others = [(row["Id"], str(row["Info"]).startswith("UPDATE")) for row in listed]
            found = [number for number, waits in others if waits or not waiting]
            for number in found:
                await connection.execute(text(KILL[kind].format(number)))
    return len(found)


@pytest.mark.parametrize("work", WORKS)
async def test_ended_while_idle(
    engine: AndamiosEngine, kind: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody notices, not even who writes: what is seen to be closed is not used."""
    monkeypatch.setattr(ping, "IDLE_BEFORE_PING", 60)  # so that nobody asks whether it works
    await keep(engine)
    await asyncio.gather(*(_none(engine) for _ in range(3)))
    assert 3 <= await end(engine, kind)

    async def is_seen() -> bool:
        pool: Any = engine.async_engine.sync_engine.pool
        return not any(map(ping.is_trusted, pool._idle))  # noqa: SLF001

    assert await eventually(is_seen)
    with ran() as seen:
        await work(engine)
    assert len(seen.writes) == (work not in {_get, _list})
    found = {note.word: note.size for note in await Notes(engine).list()}
    expected = {_create: {"kept": None, "struck": None}, _update: {"kept": 1}, _delete: {}}
    assert expected.get(work, {"kept": None}) == found
    await asyncio.gather(*(_none(engine) for _ in range(6)))
    assert 0 == engine.connections.stats().in_use


async def test_ended_under_a_write(engine: AndamiosEngine, kind: str) -> None:
    """A write whose connection is ended while it waits may have happened, and is not repeated."""
    note = await Notes(engine).create(PlansNote(word="kept"))
    note.size = 7
    with ran() as seen:
        async with engine.session() as session:
            await session.execute(text("UPDATE plans_note SET size = 1"))
            task = asyncio.create_task(Notes(engine).update(note))

            async def ended() -> bool:
                return 1 == await end(engine, kind, waiting=True)

            assert await eventually(ended)
            with pytest.raises(CommitOutcomeUnknownError, match="may have happened or not"):
                await task
    assert 1 == len(seen.writes)
    assert 0 == engine.connections.stats().in_use
    assert 1 == (await Notes(engine).get_one(note.id)).size


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
async def test_cut_around_a_write(
    engine: AndamiosEngine, fault_proxy: FaultProxyMaker, moment: Moment, is_known: bool
) -> None:
    """Whether the server got it or not, nobody knows, which the caller is told; it is sent once."""
    proxy = await fault_proxy(engine.url)
    async with AndamiosEngine(proxy.url, uvloop=False, pool_size=2) as through:
        if is_known:
            await Notes(through).create(PlansNote(word="first"))
        else:
            await Notes(through).count()
        proxy.cut(b"a word to cut at", moment)
        with ran() as seen, pytest.raises(CommitOutcomeUnknownError):
            await Notes(through).create(PlansNote(word="a word to cut at"))
        assert (1, 1) == (proxy.cuts, len(seen.writes))
        assert 0 == through.connections.stats().in_use
        assert ["first"] * is_known == [word for word in await words(through) if word == "first"]
    cut = "a word to cut at" in await words(engine)
    assert cut == (moment == "after")


async def test_cut_under_a_read(engine: AndamiosEngine, fault_proxy: FaultProxyMaker) -> None:
    """A read is repeated once, on a fresh connection; if that fails too, the caller is told."""
    proxy = await fault_proxy(engine.url)
    await keep(engine)
    async with AndamiosEngine(proxy.url, uvloop=False, pool_size=2) as through:
        assert 1 == await Notes(through).count()
        proxy.cut(b"kept", "after")
        assert [1] == [note.id and 1 for note in await Notes(through).list({"word": "kept"})]
        assert 1 == proxy.cuts
        await proxy.down()
        with pytest.raises(ConnectionFailedError):
            await Notes(through).list({"word": "kept"})
        await proxy.up()
        assert 1 == await Notes(through).count()
        assert 0 == through.connections.stats().in_use


# -- outdated


CHANGES = {
    "a new column": {"": "ALTER TABLE plans_note ADD COLUMN extra INTEGER"},
    "another type": {
        "postgresql": "ALTER TABLE plans_note ALTER COLUMN size TYPE NUMERIC(20, 2)",
        "mysql": "ALTER TABLE plans_note MODIFY size DECIMAL(20, 2)",
        "sqlite": "SELECT 1",
    },
    "a text": {
        "postgresql": "ALTER TABLE plans_note ALTER COLUMN size TYPE TEXT",
        "mysql": "ALTER TABLE plans_note MODIFY size VARCHAR(20)",
        "sqlite": "SELECT 1",
    },
    "a longer word": {
        "postgresql": "ALTER TABLE plans_note ALTER COLUMN word TYPE VARCHAR(300)",
        "mysql": "ALTER TABLE plans_note MODIFY word VARCHAR(300) NOT NULL",
        "sqlite": "SELECT 1",
    },
    "a column less": {"": "ALTER TABLE plans_note DROP COLUMN size"},
    "another name": {"": "ALTER TABLE plans_note RENAME COLUMN size TO sizes"},
    "no table": {"": "DROP TABLE plans_note"},
}

OTHERWISE = {"a column less", "another name", "no table"}
"""Where deleting by key ends otherwise on the short way, since it does not read the row before."""


async def _resized(engine: AndamiosEngine) -> Any:
    note = await Notes(engine).get_one(1)
    note.size = 5 if note.size != 5 else 6
    return await Notes(engine).update(note)


ASKED: dict[str, Work] = {
    "get": lambda e: Notes(e).get_by_id(1),
    "list": lambda e: Notes(e).list(order_by="id"),
    "dicts": lambda e: Notes(e).query().order_by("id").as_dicts(),
    "only": lambda e: Notes(e).query().only("size", "word").order_by("id").execute(),
    "count": lambda e: Notes(e).count({"size": 1}),
    "create": lambda e: Notes(e).create(PlansNote(word="created", size=2)),
    "update": _resized,
    "delete": lambda e: Notes(e).delete(2),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_schema_that_changes(twin_databases: list[str], change: str) -> None:
    """What is known of a statement is told anew, or fails as the long way fails."""
    here, there = (AndamiosEngine(url, uvloop=False, pool_size=1) for url in twin_databases)
    async with here, there:
        for engine in (here, there):
            await stored(engine, "first")
            await stored(engine, "second")
        before = await _asked_both(here, there)
        for engine in (here, there):
            await _alter(engine, change)
        less = {"delete"} if change in OTHERWISE else set()
        after = [*await _asked_both(here, there, less), *await _asked_both(here, there, less)]
        assert [] == [*before, *after]
        assert 0 == here.connections.stats().in_use


async def _asked_both(
    here: AndamiosEngine, there: AndamiosEngine, less: Collection[str] = ()
) -> list[str]:
    told = []
    for name, ask in ASKED.items():
        first = (await answer_of(ask, here))[1]
        with all_statements_seen():
            wanted = (await answer_of(ask, there))[1]
            if wanted[0] == "raised" and first[0] == "gave":
                # SQLAlchemy prepares anew with the next call, the short way with this one.
                wanted = (await answer_of(ask, there))[1]
        if first != wanted and name not in less:
            told.append(f"{name}\n{difference(wanted, first)}")
        for engine in (here, there):
            with suppress(AndamiosError):
                await Notes(engine).delete_where({"word": "created"})
    return told


async def _alter(engine: AndamiosEngine, change: str) -> None:
    statements = CHANGES[change]
    kind = "mysql" if engine.backend == "mariadb" else engine.backend
    async with (
        AndamiosEngine(engine.url, uvloop=False, pool_size=1) as other,
        other.connections.acquire() as connection,
        connection.begin(),
    ):
        await connection.execute(text(statements.get(kind, statements.get("", ""))))


# -- crowded


async def test_fifty_tasks_and_one_connection(make_engine: Callable[..., AndamiosEngine]) -> None:
    """They take turns, and all of them get what they asked for."""
    engine = make_engine(pool_size=1, max_overflow=0)
    note = await keep(engine)
    found = await asyncio.gather(
        *(Notes(engine).get_one(note.id) for _ in range(25)),
        *(Notes(engine).create(PlansNote(word=f"word {n}")) for n in range(25)),
    )
    assert 26 == len({each.word for each in found}) == len(await words(engine))
    stats = engine.connections.stats()
    assert (0, 0, 1) == (stats.in_use, stats.waiting, stats.idle)


@pytest.mark.parametrize("work", WORKS)
async def test_no_connection_in_time(
    make_engine: Callable[..., AndamiosEngine], work: Work
) -> None:
    """Whoever waits too long is told so, as on the long way; who waits long enough goes on."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=0.1)
    await keep(engine)
    async with engine.connections.acquire():
        first = (await answer_of(work, engine))[1]
        with all_statements_seen():
            wanted = (await answer_of(work, engine))[1]
    assert wanted == first
    assert PoolTimeoutError.__name__ == first[1][0]
    await work(engine)
    stats = engine.connections.stats()
    assert (0, 0) == (stats.in_use, stats.waiting)


async def test_closed_meanwhile(make_engine: Callable[..., AndamiosEngine]) -> None:
    """An engine that is closed under its calls leaves nobody hanging, and can be used again."""
    engine = make_engine(pool_size=2, max_overflow=0, pool_timeout=2)
    await keep(engine)
    async with engine.connections.acquire(), engine.connections.acquire():
        tasks = [asyncio.create_task(Notes(engine).count()) for _ in range(20)]
        await asyncio.sleep(0)
        assert 20 == engine.connections.stats().waiting
        async with asyncio.timeout(10):
            await engine.close()
            assert [1] * 20 == await asyncio.gather(*tasks)
    assert 1 == await Notes(engine).count()
    assert 0 == engine.connections.stats().in_use


# -- listened to


async def _everything(engine: AndamiosEngine) -> None:
    notes = Notes(engine)
    note = await notes.create(PlansNote(word="heard"))
    await notes.get_by_id(note.id)
    await notes.list({"word": "heard"})
    await notes.count()
    note.size = 1
    await notes.update(note)
    with suppress(AndamiosError):
        await notes.create(PlansNote(word="heard"))
    await notes.delete(note.id)


EVENTS = ["before_cursor_execute", "after_cursor_execute", "before_execute", "after_execute"]


@pytest.mark.parametrize("name", EVENTS)
async def test_a_listener_sees_every_statement(engine: AndamiosEngine, name: str) -> None:
    """Who listens as an instrumentation does misses nothing; when it has gone, all is short."""
    heard: list[str] = []

    def note(*given: Any) -> None:
        heard.append(str(given[2] if "cursor" in name else given[1]))

    event.listen(engine.async_engine.sync_engine, name, note)
    with ran() as seen:
        await _everything(engine)
    assert [] == seen.statements
    words = [statement.split()[0] for statement in heard if "plans_note" in statement]
    assert {"INSERT", "SELECT", "UPDATE", "DELETE"} == set(words)
    event.remove(engine.async_engine.sync_engine, name, note)
    heard.clear()
    with ran() as seen:
        await _everything(engine)
    assert seen.writes
    assert [] == heard


FACTS = [QueryFinished, ConnectionTaken, ConnectionReturned, CommitStarted, TransactionEnded]


@pytest.mark.parametrize(
    "kinds",
    [[each] for each in FACTS] + [FACTS],
    ids=lambda kinds: "-".join(k.__name__ for k in kinds),
)
async def test_facts_are_announced(
    make_engine: Callable[..., AndamiosEngine], kinds: list[Any]
) -> None:
    """Metrics count the same on both ways: statements, errors, transactions, check-outs."""
    short, long = make_engine(), make_engine()
    heard = {engine: _listening(engine, kinds) for engine in (short, long)}
    for engine in (short, long):
        await Notes(engine).count()
    with ran() as seen:
        await _heard_during(short, heard[short])
    with all_statements_seen():
        await _heard_during(long, heard[long])
    assert _usual(heard[long]) == _usual(heard[short])
    assert seen.statements
    # Who waits for a COMMIT waits for that of a write.
    assert (CommitStarted in kinds) != bool(seen.writes)


def _usual(heard: list[Any]) -> Counter[Any]:
    """Count what was heard, but for what a way does its own way."""
    # Before a DELETE the long way reads the row, and a reading transaction has its COMMIT too.
    return Counter(
        fact for fact in heard if fact != ("CommitStarted",) and fact[:2] != ("query", "SELECT")
    )


async def test_a_listener_that_takes_a_place(engine: AndamiosEngine) -> None:
    """Somebody who comes in the moment in which one of Andamios' own goes is heard of."""
    heard: list[str] = []
    sync = engine.async_engine.sync_engine

    def ours(*_given: Any) -> None:
        """Miss nothing."""

    def stranger(*given: Any) -> None:
        heard.append(str(given[2]))

    listen(sync, "before_cursor_execute", ours)
    with ran() as seen:
        await Notes(engine).count()
    stop(sync, "before_cursor_execute", ours)
    event.listen(sync, "before_cursor_execute", stranger)
    assert seen.statements
    await Notes(engine).count()
    event.remove(sync, "before_cursor_execute", stranger)
    assert [] != heard


def _listening(engine: AndamiosEngine, kinds: list[Any]) -> list[Any]:
    heard: list[Any] = []
    for kind in kinds:
        engine.hooks.listen(kind, lambda fact: heard.append(_shown(fact)))
    return heard


def _shown(fact: Any) -> tuple[Any, ...]:
    if isinstance(fact, QueryFinished):
        # With RETURNING, rows are told on the short way alone.
        return "query", fact.statement.split()[0], fact.error
    if isinstance(fact, TransactionEnded):
        return "transaction", fact.outcome
    return (type(fact).__name__,)


async def _heard_during(engine: AndamiosEngine, heard: list[Any]) -> None:
    heard.clear()
    await _everything(engine)
