"""Advice on indexes: proven, useful, not there yet, and nothing left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column

from andamios import AndamiosEngine, BaseModel, GenericRepository, QueryBuilder, QueryError
from andamios.core.facts import QueryFinished
from andamios.queries import IndexSuggestion, QueryOptimizer
from andamios.queries.indexes import hypothetical, proof
from tests.core.server import eventually, other_connections

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class AdviceParcel(BaseModel):
    city: Mapped[int]
    weight: Mapped[int]
    code: Mapped[str] = mapped_column(index=True)
    route_id: Mapped[int]


class AdviceRoute(BaseModel):
    name: Mapped[str]


class AdviceBase(DeclarativeBase):
    """Of somebody else: SQLAlchemy's own names, which tell the first column only."""


class AdvicePlain(AdviceBase):
    __tablename__ = "advice_plain"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[int] = mapped_column(index=True)
    size: Mapped[int]


class AdviceNamed(DeclarativeBase):
    """Of somebody who names no indexes, or so that a server has to cut the name."""

    metadata = sa.MetaData(naming_convention={"pk": "pk_%(table_name)s"})


class AdviceLong(AdviceNamed):
    __tablename__ = "advice_" + "long_" * 8 + "name"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[int]
    size: Mapped[int] = mapped_column("size_" * 8 + "x")


QUERY = QueryBuilder(AdviceParcel).filter(AdviceParcel.city == 7).order_by("weight").limit(5)
WANTED = "CREATE INDEX ix_advice_parcel_city_weight ON advice_parcel (city, weight)"
HYPOPG = sa.text("SELECT count(*) FROM pg_available_extensions WHERE name = 'hypopg'")


@pytest.fixture(params=["hypothetical", "copy", "build"])
async def build(
    request: pytest.FixtureRequest,
    engine: AndamiosEngine,
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
) -> bool:
    """The way in which indexes are tried: whether they are built."""
    if request.param == "hypothetical":
        if backend != "postgresql":
            pytest.skip("only PostgreSQL has hypothetical indexes")
        async with engine.connections.acquire() as connection:
            if not await connection.scalar(HYPOPG):
                pytest.skip("this server has no HypoPG")
    else:
        monkeypatch.setattr(hypothetical, "AVAILABLE", sa.text("SELECT 0"))
    return request.param == "build"


@pytest.fixture
async def parcels(engine: AndamiosEngine) -> AsyncIterator[AndamiosEngine]:
    """20,000 parcels; indexes that a test makes are dropped."""
    await _fill(engine, 20_000)
    before = await _indexes(engine)
    yield engine
    for name in await _indexes(engine) - before:
        on = " ON advice_parcel" if engine.backend in {"mysql", "mariadb"} else ""
        await _run(engine, f"DROP INDEX {name}{on}")


async def _fill(engine: AndamiosEngine, count: int) -> None:
    rows = (
        {"city": n % 300, "weight": n * 7 % 9973, "code": f"c{n}", "route_id": n * 3 % 5000}
        for n in range(count)
    )
    await GenericRepository[AdviceParcel](engine).create_many(rows)
    if engine.backend == "postgresql":
        await _run(engine, "ANALYZE advice_parcel")


async def _run(engine: AndamiosEngine, statement: str) -> None:
    async with engine.connections.acquire() as connection, connection.begin():
        await connection.execute(sa.text(statement))


async def _indexes(engine: AndamiosEngine) -> set[str | None]:
    async with engine.connections.acquire() as connection:
        found = await connection.run_sync(
            lambda sync: sa.inspect(sync).get_indexes("advice_parcel")
        )
    return {each["name"] for each in found}


async def test_advice_holds(parcels: AndamiosEngine, build: bool) -> None:
    """What was suggested is used once it is there, and then nothing more is."""
    optimizer = QueryOptimizer(parcels)
    (found,) = await optimizer.suggest_indexes(QUERY, build=build)
    assert WANTED == found
    assert isinstance(found, IndexSuggestion)
    assert "ix_advice_parcel_city_weight" == found.name
    assert ("advice_parcel", ("city", "weight")) == (found.table, found.columns)
    assert found.cost_after < found.cost_before / 10
    assert not found.plan_before.uses_index("ix_advice_parcel_city_weight")
    assert found.plan_after.uses_index("ix_advice_parcel_city_weight")
    assert "2 indexes" in found.write_cost
    await _run(parcels, found)
    live = await optimizer.analyze_query(QUERY)
    assert live.uses_index("ix_advice_parcel_city_weight")
    assert [] == await optimizer.suggest_indexes(QUERY, build=build)


