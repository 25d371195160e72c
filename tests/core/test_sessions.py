"""Sessions: what their blocks commit and roll back, and who may use them."""

import asyncio

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import InvalidRequestError

from andamios import (
    AndamiosEngine,
    AsyncSession,
    DuplicateError,
    QueryError,
    SessionTaskError,
    current_session,
    run,
)
from tests.core.conftest import EngineMaker
from tests.core.server import Server, eventually
from tests.models.domain import LibAuthor, LibWord


async def words(engine: AndamiosEngine) -> list[str]:
    """Give what is committed."""
    async with engine.session(read_only=True) as session:
        return list(await session.scalars(select(LibWord.word).order_by(LibWord.word)))


async def test_block_commits(engine: AndamiosEngine) -> None:
    """What a block wrote is there after it."""
    async with engine.session() as session:
        session.add(LibWord(word="kept"))
    assert ["kept"] == await words(engine)


async def test_block_that_raises_rolls_back(engine: AndamiosEngine) -> None:
    """An error in the block undoes it, and passes on."""

    async def work() -> None:
        async with engine.session() as session:
            session.add(LibWord(word="gone"))
            await session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        await work()
    assert [] == await words(engine)


async def test_commit_that_fails_rolls_back(engine: AndamiosEngine, server: Server) -> None:
    """A commit that fails leaves neither rows nor a connection, transaction or session."""
    with pytest.raises(DuplicateError):
        async with engine.session() as session:
            session.add_all([LibWord(word="twice"), LibWord(word="twice")])
    with pytest.raises(SessionTaskError):
        current_session()
    assert [] == await words(engine)
    assert (0, 0) == (engine.connections.stats().in_use, await server.open_transactions())


async def test_session_goes_on_after_a_failed_savepoint(engine: AndamiosEngine) -> None:
    """A savepoint around a risky write keeps the rest of the transaction."""
    async with engine.session() as session:
        session.add(LibWord(word="first"))
        await session.flush()
        with pytest.raises(DuplicateError):
            async with session.begin_nested():
                session.add(LibWord(word="first"))
        session.add(LibWord(word="second"))
    assert ["first", "second"] == await words(engine)


async def test_session_goes_on_after_a_rollback(engine: AndamiosEngine) -> None:
    """After a duplicate and a rollback the session can be used again."""
    async with engine.session() as session:
        session.add_all([LibWord(word="twice"), LibWord(word="twice")])
        with pytest.raises(DuplicateError):
            await session.flush()
        await session.rollback()
        session.add(LibWord(word="once"))
    assert ["once"] == await words(engine)


async def test_objects_stay_readable_after_a_commit(engine: AndamiosEngine) -> None:
    """No attribute has to be loaded again."""
    async with engine.session() as session:
        word = LibWord(word="kept")
        session.add(word)
        await session.commit()
        assert "kept" == word.word
    assert ("kept", True) == (word.word, word.id is not None)


async def test_session_is_unusable_after_its_block(engine: AndamiosEngine) -> None:
    """A closed session begins no transaction that nobody would end."""
    async with engine.session() as session:
        pass
    with pytest.raises(InvalidRequestError, match="closed"):
        await session.execute(select(LibWord))
    assert 0 == engine.connections.stats().in_use


async def test_manager_is_for_one_block_at_a_time(engine: AndamiosEngine) -> None:
    """A manager that is in use says so, and can be used again afterwards."""
    manager = engine.session()
    async with manager as first:
        with pytest.raises(SessionTaskError, match="in use"):
            await manager.__aenter__()
    async with manager as second:
        assert first is not second


async def test_session_from_an_engine(engine: AndamiosEngine) -> None:
    """A plain session binds to an engine, and commits only when told."""
    async with AsyncSession(engine) as session:
        session.add(LibWord(word="kept"))
        await session.commit()
        session.add(LibWord(word="gone"))
        await session.flush()
    assert ["kept"] == await words(engine)


async def test_session_from_a_url(engine: AndamiosEngine, test_database: str) -> None:
    """A session from a URL has an engine of its own, which ends with it."""
    async with AsyncSession(test_database) as session:
        session.add(LibWord(word="kept"))
        await session.commit()
        connection = await session.connection()
        own = connection.engine
    assert 0 == own.pool.checkedin()  # type: ignore[attr-defined]
    assert ["kept"] == await words(engine)


async def test_session_outside_of_a_block(engine: AndamiosEngine) -> None:
    """A session can be closed by hand."""
    session = AsyncSession(engine)
    await session.execute(select(LibWord))
    assert 1 == engine.connections.stats().in_use
    await session.close()
    assert 0 == engine.connections.stats().in_use


