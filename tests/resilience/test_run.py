"""Functions in transactions: repeated after a collision, bounded in time, all or nothing."""

import asyncio
import random
import time
from collections.abc import Awaitable

import pytest
from sqlalchemy import func, insert, select, text, update

from andamios import AndamiosEngine, AsyncSession, DuplicateError, ReadOnlyError, TransactionError
from andamios.core.current import current_session
from andamios.errors import (
    ConfigurationError,
    DeadlineExceededError,
    PoolTimeoutError,
    SerializationError,
)
from andamios.resilience import TransactionManager
from tests.resilience.conftest import NoteReader
from tests.resilience.models import ResAccount, ResNote


async def open_accounts(engine: AndamiosEngine, count: int) -> list[int]:
    async with engine.session() as session:
        accounts = [ResAccount(owner=f"owner {number}", balance=100) for number in range(count)]
        session.add_all(accounts)
    return [account.id for account in accounts]


async def total(engine: AndamiosEngine) -> int:
    async with engine.session(read_only=True) as session:
        return int(await session.scalar(select(func.sum(ResAccount.balance))) or 0)


def in_use(engine: AndamiosEngine) -> int:
    return engine.connections.stats().in_use


def add(session: AsyncSession, account: int, amount: int) -> Awaitable[object]:
    statement = update(ResAccount).where(ResAccount.id == account)
    return session.execute(statement.values(balance=ResAccount.balance + amount))


async def test_gives_the_result_and_commits(manager: TransactionManager, notes: NoteReader) -> None:
    """What the function returns comes back, readable, and what it wrote is there."""

    async def work(session: AsyncSession) -> ResNote:
        assert current_session() is session
        note = ResNote(text="one")
        session.add(note)
        return note

    assert "one" == (await manager.run(work)).text
    assert ["one"] == await notes()


async def test_error_rolls_back_and_is_not_repeated(
    manager: TransactionManager, notes: NoteReader
) -> None:
    """An error of the function is raised as it is, after one call."""
    calls = 0

    async def work(session: AsyncSession) -> None:
        nonlocal calls
        calls += 1
        session.add(ResNote(text="one"))
        await session.flush()
        raise DuplicateError("again")

    with pytest.raises(DuplicateError, match="again"):
        await manager.run(work)
    assert 1 == calls
    assert [] == await notes()


async def test_attempts_are_bounded(engine: AndamiosEngine, manager: TransactionManager) -> None:
    """Each attempt has a session of its own, and the last error is raised as it is."""
    seen: list[AsyncSession] = []

    async def work(session: AsyncSession) -> None:
        seen.append(session)
        raise SerializationError("collided")

    with pytest.raises(SerializationError, match="collided"):
        await manager.run(work, attempts=3)
    assert 3 == len(set(map(id, seen)))
    assert 0 == in_use(engine)


async def test_no_attempt_is_no_transaction(manager: TransactionManager) -> None:
    """Less than one attempt is a mistake of the caller."""

    async def work(_session: AsyncSession) -> None: ...

    with pytest.raises(ConfigurationError, match="at least one attempt, not 0"):
        await manager.run(work, attempts=0)


async def test_serialization_failure_is_repeated(
    engine: AndamiosEngine, manager: TransactionManager, backend: str
) -> None:
    """Two transactions that read the same row and change it both count."""
    (account,) = await open_accounts(engine, 1)
    have_read = asyncio.Barrier(2)
    calls = 0

    async def work(session: AsyncSession) -> None:
        nonlocal calls
        calls += 1
        balance = await session.scalar(select(ResAccount.balance))
        assert balance is not None
        if backend != "sqlite" and calls <= 2:
            await have_read.wait()
        changed = update(ResAccount).where(ResAccount.id == account)
        await session.execute(changed.values(balance=balance + 1))

    both = (manager.run(work, isolation="SERIALIZABLE") for _ in range(2))
    await asyncio.gather(*both)
    assert 102 == await total(engine)
    assert (2 if backend == "sqlite" else 3) == calls


async def test_deadlock_is_repeated(
    engine: AndamiosEngine, manager: TransactionManager, backend: str
) -> None:
    """Two transactions that lock the same rows in opposite order both finish."""
    accounts = await open_accounts(engine, 2)
    have_locked = asyncio.Barrier(2)
    calls = 0

    def transfer(source: int, target: int) -> Awaitable[None]:
        async def work(session: AsyncSession) -> None:
            nonlocal calls
            calls += 1
            await add(session, source, -10)
            if backend != "sqlite" and calls <= 2:
                await have_locked.wait()
            await add(session, target, 10)

        return manager.run(work)

    await asyncio.gather(transfer(*accounts), transfer(*reversed(accounts)))
    assert 200 == await total(engine)
    assert (2 if backend == "sqlite" else 3) == calls


