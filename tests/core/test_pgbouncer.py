"""
An engine behind a real PgBouncer in transaction mode, which has two connections to the server.

They are taken in turn, so that what an engine leaves on one of them is missed a transaction
later. Each test runs with a PgBouncer that keeps prepared statements and with one that does
not.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from andamios import (
    AndamiosEngine,
    BaseModel,
    ConnectionFailedError,
    DuplicateError,
    GenericRepository,
    MigrationError,
    QueryBuilder,
    QueryError,
    ReadOnlyError,
)
from andamios.core.poolers import is_pooled
from andamios.migrations import MigrationManager
from andamios.resilience import TransactionManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

pytestmark = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)

NAMES = {"prepared_statement_cache_size": 100}
PID = text("SELECT pg_backend_pid()")
KEPT = text("SELECT count(*) FROM pg_prepared_statements")


class PooledCrate(BaseModel):
    label: Mapped[str] = mapped_column(unique=True)
    weight: Mapped[int]


@pytest.fixture(
    scope="session",
    params=[{"max_prepared_statements": "0"}, {"max_prepared_statements": "200"}],
    ids=["keeps none", "keeps 200"],
)
def pgbouncer_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Both kinds of PgBouncer; a test may have another one."""
    return dict(request.param)


@pytest.fixture
async def pooled(pgbouncer: str) -> AsyncIterator[AndamiosEngine]:
    """An engine behind it, with more connections than PgBouncer has."""
    # Last in, first out: one after the other, calls use one connection, and PgBouncer's in turn.
    options = {"pool_size": 10, "pool_use_lifo": True}
    async with AndamiosEngine(pgbouncer, uvloop=False, **options) as engine:
        yield engine
        assert 0 == engine.connections.stats().in_use


@pytest.fixture
async def direct(test_database: str) -> AsyncIterator[AndamiosEngine]:
    """An engine on the same database, without PgBouncer."""
    async with AndamiosEngine(test_database, uvloop=False, pool_size=2) as engine:
        yield engine


async def pids(connection: AsyncConnection, transactions: int = 4) -> list[int]:
    """Ask in several transactions which process of the server answers."""
    found = []
    for _ in range(transactions):
        found.append(await connection.scalar(PID))
        await connection.rollback()
    return found


async def both(engine: AndamiosEngine) -> list[int]:
    """Make PgBouncer open both of its connections, and give the processes behind them."""
    async with engine.connections.acquire() as one, engine.connections.acquire() as other:
        return [await one.scalar(PID), await other.scalar(PID)]


async def test_transactions_change_connections(pooled: AndamiosEngine) -> None:
    """One connection of ours meets both of the server's: transaction mode is really in force."""
    expected = await both(pooled)
    async with pooled.connections.acquire() as connection:
        found = await pids(connection)
    assert is_pooled(pooled.async_engine.dialect)
    assert 2 == len(set(expected))
    assert set(expected) == set(found)


async def test_reads_and_writes(pooled: AndamiosEngine, direct: AndamiosEngine) -> None:
    """Each call of a repository works, again and again, on whichever connection."""
    await both(pooled)
    crates = GenericRepository[PooledCrate](pooled)
    for turn in range(4):
        made = await crates.create(PooledCrate(label=f"crate {turn}", weight=turn))
        assert 3 == await crates.create_many(
            {"label": f"{turn}-{number}", "weight": number} for number in range(3)
        )
        await crates.upsert({"label": f"crate {turn}", "weight": 70}, on=["label"])
        assert 70 == (await crates.get_one(made.id)).weight
        assert made.id == (await crates.find_one({"label": f"crate {turn}"})).id
        assert 1 == await crates.update_where({"weight": 70}, {"weight": 71})
        assert 4 == await crates.count() == len(await crates.list())
        assert 4 == len([each async for each in crates.stream(batch=2)])
        page = await crates.page(2, 3)
        assert (4, 1) == (page.total, len(page.items))
        with pytest.raises(DuplicateError):
            await crates.create(PooledCrate(label=f"crate {turn}", weight=1))
        assert await crates.delete(made.id)
        assert 3 == await crates.delete_where({"weight__lt": 3})
    assert 0 == await GenericRepository[PooledCrate](direct).count()


