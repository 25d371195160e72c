"""The session of this task: found by the task that opened it, and by no other."""

import asyncio
import contextvars
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from andamios import AndamiosEngine, AsyncSession, SessionTaskError, current_session


@pytest.fixture
def engine() -> AndamiosEngine:
    """An engine that never connects: none of these tests asks a database."""
    return AndamiosEngine("sqlite://", uvloop=False)


async def test_none_is_open() -> None:
    """Without a block there is none, and the error says how to open one."""
    with pytest.raises(SessionTaskError, match=r"async with engine\.session\(\)"):
        current_session()


def test_none_outside_of_a_loop() -> None:
    """The same where no loop runs."""
    with pytest.raises(SessionTaskError):
        current_session()


async def test_block_makes_its_session_current(engine: AndamiosEngine) -> None:
    """Inside the block it is there, after it it is gone."""
    async with engine.session() as session:
        assert session is current_session()
    with pytest.raises(SessionTaskError):
        current_session()


async def test_innermost_block_counts(engine: AndamiosEngine) -> None:
    """Blocks nest, and the end of one brings back the outer one."""
    async with engine.session() as outer:
        async with engine.session() as inner:
            assert inner is current_session()
        assert outer is current_session()


async def test_block_that_raised_is_left(engine: AndamiosEngine) -> None:
    """An error leaves no session behind."""
    with pytest.raises(KeyError):
        async with engine.session():
            raise KeyError
    with pytest.raises(SessionTaskError):
        current_session()


async def find() -> AsyncSession:
    """Ask from wherever this coroutine runs."""
    return current_session()


async def test_other_tasks_are_refused(engine: AndamiosEngine) -> None:
    """``create_task`` and ``gather`` run in tasks of their own."""
    async with engine.session():
        results = await asyncio.gather(find(), asyncio.create_task(find()), return_exceptions=True)
    assert [SessionTaskError] * 2 == [type(result) for result in results]


async def test_error_names_cause_and_cure(engine: AndamiosEngine) -> None:
    """The message names both tasks, why there are two, and what to do."""
    async with engine.session():
        task = asyncio.create_task(find(), name="the-other-one")
        with pytest.raises(SessionTaskError) as caught:
            await task
    message = str(caught.value)
    owner = asyncio.current_task()
    assert owner is not None
    for word in (owner.get_name(), "the-other-one", "gather", "asyncio.timeout", "as_current()"):
        assert word in message


async def test_timeout_stays_in_the_task(engine: AndamiosEngine) -> None:
    """``asyncio.timeout``, which the error recommends, starts no task."""
    async with engine.session() as session, asyncio.timeout(5):
        await asyncio.sleep(0)
        assert session is current_session()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="wait_for starts no task any more")
async def test_wait_for_is_another_task(engine: AndamiosEngine) -> None:
    """On Python 3.11 ``wait_for`` runs its coroutine in a task of its own."""
    async with engine.session():
        with pytest.raises(SessionTaskError, match=r"asyncio\.timeout instead of wait_for"):
            await asyncio.wait_for(find(), 5)


async def test_task_adopts_a_session(engine: AndamiosEngine) -> None:
    """``as_current`` hands a session over to the task that calls it, for a block."""

    async def work(session: AsyncSession) -> bool:
        with session.as_current():
            found = current_session()
        with pytest.raises(SessionTaskError):
            current_session()
        return found is session

    async with engine.session() as session:
        assert await asyncio.create_task(work(session))
        assert session is current_session()


async def test_task_has_a_session_of_its_own(engine: AndamiosEngine) -> None:
    """A child task that opens a block uses its own session, and the parent keeps its own."""

    async def work() -> AsyncSession:
        async with engine.session() as own:
            await asyncio.sleep(0)
            assert own is current_session()
            return own

    async with engine.session() as session:
        others = await asyncio.gather(work(), work())
        assert session is current_session()
    assert 3 == len({session, *others})


async def test_task_that_outlives_the_block(engine: AndamiosEngine) -> None:
    """A closed session is nobody's current one."""

    async def work() -> None:
        await asyncio.sleep(0.01)
        current_session()

    async with engine.session():
        task = asyncio.create_task(work())
    with pytest.raises(SessionTaskError, match="No session is open"):
        await task


async def test_leaving_in_another_context(engine: AndamiosEngine) -> None:
    """Leaving where the entry is not on top, as fixtures and generators do, harms nobody."""
    manager = engine.session()
    await asyncio.create_task(manager.__aenter__(), context=contextvars.copy_context())
    async with engine.session() as session:
        await manager.__aexit__(None, None, None)
        assert session is current_session()


async def test_leaving_in_another_order(engine: AndamiosEngine) -> None:
    """An outer session that ends first is skipped once the inner one has ended."""
    outer, inner = engine.session(), engine.session()
    await outer.__aenter__()
    session = await inner.__aenter__()
    await outer.__aexit__(None, None, None)
    assert session is current_session()
    await inner.__aexit__(None, None, None)
    with pytest.raises(SessionTaskError):
        current_session()


@pytest_asyncio.fixture
async def opened(engine: AndamiosEngine) -> AsyncIterator[AsyncSession]:
    """A session that a fixture opened, in a task that ends before the test begins."""
    async with engine.session() as session:
        yield session


async def test_session_of_a_fixture(opened: AsyncSession) -> None:
    """The test is the heir of the fixture's task."""
    assert opened is current_session()


async def test_session_of_a_fixture_is_refused_to_children(opened: AsyncSession) -> None:
    """Once the test has adopted it, its children are refused as ever."""
    assert opened is current_session()
    with pytest.raises(SessionTaskError):
        await asyncio.create_task(find())


async def test_db_session_is_current(db_session: AsyncSession) -> None:
    """The harness's session is the current one of its test."""
    assert db_session is current_session()