@pytest.mark.parametrize("isolation", [None, "SERIALIZABLE"])
async def test_bank_keeps_its_money(
    engine: AndamiosEngine, manager: TransactionManager, isolation: str | None
) -> None:
    """Eight tellers who move money between four accounts at once lose none of it."""
    accounts = await open_accounts(engine, 4)

    async def tell(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(5):
            source, target = chance.sample(accounts, 2)

            async def work(session: AsyncSession, a: int = source, b: int = target) -> None:
                await add(session, a, -1)
                await add(session, b, 1)

            await manager.run(work, isolation=isolation, attempts=30)

    await asyncio.gather(*(tell(seed) for seed in range(8)))
    assert 400 == await total(engine)
    assert 0 == in_use(engine)


async def test_inside_a_session_is_refused(
    engine: AndamiosEngine, manager: TransactionManager
) -> None:
    """A part of a transaction cannot be repeated, and the error says what to do."""

    async def work(_session: AsyncSession) -> None: ...

    async with engine.session():
        with pytest.raises(TransactionError, match="Call it outside"):
            await manager.run(work)
        with pytest.raises(TransactionError, match=r"use savepoint\(\)"):
            await manager.execute_in_transaction([work])
    await manager.run(work)


async def test_inside_itself_is_refused(manager: TransactionManager) -> None:
    """The session of the function counts as open."""

    async def work(_session: AsyncSession) -> None:
        await manager.run(work)

    with pytest.raises(TransactionError, match="open session"):
        await manager.run(work)


async def test_read_only(manager: TransactionManager) -> None:
    """A function that only reads is held to it."""

    async def work(session: AsyncSession) -> None:
        await session.execute(insert(ResNote).values(text="one"))

    with pytest.raises(ReadOnlyError):
        await manager.run(work, read_only=True)


async def test_deadline(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader
) -> None:
    """A function that takes too long is cancelled, rolled back, and its connection is free."""

    async def work(session: AsyncSession) -> None:
        session.add(ResNote(text="one"))
        await session.flush()
        await asyncio.sleep(10)

    with pytest.raises(DeadlineExceededError, match=r"The 0\.1 s for the transaction were up"):
        await manager.run(work, deadline=0.1)
    assert 0 == in_use(engine)
    assert [] == await notes()


async def test_deadline_alone_limits_the_attempts(manager: TransactionManager) -> None:
    """Who sets a deadline has attempts until then, and is told why the last one failed."""
    tried = 0

    async def work(_session: AsyncSession) -> None:
        nonlocal tried
        tried += 1
        if tried < 13:
            raise SerializationError(f"attempt {tried}")

    await manager.run(work, deadline=60)
    assert 13 == tried

    tried = -10_000
    with pytest.raises(DeadlineExceededError) as caught:
        await manager.run(work, deadline=0.2)
    assert isinstance(caught.value.__cause__, SerializationError)


async def test_time_out_of_the_function_is_its_own(manager: TransactionManager) -> None:
    """A time-out inside the function is no deadline of the transaction."""

    async def work(_session: AsyncSession) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        await manager.run(work, deadline=10, attempts=1)


async def test_full_pool_is_waited_for_once(engine: AndamiosEngine) -> None:
    """Who waited for a connection for as long as allowed does not wait ten times as long."""
    small = AndamiosEngine(engine.url, uvloop=False, pool_size=1, max_overflow=0, pool_timeout=0.3)

    async def work(session: AsyncSession) -> None:
        await session.execute(text("SELECT 1"))

    async with small, small.connections.acquire():
        began = time.monotonic()
        with pytest.raises(PoolTimeoutError):
            await TransactionManager(small).run(work)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("steps", range(6))
async def test_cancellation_leaves_nothing_open(
    engine: AndamiosEngine, manager: TransactionManager, notes: NoteReader, steps: int
) -> None:
    """Wherever a cancellation arrives, the connection comes back and nothing is repeated."""
    calls = 0

    async def work(session: AsyncSession) -> None:
        nonlocal calls
        calls += 1
        session.add(ResNote(text="one"))
        await session.flush()
        await session.execute(text("SELECT 1"))
        await asyncio.sleep(10)

    task = asyncio.create_task(manager.run(work))
    for _ in range(steps**3):
        await asyncio.sleep(0)
    await asyncio.sleep(steps / 1000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 == in_use(engine)
    assert calls <= 1
    assert [] == await notes()


async def test_operations_share_a_transaction(
    manager: TransactionManager, notes: NoteReader
) -> None:
    """Operations run in their order, and their results come back in it."""

    async def one(session: AsyncSession) -> str:
        session.add(ResNote(text="one"))
        return "first"

    async def two(session: AsyncSession) -> int:
        return int(await session.scalar(select(func.count()).select_from(ResNote)) or 0)

    assert ["first", 1] == await manager.execute_in_transaction([one, two])
    assert ["one"] == await notes()


async def test_operations_are_all_or_nothing(
    manager: TransactionManager, notes: NoteReader
) -> None:
    """What the first operation did is undone when the second one fails, even for a collision."""
    calls: list[str] = []

    async def one(session: AsyncSession) -> None:
        calls.append("one")
        session.add(ResNote(text="one"))
        await session.flush()

    async def two(_session: AsyncSession) -> None:
        calls.append("two")
        raise SerializationError("collided")

    with pytest.raises(SerializationError):
        await manager.execute_in_transaction([one, two])
    assert ["one", "two"] == calls
    assert [] == await notes()