async def test_nothing_to_say(parcels: AndamiosEngine, build: bool) -> None:
    """Keys, indexed columns and queries for everything need no index."""
    optimizer = QueryOptimizer(parcels)
    for query in (
        sa.select(AdviceParcel).where(AdviceParcel.id == 7),
        sa.select(AdviceParcel).where(AdviceParcel.code == "c7"),
        sa.select(AdviceParcel),
        sa.select(AdviceParcel).where(AdviceParcel.weight >= 0),
    ):
        assert [] == await optimizer.suggest_indexes(query, build=build)


async def test_small_tables(engine: AndamiosEngine) -> None:
    """A table that fits a page is best read as it is."""
    await _fill(engine, 50)
    assert [] == await QueryOptimizer(engine).suggest_indexes(QUERY)


async def test_a_sample_is_enough(parcels: AndamiosEngine, backend: str) -> None:
    """Of a large table only some rows are copied, and the advice says how many."""
    if backend == "mysql":
        await _run(parcels, "ANALYZE TABLE advice_parcel")
    optimizer = QueryOptimizer(parcels, sample_rows=5000)
    (found,) = await optimizer.suggest_indexes(QUERY)
    assert WANTED == found
    if "hypothetical" not in found.evidence:
        copied = int(found.evidence.partition("copy of ")[2].split()[0].replace(",", ""))
        assert 4000 <= copied <= 5000


async def test_a_join(parcels: AndamiosEngine, build: bool) -> None:
    """The column by which rows are found from another table gets an index."""
    routes = ({"name": f"route {number}"} for number in range(5000))
    (key, *_) = await GenericRepository[AdviceRoute](parcels).create_many(routes, returning="keys")
    if parcels.backend == "postgresql":
        await _run(parcels, "ANALYZE advice_route")
    on = AdviceParcel.route_id == AdviceRoute.id
    query = sa.select(AdviceParcel.code).join(AdviceRoute, on).where(AdviceRoute.id == key)
    found = await QueryOptimizer(parcels).suggest_indexes(query, build=build)
    assert ["CREATE INDEX ix_advice_parcel_route_id ON advice_parcel (route_id)"] == found


async def test_a_table_read_twice(engine: AndamiosEngine, backend: str) -> None:
    """MySQL has no copy that can be read twice; it says so, and builds."""
    await _fill(engine, 3000)
    first = await QueryBuilder(AdviceParcel, engine).order_by("id").first()
    assert first is not None
    other = aliased(AdviceParcel)
    on = other.weight == AdviceParcel.weight
    query = sa.select(AdviceParcel.code).join(other, on).where(other.id == first.id)
    optimizer = QueryOptimizer(engine)
    if backend == "mysql":
        with pytest.raises(QueryError, match="build=True"):
            await optimizer.suggest_indexes(query)
    found = await optimizer.suggest_indexes(query, build=backend == "mysql")
    assert ["CREATE INDEX ix_advice_parcel_weight ON advice_parcel (weight)"] == found


async def test_a_name_that_is_taken(parcels: AndamiosEngine, backend: str, build: bool) -> None:
    """Where another index has the name already, the next free one is chosen."""
    name = "ix_advice_parcel_city_weight"
    if backend == "mysql":
        await _run(parcels, f"CREATE INDEX {name} ON advice_parcel (route_id)")
        await _run(parcels, f"CREATE INDEX {name.upper()}_2 ON advice_parcel (route_id, code)")
    else:
        await _run(parcels, f"CREATE INDEX {name} ON advice_parcel (city, weight) WHERE id < 0")
        # Of another table: there, names belong to the whole schema.
        await _run(parcels, f"CREATE INDEX {name}_2 ON advice_route (name)")
    try:
        (found,) = await QueryOptimizer(parcels).suggest_indexes(QUERY, build=build)
        assert f"{name}_3" == found.name
        assert f"CREATE INDEX {name}_3 ON advice_parcel (city, weight)" == found
        assert found.plan_after.uses_index(found.name)
        await _run(parcels, found)
    finally:
        if backend != "mysql":
            await _run(parcels, f"DROP INDEX {name}_2")