async def test_transactions(pooled: AndamiosEngine, direct: AndamiosEngine) -> None:
    """They are kept or lost as a whole, with their savepoints, levels and rights."""
    await both(pooled)
    for turn in range(4):
        async with pooled.session(isolation="SERIALIZABLE") as session:
            assert "serializable" == await session.scalar(text("SHOW transaction_isolation"))
            first = await session.scalar(PID)
            session.add(PooledCrate(label=f"kept {turn}", weight=1))
            with pytest.raises(DuplicateError):
                async with session.begin_nested():
                    session.add(PooledCrate(label=f"kept {turn}", weight=2))
            assert first == await session.scalar(PID)
        with pytest.raises(ZeroDivisionError):  # noqa: PT012  the block is a transaction
            async with pooled.session() as session:
                session.add(PooledCrate(label=f"lost {turn}", weight=1))
                await session.flush()
                raise ZeroDivisionError
        with pytest.raises(ReadOnlyError):
            async with pooled.session(read_only=True) as session:
                session.add(PooledCrate(label=f"refused {turn}", weight=1))
    found = await QueryBuilder(PooledCrate, direct).order_by(PooledCrate.label).execute()
    assert [f"kept {turn}" for turn in range(4)] == [each.label for each in found]


async def test_fifty_tasks_share_two_connections(
    pooled: AndamiosEngine, direct: AndamiosEngine
) -> None:
    """Nobody meets a statement, a row or a transaction of another one."""
    crates = GenericRepository[PooledCrate](pooled)

    async def heavier(session: Any) -> int:
        crate = await GenericRepository[PooledCrate](session).find_one({"label": "shared"})
        crate.weight += 1
        return await session.scalar(PID)

    async def work(number: int) -> int:
        made = await crates.create(PooledCrate(label=f"{number}", weight=number))
        async with pooled.session() as session:
            mine = await GenericRepository[PooledCrate](session).get_one(made.id)
            mine.weight += 1000
            await session.flush()
            before = await session.scalar(PID)
            await asyncio.sleep(0)
            assert before == await session.scalar(PID)
        found = await asyncio.gather(crates.get_one(made.id), crates.find_one({"weight": number}))
        assert (number + 1000, None) == (found[0].weight, found[1])
        again = TransactionManager(pooled)
        return await again.run(heavier, isolation="REPEATABLE READ", attempts=200)

    await crates.create(PooledCrate(label="shared", weight=5000))
    found = await asyncio.gather(*map(work, range(50)))
    weights = {
        each.label: each.weight for each in await GenericRepository[PooledCrate](direct).list()
    }
    assert {"shared": 5050} | {f"{number}": number + 1000 for number in range(50)} == weights
    assert 2 == len(set(found))


async def test_statements_without_a_transaction(pooled: AndamiosEngine) -> None:
    """A statement that commits by itself keeps its text and its values together."""

    async def ask(number: int) -> bool:
        async with pooled.connections.acquire() as plain:
            connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
            sent = text(f"SELECT CAST(:number AS INTEGER) + {number % 2}"), {"number": number}
            found = [await connection.scalar(*sent) for _ in range(5)]
            return [number + number % 2] * 5 == found

    assert all(await asyncio.gather(*map(ask, range(50))))


@pytest.mark.isolation("own")
async def test_a_change_of_the_schema(pooled: AndamiosEngine, direct: AndamiosEngine) -> None:
    """Statements that ran before are right after it, on both connections, at the first try."""
    await both(pooled)
    crates = GenericRepository[PooledCrate](pooled)
    await crates.create(PooledCrate(label="first", weight=1))

    async def look() -> list[Any]:
        found = [
            [(each.label, each.weight) for each in await crates.list()],
            [(await crates.get_one(1)).weight, (await crates.find_one({"weight": 1})).id],
        ]
        async with pooled.session() as session:
            rows = await session.execute(text("SELECT label, weight FROM pooled_crate"))
            found.append([tuple(row) for row in rows])
        return found

    before = [await look() for _ in range(8)]
    for change in ("label TYPE TEXT", "weight TYPE INTEGER", "weight TYPE BIGINT"):
        async with direct.session() as session:
            await session.execute(text(f"ALTER TABLE pooled_crate ALTER COLUMN {change}"))
        assert before == [await look() for _ in range(8)]


async def test_a_cancelled_statement(pooled: AndamiosEngine, direct: AndamiosEngine) -> None:
    """It ends on the server too, and the next calls find both connections in order."""
    await both(pooled)
    crates = GenericRepository[PooledCrate](pooled)
    running = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND state <> 'idle'"
    )

    async def linger(number: int) -> None:
        async with pooled.session() as session:
            session.add(PooledCrate(label=f"gone {number}", weight=1))
            await session.flush()
            await session.execute(text("SELECT pg_sleep(30)"))

    for _ in range(3):
        tasks = [asyncio.create_task(linger(number)) for number in range(2)]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        assert {asyncio.CancelledError} == set(
            map(type, await asyncio.gather(*tasks, return_exceptions=True))
        )
        found = await asyncio.gather(*(crates.count() for _ in range(8)))
        assert [0] * 8 == found
        async with direct.session() as session:
            assert 0 == await session.scalar(running)


