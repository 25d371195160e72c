"""Optimistic locking: whoever was prepared on an older version loses, and is told why."""

from typing import Any

import pytest
from sqlalchemy import MetaData, bindparam, delete, func, inspect, select, update
from sqlalchemy.orm import Mapped, mapped_column

from andamios import (
    AndamiosEngine,
    AsyncSession,
    BaseModel,
    ConfigurationError,
    StaleVersionError,
    VersioningMixin,
)
from tests.models.domain import LibDraft, LibSeat


@pytest.fixture
async def seat(engine: AndamiosEngine) -> LibSeat:
    """A committed row of version 1, detached."""
    async with engine.session() as session:
        found = LibSeat(name="1A")
        session.add(found)
    return found


async def overtake(engine: AndamiosEngine, seat: LibSeat) -> None:
    """Let somebody else change the row first."""
    async with engine.session() as session:
        (await session.get_one(LibSeat, seat.id)).name = "2B"


async def rename(engine: AndamiosEngine, seat: LibSeat) -> None:
    """Change the row on the version that was read."""
    async with engine.session() as session:
        session.add(seat)
        seat.name = "3C"


async def remove(engine: AndamiosEngine, row: object) -> None:
    """Delete the row on the version that was read."""
    async with engine.session() as session:
        session.add(row)
        await session.delete(row)


async def rename_in(transaction: Any, session: AsyncSession, seat: LibSeat) -> None:
    """Change the row in a block whose end writes."""
    async with transaction:
        session.add(seat)
        seat.name = "3C"


async def test_version_begins_at_one_and_counts(engine: AndamiosEngine, seat: LibSeat) -> None:
    """Every change counts, and no change does not."""
    assert 1 == seat.version
    await overtake(engine, seat)
    async with engine.session() as session:
        found = await session.get_one(LibSeat, seat.id)
        found.name = found.name
    assert 2 == found.version


async def test_stale_update(engine: AndamiosEngine, seat: LibSeat) -> None:
    """An update on an older version loses, and changes nothing."""
    await overtake(engine, seat)
    key = seat.id
    with pytest.raises(StaleVersionError) as caught:
        await rename(engine, seat)
    assert (1, 2) == (caught.value.expected, caught.value.actual)
    assert f"LibSeat {key} has version 2; version 1 was read" in str(caught.value)
    async with engine.session() as session:
        assert "2B" == await session.scalar(select(LibSeat.name))


@pytest.mark.parametrize("call", [AsyncSession.flush, AsyncSession.commit])
async def test_stale_flush_and_commit(engine: AndamiosEngine, seat: LibSeat, call: Any) -> None:
    """It does not matter which call wrote."""
    await overtake(engine, seat)
    async with AsyncSession(engine) as session:
        session.add(seat)
        seat.name = "3C"
        with pytest.raises(StaleVersionError) as caught:
            await call(session)
    assert (1, 2) == (caught.value.expected, caught.value.actual)


async def test_session_goes_on_after_a_rollback(engine: AndamiosEngine, seat: LibSeat) -> None:
    """The loser can read again and repeat its change in the same session."""
    await overtake(engine, seat)
    async with AsyncSession(engine) as session:
        session.add(seat)
        seat.name = "3C"
        with pytest.raises(StaleVersionError):
            await session.flush()
        await session.rollback()
        await session.refresh(seat)
        seat.name = "3C"
        await session.commit()
    assert 3 == seat.version


async def test_stale_autoflush(engine: AndamiosEngine, seat: LibSeat) -> None:
    """A flush that a query causes says the same."""
    await overtake(engine, seat)
    async with engine.session() as session:
        session.add(seat)
        seat.name = "3C"
        with pytest.raises(StaleVersionError) as caught:
            await session.scalars(select(LibSeat))
        await session.rollback()
    assert 2 == caught.value.actual


async def test_stale_in_a_savepoint(engine: AndamiosEngine, seat: LibSeat) -> None:
    """Leaving ``begin_nested()`` flushes, and says the same."""
    await overtake(engine, seat)
    async with engine.session() as session:
        with pytest.raises(StaleVersionError) as caught:
            await rename_in(session.begin_nested(), session, seat)
        assert (1, 2) == (caught.value.expected, caught.value.actual)
        await session.rollback()


async def test_stale_in_a_block_of_its_own_transaction(
    engine: AndamiosEngine, seat: LibSeat
) -> None:
    """Leaving ``session.begin()`` commits, and says the same."""
    await overtake(engine, seat)
    async with AsyncSession(engine) as session:
        with pytest.raises(StaleVersionError) as caught:
            await rename_in(session.begin(), session, seat)
        assert (1, 2) == (caught.value.expected, caught.value.actual)


async def test_stale_delete(engine: AndamiosEngine, seat: LibSeat) -> None:
    """A delete on an older version loses, too."""
    await overtake(engine, seat)
    with pytest.raises(StaleVersionError) as caught:
        await remove(engine, seat)
    assert (1, 2) == (caught.value.expected, caught.value.actual)


async def test_row_is_gone(engine: AndamiosEngine, seat: LibSeat) -> None:
    """An update of a row that somebody removed says that it is gone."""
    async with engine.session() as session:
        await session.execute(delete(LibSeat))
    with pytest.raises(StaleVersionError) as caught:
        await rename(engine, seat)
    assert (1, None) == (caught.value.expected, caught.value.actual)
    assert "is gone" in str(caught.value)