NO_SELECTS = [
    sa.update(AdviceRoute).values(name="a").where(AdviceRoute.id == 7),
    sa.delete(AdviceRoute).where(AdviceRoute.id == 7),
    sa.insert(AdviceRoute).values(name="a"),
    sa.text("/* all */ DELETE FROM advice_route"),
]


@pytest.mark.parametrize("statement", NO_SELECTS, ids=["update", "delete", "insert", "text"])
async def test_no_select(engine: AndamiosEngine, statement: Any) -> None:
    """What writes is refused everywhere, with what is taken instead."""
    optimizer = QueryOptimizer(engine)
    for ask in (optimizer.analyze_query, optimizer.suggest_indexes):
        with pytest.raises(QueryError, match="a SELECT"):
            await ask(statement)


async def test_text(engine: AndamiosEngine) -> None:
    """Of text there is a plan, and no advice, since nobody reads its clauses."""
    optimizer = QueryOptimizer(engine)
    query = sa.text("SELECT id, name FROM advice_route")
    of_models = sa.select(AdviceRoute).from_statement(query)
    for written in (query, query.columns(sa.column("id"), sa.column("name")), of_models):
        assert (await optimizer.analyze_query(written)).find("sequential scan")
        with pytest.raises(QueryError, match="QueryBuilder"):
            await optimizer.suggest_indexes(written)


@pytest.mark.parametrize("model", [AdvicePlain, AdviceLong])
async def test_names_are_free_and_true(engine: AndamiosEngine, model: Any) -> None:
    """Whatever the base calls its indexes, the DDL can be run and makes one of that name."""
    await engine.create_all(model.metadata)
    try:
        async with engine.session() as session:
            rows = [{"id": n, "kind": n % 3, "size": n % 500} for n in range(1, 4001)]
            await session.execute(sa.insert(model), rows)
        if engine.backend == "postgresql":
            await _run(engine, f"ANALYZE {model.__tablename__}")
        query = sa.select(model).where(model.kind == 1, model.size == 7)
        (found, *_) = await QueryOptimizer(engine).suggest_indexes(query)
        assert found.plan_after.uses_index(found.name)
        await _run(engine, found)
        async with engine.connections.acquire() as connection:
            made = await connection.run_sync(
                lambda sync: sa.inspect(sync).get_indexes(model.__tablename__)
            )
        assert found.name in {each["name"] for each in made}
    finally:
        await engine.drop_all(model.metadata)


