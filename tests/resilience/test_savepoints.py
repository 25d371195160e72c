"""Savepoints: a part of a transaction that fails alone."""

import asyncio

import pytest
from sqlalchemy import select, text, update

from andamios import AndamiosEngine, AsyncSession, DeadlockError, SessionTaskError, TransactionError
from andamios.core.current import current_session
from andamios.errors import AndamiosError, DataError, NotNullError
from andamios.resilience import TransactionManager
from tests.resilience.conftest import NoteReader
from tests.resilience.models import ResAccount, ResNote


async def fail_in(manager: TransactionManager, name: str, note: str) -> None:
    """Write a note in a savepoint that then fails."""
    async with manager.savepoint(name) as savepoint:
        current_session().add(ResNote(text=note))
        await current_session().flush()
        assert savepoint.is_active
        raise ValueError("mine")


async def swallow_a_refusal_in(manager: TransactionManager) -> None:
    """Flush what is refused, and go on as if it had not been."""
    async with manager.savepoint("risky"):
        session = current_session()
        session.add(ResNote(text="gone"))
        await session.flush()
        session.add(ResNote(text=None))
        with pytest.raises((NotNullError, DataError)):
            await session.flush()


async def test_with_await_and_without(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader
) -> None:
    """Both ways to write it mean the same."""
    async with engine.session() as session:
        async with manager.savepoint("plain"):
            session.add(ResNote(text="one"))
        async with await manager.savepoint("awaited") as savepoint:
            assert ("awaited", True) == (savepoint.name, savepoint.is_active)
            session.add(ResNote(text="two"))
        assert not savepoint.is_active
    assert ["one", "two"] == await notes()


async def test_error_rolls_back_to_it_and_names_it(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader
) -> None:
    """What was done before stays, what was done in the block goes, and the error goes on."""
    async with engine.session() as session:
        session.add(ResNote(text="kept"))
        with pytest.raises(ValueError, match="mine") as caught:
            await fail_in(manager, "risky", "gone")
        assert ["Rolled back to savepoint 'risky'."] == caught.value.__notes__
        session.add(ResNote(text="later"))
    assert ["kept", "later"] == await notes()


async def test_refused_write_in_the_block(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader
) -> None:
    """After a statement that the database refused, the transaction goes on."""
    async with engine.session() as session:
        session.add(ResNote(text="kept"))
        with pytest.raises(NotNullError):
            async with manager.savepoint("risky"):
                await session.execute(text("INSERT INTO res_note (text) VALUES (NULL)"))
    assert ["kept"] == await notes()


async def test_refused_write_at_the_end_of_the_block(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader
) -> None:
    """What the release flushes may be refused as well."""
    async with engine.session() as session:
        session.add(ResNote(text="kept"))
        with pytest.raises((NotNullError, DataError)) as caught:
            async with manager.savepoint("risky"):
                session.add(ResNote(text=None))
        assert ["Rolled back to savepoint 'risky'."] == caught.value.__notes__
    assert ["kept"] == await notes()


async def test_swallowed_error_of_a_flush(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader
) -> None:
    """An error that was caught inside the block is no success of the block."""
    async with engine.session() as session:
        with pytest.raises(TransactionError):
            await swallow_a_refusal_in(manager)
        session.add(ResNote(text="later"))
    assert ["later"] == await notes()


async def test_rollback_in_the_block(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader
) -> None:
    """One can change one's mind; what comes after it in the block belongs to the transaction."""
    async with engine.session() as session, manager.savepoint("try") as savepoint:
        session.add(ResNote(text="gone"))
        await session.flush()
        await savepoint.rollback()
        session.add(ResNote(text="kept"))
        with pytest.raises(TransactionError, match="'try' cannot be released: it has ended"):
            await savepoint.release()
    assert ["kept"] == await notes()


async def test_without_a_block(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader
) -> None:
    """Awaited alone, it is begun, and ends when told to."""
    async with engine.session() as session:
        savepoint = manager.savepoint("late")
        with pytest.raises(TransactionError, match="'late' cannot be rolled back: it has not"):
            await savepoint.rollback()
        await savepoint
        session.add(ResNote(text="gone"))
        await session.flush()
        await savepoint.rollback()
        kept = await manager.savepoint("kept")
        session.add(ResNote(text="kept"))
        await kept.release()
    assert ["kept"] == await notes()


async def test_nested(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader
) -> None:
    """The inner one rolls back alone; the same name may be used twice."""
    async with engine.session() as session, manager.savepoint("part"):
        session.add(ResNote(text="outer"))
        with pytest.raises(ValueError, match="mine"):
            await fail_in(manager, "part", "inner")
    assert ["outer"] == await notes()


async def test_given_session(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader
) -> None:
    """A session that is not the current one is given."""
    async with (
        engine.session(is_current=False) as session,
        manager.savepoint("given", session=session) as savepoint,
    ):
        session.add(ResNote(text="gone"))
        await savepoint.rollback()
    assert [] == await notes()


async def test_outside_of_any_session(manager: TransactionManager) -> None:
    """Without a transaction there is no part of one."""
    with pytest.raises(SessionTaskError, match="No session is open"):
        manager.savepoint("nowhere")


async def test_name_may_be_anything(engine: AndamiosEngine, manager: TransactionManager) -> None:
    """It never reaches the database."""
    async with engine.session() as session:
        async with manager.savepoint('x"; DROP TABLE res_note; --'):
            pass
        assert [] == list(await session.scalars(select(ResNote)))


async def test_deadlock_in_the_block_ends_the_transaction(
    engine: AndamiosEngine, manager: TransactionManager, backend: str
) -> None:
    """What a deadlock took along with the savepoint is not committed by half."""
    if backend == "sqlite":
        pytest.skip("SQLite has one writer, who cannot deadlock")
    async with engine.session() as session:
        accounts = [ResAccount(owner=name, balance=100) for name in ("one", "two")]
        session.add_all(accounts)
    have_locked = asyncio.Barrier(2)
    deadlocks = 0

    async def add(session: AsyncSession, account: ResAccount) -> None:
        changed = update(ResAccount).where(ResAccount.id == account.id)
        await session.execute(changed.values(balance=ResAccount.balance + 1))

    async def work(first: ResAccount, second: ResAccount) -> None:
        nonlocal deadlocks
        async with engine.session() as session:
            await add(session, first)
            await have_locked.wait()
            try:
                async with manager.savepoint("risky"):
                    await add(session, second)
            except DeadlockError:
                deadlocks += 1
            await add(session, first)

    results = await asyncio.gather(
        work(*accounts), work(*reversed(accounts)), return_exceptions=True
    )
    async with engine.session(read_only=True) as session:
        balances = set(await session.scalars(select(ResAccount.balance)))
    failed = [result for result in results if result is not None]
    assert 1 == deadlocks
    if backend in {"mysql", "mariadb"}:
        assert [True] == [isinstance(error, AndamiosError) for error in failed]
        assert {101, 102} == balances
    else:
        # PostgreSQL rolls back to the savepoint alone, and both go on.
        assert [] == failed
        assert {102, 103} == balances