async def test_a_connection_that_was_idle(
    pooled: AndamiosEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is pinged before it is used, which leaves nothing on the server either."""
    monkeypatch.setattr("andamios.core.ping.IDLE_BEFORE_PING", 0.0)
    expected = set(await both(pooled))
    for _ in range(4):
        async with pooled.connections.acquire() as connection:
            # Two transactions and that of the ping: each is now on this side, now on that.
            assert expected == set(await pids(connection, 2))


async def test_nothing_stays_on_the_server(pooled: AndamiosEngine) -> None:
    """No prepared statement piles up on connections that others use."""
    await both(pooled)
    crates = GenericRepository[PooledCrate](pooled)
    for number in range(4):
        await crates.create(PooledCrate(label=f"{number}", weight=number))
    for _ in range(2):
        async with pooled.session() as session:
            assert [] == list(
                await session.scalars(text("SELECT name FROM pg_prepared_statements"))
            )


async def test_engines_that_create_tables_at_once(pgbouncer: str) -> None:
    """Their lock lasts as long as its transaction, and so does the connection."""
    engines = [AndamiosEngine(pgbouncer, uvloop=False) for _ in range(4)]
    await asyncio.gather(*(engine.create_all(PooledCrate) for engine in engines))
    await asyncio.gather(*(engine.close() for engine in engines))


async def test_migrations_are_refused(pooled: AndamiosEngine, tmp_path: Path) -> None:
    """A lock that is held from one transaction to the next is not to be had here."""
    with pytest.raises(MigrationError, match="PostgreSQL's own address"):
        await MigrationManager(pooled, tmp_path).apply_migrations()


async def test_settings_that_it_does_not_know(pgbouncer: str) -> None:
    """PgBouncer refuses them when an engine connects, and the error says what to do."""
    options = {"server_settings": {"jit": "off"}}
    engine = AndamiosEngine(pgbouncer, uvloop=False, connect_args=options)
    with pytest.raises(ConnectionFailedError, match="ignore_startup_parameters"):
        await engine.open()
    await engine.close()


async def test_names_where_pgbouncer_keeps_them(
    pgbouncer: str, pgbouncer_settings: dict[str, str]
) -> None:
    """Whoever asks for prepared statements has them there, and is told the cause elsewhere."""
    keeps = pgbouncer_settings["max_prepared_statements"] != "0"
    address = f"{pgbouncer}?prepared_statement_cache_size=100"
    async with AndamiosEngine(address, uvloop=False) as engine:
        expected = set(await both(engine))
        async with engine.connections.acquire() as connection:
            if keeps:
                assert expected == set(await pids(connection))
                assert await connection.scalar(KEPT) > 0
                return
            with pytest.raises(QueryError, match="leave out prepared_statement_cache_size"):
                await pids(connection)


class Silent(asyncpg.Connection):
    """A connection to a pooler that does not say what it is, as those before PgBouncer 1.26."""

    def get_settings(self) -> Any:
        """Give what PgBouncer passes on from the server, as far as anybody asks."""
        return SimpleNamespace(server_version="18.0")


async def test_a_pooler_that_does_not_tell(pgbouncer: str, direct: AndamiosEngine) -> None:
    """It is known by the number of the server's process, which it cannot pass on."""
    options = {"connection_class": Silent}
    async with AndamiosEngine(pgbouncer, uvloop=False, connect_args=options) as engine:
        expected = await both(engine)
        async with engine.connections.acquire() as connection:
            assert set(expected) == set(await pids(connection))
        assert is_pooled(engine.async_engine.dialect)
    assert not is_pooled(direct.async_engine.dialect)


@pytest.mark.parametrize(
    "pgbouncer_settings", [{"pool_mode": "session", "server_round_robin": "0"}], indirect=True
)
async def test_a_pooler_in_session_mode(pooled: AndamiosEngine) -> None:
    """A connection of ours is one of the server's there: everything is as without a pooler."""
    async with pooled.connections.acquire() as connection:
        assert 1 == len(set(await pids(connection)))
        assert await connection.scalar(KEPT) > 0
    assert not is_pooled(pooled.async_engine.dialect)