async def test_stale_against_this_very_session(db_session: AsyncSession) -> None:
    """A statement of the same transaction can be the winner."""
    seat = LibSeat(name="1A")
    db_session.add(seat)
    await db_session.flush()
    statement = update(LibSeat).values(name="2B")
    await db_session.execute(statement, execution_options={"synchronize_session": False})
    seat.name = "3C"
    with pytest.raises(StaleVersionError) as caught:
        await db_session.flush()
    assert 1 == caught.value.expected
    await db_session.rollback()


async def test_stale_soft_delete(engine: AndamiosEngine) -> None:
    """Marking a row as deleted is a change, which can lose."""
    async with engine.session() as session:
        draft = LibDraft(name="one")
        session.add(draft)
    async with engine.session() as session:
        (await session.get_one(LibDraft, draft.id)).name = "two"
    with pytest.raises(StaleVersionError) as caught:
        await remove(engine, draft)
    assert (1, 2) == (caught.value.expected, caught.value.actual)


async def test_stale_with_a_pool_of_one(test_database: str, engine: AndamiosEngine) -> None:
    """Reading the actual version needs no second connection of a small pool."""
    async with engine.session() as session:
        seat = LibSeat(name="1A")
        session.add(seat)
    await overtake(engine, seat)
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.5}
    async with AndamiosEngine(test_database, uvloop=False, **options) as small:
        with pytest.raises(StaleVersionError) as caught:
            await rename(small, seat)
    assert (1, 2) == (caught.value.expected, caught.value.actual)


async def test_stale_in_memory() -> None:
    """A database in memory, which has one writer and no reader beside it, tells as well."""
    async with AndamiosEngine("sqlite://", uvloop=False) as engine:
        async with engine.connections.acquire() as connection, connection.begin():
            await connection.run_sync(LibSeat.__table__.create)  # type: ignore[attr-defined]
        async with engine.session() as session:
            seat = LibSeat(name="1A")
            session.add(seat)
        await overtake(engine, seat)
        async with engine.session() as session:
            await session.scalar(select(func.count(LibSeat.id)))
            with pytest.raises(StaleVersionError) as caught:
                await rename_in(session.begin_nested(), session, seat)
            await session.rollback()
    assert 1 == caught.value.expected


UPDATES: dict[str, Any] = {
    "one column": update(LibSeat).values(name="2B"),
    "with a condition on the version": update(LibSeat)
    .values(name="2B")
    .where(LibSeat.version == 1),
    "with a parameter called version": update(LibSeat)
    .values(name="2B")
    .where(LibSeat.version == bindparam("version", 1)),
    "ordered": update(LibSeat).ordered_values((LibSeat.name, "2B")),
}


@pytest.mark.parametrize("name", UPDATES)
async def test_update_statement_counts(engine: AndamiosEngine, seat: LibSeat, name: str) -> None:
    """A set-based UPDATE counts the version of each row, so that earlier readers lose."""
    async with engine.session() as session:
        await session.execute(UPDATES[name])
    with pytest.raises(StaleVersionError) as caught:
        await rename(engine, seat)
    assert (1, 2) == (caught.value.expected, caught.value.actual)


async def test_update_statement_may_set_the_version(engine: AndamiosEngine, seat: LibSeat) -> None:
    """A version that is written out stays."""
    async with engine.session() as session:
        await session.execute(update(LibSeat).values(version=7))
        assert 7 == await session.scalar(select(LibSeat.version).where(LibSeat.id == seat.id))


async def test_update_statement_refreshes_what_the_session_holds(
    engine: AndamiosEngine, seat: LibSeat
) -> None:
    """An object of the same session knows its new version after a set-based UPDATE."""
    async with engine.session() as session:
        found = await session.get_one(LibSeat, seat.id)
        await session.execute(update(LibSeat).values(name="2B"))
        await found.load(LibSeat.version)
        found.name = "3C"
        await session.flush()
        assert 3 == found.version


def test_mapper_args_of_its_own_hide_the_version() -> None:
    """A model whose own ``__mapper_args__`` would switch the lock off is refused."""
    with pytest.raises(ConfigurationError, match="LibHidden has __mapper_args__ of its own"):

        class LibHidden(VersioningMixin, BaseModel):
            metadata = MetaData()
            name: Mapped[str]
            __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012


def test_mapper_args_of_its_own_may_name_the_version() -> None:
    """The cure that the error names is one."""

    class LibShown(VersioningMixin, BaseModel):
        metadata = MetaData()
        version: Mapped[int] = mapped_column()
        __mapper_args__ = {"eager_defaults": True, "version_id_col": version}  # noqa: RUF012

    assert "version" == LibShown.__mapper__.version_id_col.key


async def test_table_statement_counts(engine: AndamiosEngine, seat: LibSeat) -> None:
    """An UPDATE of the table itself counts too, by the rule of the column."""
    table = inspect(LibSeat).local_table
    async with engine.session() as session:
        await session.execute(update(table).values(name="2B"))
        assert 2 == await session.scalar(select(LibSeat.version).where(LibSeat.id == seat.id))


async def test_update_by_key_compares_a_version_that_is_given(
    engine: AndamiosEngine, seat: LibSeat
) -> None:
    """An UPDATE by key with an older version loses."""
    await overtake(engine, seat)
    async with AsyncSession(engine) as session:
        with pytest.raises(StaleVersionError):
            await session.execute(update(LibSeat), [{"id": seat.id, "name": "3C", "version": 1}])