async def test_two_tasks_at_once(engine: AndamiosEngine) -> None:
    """The second task is told what is wrong and what to do; the first one is not disturbed."""
    async with engine.session() as session:
        results = await asyncio.gather(
            *(session.scalar(select(text("1"))) for _ in range(2)), return_exceptions=True
        )
    assert 1 == results[0]
    assert isinstance(results[1], SessionTaskError)
    assert "open one in each task" in str(results[1])


@pytest.mark.parametrize("name", ["flush", "commit", "rollback", "connection"])
async def test_every_call_is_for_one_task(
    engine: AndamiosEngine, server: Server, name: str
) -> None:
    """No call of a session runs beside another task's statement."""
    async with engine.session() as session:
        busy = asyncio.create_task(session.execute(server.slow(0.2)))
        await asyncio.sleep(0.05)
        with pytest.raises(SessionTaskError):
            await getattr(session, name)()
        await busy


async def test_tasks_one_after_the_other(engine: AndamiosEngine) -> None:
    """Another task may use a session that nobody uses at that moment."""
    async with engine.session() as session:
        await session.execute(select(LibWord))
        found = await asyncio.create_task(session.scalar(select(text("1"))))
    assert 1 == found


async def test_leaving_while_another_task_is_at_work(
    engine: AndamiosEngine, server: Server
) -> None:
    """The end of a block waits for a statement in flight, and then gives the connection back."""
    busy = []

    async def work() -> None:
        async with engine.session() as session:
            session.add(LibWord(word="gone"))
            await session.flush()
            busy.append(asyncio.create_task(session.execute(server.slow(0.2))))
            await asyncio.sleep(0.05)

    with pytest.raises(SessionTaskError):
        await work()
    await busy[0]
    assert [] == await words(engine)
    assert (0, 0) == (engine.connections.stats().in_use, await server.open_transactions())


async def test_leaving_with_an_error_while_another_task_is_at_work(
    engine: AndamiosEngine, server: Server
) -> None:
    """The error of the block is the one that is seen."""
    busy = []

    async def work() -> None:
        async with engine.session() as session:
            busy.append(asyncio.create_task(session.execute(server.slow(0.2))))
            await asyncio.sleep(0.05)
            raise KeyError

    with pytest.raises(KeyError):
        await work()
    await busy[0]
    assert 0 == engine.connections.stats().in_use


async def test_stream(engine: AndamiosEngine) -> None:
    """Rows can be read as they come, and the connection comes back."""
    async with engine.session() as session:
        session.add_all(LibWord(word=f"{number:03}") for number in range(50))
        await session.flush()
        result = await session.stream_scalars(select(LibWord.word).order_by(LibWord.word))
        found = [word async for word in result]
    assert [f"{number:03}" for number in range(50)] == found
    assert 0 == engine.connections.stats().in_use


async def test_error_in_a_statement_of_text(engine: AndamiosEngine) -> None:
    """A failed statement of text is an Andamios error, too."""
    async with engine.session() as session:
        with pytest.raises(QueryError):
            await session.execute(text("SELEKT 1"))
        await session.rollback()


async def test_merge_refresh_and_delete(engine: AndamiosEngine) -> None:
    """The calls that SQLAlchemy's session has work as they do there."""
    async with engine.session() as session:
        author = LibAuthor(name="Ana")
        session.add(author)
    author.name = "Julio"
    async with engine.session() as session:
        merged = await session.merge(author)
        await session.flush()
        await session.refresh(merged)
        assert "Julio" == merged.name
        await session.delete(merged)
    async with engine.session() as session:
        assert await session.get(LibAuthor, author.id) is None


def test_engine_serves_one_loop_after_another(test_database: str) -> None:
    """An engine that is closed at the end of a loop works in the next one."""
    engine = AndamiosEngine(test_database, uvloop=False)

    async def main() -> int | None:
        async with engine, engine.session() as session:
            return await session.scalar(text("SELECT 42"))

    assert [42, 42] == [run(main()), run(main())]


async def test_many_sessions_at_once(make_engine: EngineMaker) -> None:
    """Tasks with a session each share the pool, wait for it, and lose nothing."""
    engine = make_engine(pool_size=2, max_overflow=1)

    async def write(number: int) -> None:
        async with engine.session() as session:
            session.add(LibWord(word=f"{number:03}"))

    await asyncio.gather(*(write(number) for number in range(20)))
    assert [f"{number:03}" for number in range(20)] == await words(engine)
    assert 0 == engine.connections.stats().in_use


async def test_no_transaction_is_left_open(engine: AndamiosEngine, server: Server) -> None:
    """A block that only read leaves nothing open on the server either."""
    async with engine.session() as session:
        await session.execute(select(LibWord))

    async def is_quiet() -> bool:
        return 0 == await server.open_transactions()

    assert await eventually(is_quiet)