async def test_an_error_leaves_nothing(
    engine: AndamiosEngine, test_database: str, build: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure in the middle leaves no index, table or schema, and the rows as they were."""
    await _fill(engine, 3000)

    def fail(*_: Any) -> str:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(proof, "_write_cost", fail)
    async with AndamiosEngine(test_database, uvloop=False, pool_size=1, max_overflow=0) as alone:
        before = await _traces(alone)
        with pytest.raises(RuntimeError, match="on purpose"):
            await QueryOptimizer(alone).suggest_indexes(QUERY, build=build)
        assert before == await _traces(alone)


async def test_a_cancellation_leaves_nothing(
    engine: AndamiosEngine, test_database: str, build: bool
) -> None:
    """Nor does a cancellation while an index is made."""
    await _fill(engine, 3000)
    async with AndamiosEngine(test_database, uvloop=False, pool_size=1, max_overflow=0) as alone:
        before = await _traces(alone)
        work = asyncio.ensure_future(QueryOptimizer(alone).suggest_indexes(QUERY, build=build))

        def cancel(fact: QueryFinished) -> None:
            if any(word in fact.statement for word in ("CREATE INDEX", "hypopg_create", "_master")):
                work.cancel()

        alone.hooks.listen(QueryFinished, cancel)
        with pytest.raises(asyncio.CancelledError):
            await work
        alone.hooks.remove(QueryFinished, cancel)
        assert before == await _traces(alone)
        assert 0 == alone.connections.stats().in_use


async def test_sqlites_writers_do_not_wait(engine: AndamiosEngine, backend: str) -> None:
    """Its copy is elsewhere, so that advice is given while somebody writes."""
    if backend != "sqlite":
        pytest.skip("servers have no lock on the whole database")
    await _fill(engine, 3000)
    async with engine.session() as session:
        session.add(AdviceRoute(name="not committed"))
        await session.flush()
        assert [WANTED] == await QueryOptimizer(engine).suggest_indexes(QUERY)


async def test_a_cancelled_trial_is_a_cancellation(engine: AndamiosEngine, backend: str) -> None:
    """A connection that is lost with it is not asked for more."""
    if backend != "sqlite":
        pytest.skip("servers run no statement on the live tables to count its steps")
    await _fill(engine, 3000)
    work = asyncio.ensure_future(QueryOptimizer(engine).suggest_indexes(QUERY, build=True))

    def cancel(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if statement.startswith("SELECT advice_parcel"):
            work.cancel()

    target = engine.async_engine.sync_engine
    sa.event.listen(target, "before_cursor_execute", cancel)
    with pytest.raises(asyncio.CancelledError):
        await work
    sa.event.remove(target, "before_cursor_execute", cancel)
    assert 0 == engine.connections.stats().in_use


async def test_mysql_builds_for_nobody(engine: AndamiosEngine, backend: str) -> None:
    """A server that would go on building after a cancellation is stopped."""
    if backend != "mysql":
        pytest.skip("others roll an index back")
    await _fill(engine, 3000)
    work = asyncio.ensure_future(_advise_behind_a_lock(engine))
    with pytest.raises(asyncio.CancelledError):
        await work
    assert await eventually(lambda: _is_building(engine, expected=False))
    assert [] == [name for name in await _indexes(engine) if "trial" in str(name)]


async def _advise_behind_a_lock(engine: AndamiosEngine) -> None:
    advising = asyncio.ensure_future(QueryOptimizer(engine).suggest_indexes(QUERY, build=True))
    async with engine.connections.acquire() as reader:
        await reader.execute(sa.text("SELECT 1 FROM advice_parcel LIMIT 1"))
        assert await eventually(lambda: _is_building(engine, expected=True))
        advising.cancel()
        await asyncio.wait({advising}, timeout=0.3)
    await advising


async def _is_building(engine: AndamiosEngine, *, expected: bool) -> bool:
    async with engine.connections.acquire() as connection:
        under_way = [other["Info"] or "" for other in await other_connections(connection)]
    return expected is any(info.startswith("CREATE INDEX andamios_trial") for info in under_way)


async def test_success_leaves_nothing(
    engine: AndamiosEngine, test_database: str, build: bool
) -> None:
    """Nor does advice that was given."""
    await _fill(engine, 3000)
    async with AndamiosEngine(test_database, uvloop=False, pool_size=1, max_overflow=0) as alone:
        before = await _traces(alone)
        assert [WANTED] == await QueryOptimizer(alone).suggest_indexes(QUERY, build=build)
        assert before == await _traces(alone)


async def _traces(engine: AndamiosEngine) -> dict[str, Any]:
    """What can be seen of a database on its only connection, temporary tables included."""
    async with engine.connections.acquire() as connection:
        return await connection.run_sync(_look)


def _look(connection: sa.Connection) -> dict[str, Any]:
    inspector = sa.inspect(connection)
    backend = connection.dialect.name
    seen: dict[str, Any] = {
        "tables": inspector.get_table_names(),
        "indexes": inspector.get_indexes("advice_parcel"),
        "rows": connection.execute(sa.text("SELECT count(*), sum(id) FROM advice_parcel")).one(),
    }
    if backend == "mysql":
        shown = connection.execute(sa.text("SHOW CREATE TABLE advice_parcel")).one()
        seen["hiding"] = "TEMPORARY" in shown[1]
    if backend == "postgresql":
        temporary = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'"
        seen["temporary"] = connection.execute(sa.text(temporary)).scalar()
        seen["schemas"] = inspector.get_schema_names()
        extensions = sa.text("SELECT extname FROM pg_extension ORDER BY 1")
        seen["extensions"] = connection.execute(extensions).scalars().all()
        if connection.execute(HYPOPG).scalar():
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS hypopg"))
            listed = sa.text("SELECT count(*) FROM hypopg_list_indexes")
            seen["hypothetical"] = connection.execute(listed).scalar()
    return seen
