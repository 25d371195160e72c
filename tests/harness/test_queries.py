"""Statements are logged, and a test that sends too many fails with all of them."""

import asyncio
import dataclasses

import pytest
from sqlalchemy import delete, select, text

from andamios import AndamiosEngine
from harness.fixtures.queries import MaxQueries, QueryLog
from tests.harness.inner import run_pytest
from tests.models.domain import LibWord


async def send(engine: AndamiosEngine, *numbers: int) -> None:
    async with engine.session() as session:
        for number in numbers:
            await session.scalar(text(f"SELECT {number}"))


async def test_statements(engine: AndamiosEngine, query_log: QueryLog) -> None:
    """The log has each statement with its time and rows, and no values."""
    assert (0, [], "") == (len(query_log), query_log.statements, str(query_log))
    async with engine.session() as session:
        await session.execute(delete(LibWord).where(LibWord.word == "secret"))
        assert [] == list(await session.scalars(select(LibWord).where(LibWord.word == "secret")))
    written, read = query_log

    assert [written, read] == query_log.statements
    assert written.text.startswith("DELETE FROM")
    assert (0, None, None) == (written.rows, read.rows, read.error)
    assert 0 < written.seconds < 5
    told = f"{query_log} {query_log.statements}"
    assert "secret" not in told
    lines = str(query_log).splitlines()
    assert ["1. DELETE", "2. SELECT"] == [line[:9] for line in lines]
    assert lines[0].endswith(" ms, rows: 0)")
    with pytest.raises(dataclasses.FrozenInstanceError):
        written.text = "another"  # type: ignore[misc]


async def test_transactions_do_not_count(engine: AndamiosEngine, query_log: QueryLog) -> None:
    """Savepoints come and go unseen, kept and rolled back."""
    async with engine.session() as session:
        async with session.begin_nested():
            await session.scalar(text("SELECT 1"))
        async with session.begin_nested() as savepoint:
            await savepoint.rollback()
        await session.rollback()
    assert ["SELECT 1"] == [each.text for each in query_log]


async def test_failed_statements_count(engine: AndamiosEngine, query_log: QueryLog) -> None:
    """A statement that the server refused was sent, and the log names its error."""
    with pytest.raises(Exception, match="nowhere"):
        async with engine.session() as session:
            await session.execute(text("SELECT * FROM nowhere"))
    (sent,) = query_log
    assert sent.error is not None
    assert str(sent).endswith(f", {sent.error})")


async def test_clear_and_watch(
    engine: AndamiosEngine, query_log: QueryLog, test_database: str
) -> None:
    """The log forgets on demand, and takes in other engines, once each."""
    await send(engine, 1)
    query_log.clear()
    async with AndamiosEngine(test_database, uvloop=False, pool_size=1) as other:
        query_log.watch(other)
        query_log.watch(other)
        query_log.watch(engine)
        await send(other, 2)
        await send(engine, 3)
        assert ["SELECT 2", "SELECT 3"] == [each.text for each in query_log]
        query_log.stop()
        await send(other, 4)
        assert 2 == len(query_log)


async def test_block(engine: AndamiosEngine, max_queries: MaxQueries) -> None:
    """A block may send as many as were said; with one more it fails and numbers them."""
    with max_queries(2):
        await send(engine, 1, 2)
    await send(engine, 3)
    with pytest.raises(pytest.fail.Exception) as caught, max_queries(1):
        await send(engine, 4, 5)

    first, *lines = str(caught.value).splitlines()
    assert "2 statements were sent, and at most 1 may be:" == first
    assert ["1. SELECT 4", "2. SELECT 5"] == [line.split("  ")[0] for line in lines]


async def test_none_at_all(
    engine: AndamiosEngine, max_queries: MaxQueries, query_log: QueryLog
) -> None:
    """Nothing may be sent, and a cleared log makes no difference."""

    async def work() -> None:
        with max_queries(0):
            await send(engine, 1)
            query_log.clear()

    with pytest.raises(pytest.fail.Exception, match="1 statement was sent, and at most 0"):
        await work()


async def test_blocks_in_blocks(engine: AndamiosEngine, max_queries: MaxQueries) -> None:
    """Each block counts its own statements, those of blocks in it too."""

    async def work() -> None:
        with max_queries(1):
            await send(engine, 1)
        with max_queries(2):
            await send(engine, 2, 3)

    with max_queries(3):
        await work()
    with pytest.raises(pytest.fail.Exception, match="at most 2"), max_queries(2):
        await work()


async def test_other_tasks_count(engine: AndamiosEngine, max_queries: MaxQueries) -> None:
    """What another task sends meanwhile through the engine counts."""
    with pytest.raises(pytest.fail.Exception, match="2 statements"), max_queries(1):
        await asyncio.gather(send(engine, 1), send(engine, 2))


async def test_an_expected_error_hides_nothing(
    engine: AndamiosEngine, max_queries: MaxQueries
) -> None:
    """A block that raises is counted too; the error is told as its reason."""

    async def work() -> None:
        await send(engine, 1)
        raise KeyError

    with pytest.raises(pytest.fail.Exception, match="at most 0") as caught, max_queries(0):
        await work()
    assert isinstance(caught.value.__context__, KeyError)
    with pytest.raises(KeyError), max_queries(1):
        await work()


@pytest.mark.parametrize("number", [-1, 1.0, "3", None, True])
def test_wrong_number(max_queries: MaxQueries, number: int) -> None:
    """What is no number of statements is refused."""
    with pytest.raises(ValueError, match="max_queries takes a whole number from 0 on, not"):
        max_queries(number)


REST_OF_TEST = """
    import pytest
    from sqlalchemy import text

    pytestmark = pytest.mark.asyncio

    async def send(engine):
        async with engine.session() as session:
            await session.scalar(text("SELECT 42"))

    @pytest.fixture
    def limited(max_queries):
        max_queries(1)

    async def test_within(engine, max_queries):
        await send(engine)
        max_queries(1)
        await send(engine)

    async def test_beyond(engine, limited):
        await send(engine)
        await send(engine)

    async def test_own_error(engine, max_queries):
        max_queries(0)
        await send(engine)
        raise KeyError("own")

    async def test_swallowed(engine, max_queries):
        try:
            with max_queries(0):
                await send(engine)
        except Exception:
            pass
    """


def test_rest_of_the_test(pytester: pytest.Pytester) -> None:
    """A plain call holds to the end of a test, which fails then, once; its own errors go first."""
    result = run_pytest(pytester, REST_OF_TEST)

    outcomes = result.parseoutcomes()
    assert (1, 3, None) == (outcomes["passed"], outcomes["failed"], outcomes.get("errors"))
    result.stdout.fnmatch_lines(["*Failed: 2 statements were sent, and at most 1 may be:*"])
    result.stdout.fnmatch_lines(["*1. SELECT 42*", "*2. SELECT 42*", "*KeyError*own*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_an_engine_of_another_kind(pytester: pytest.Pytester) -> None:
    """Who has a fixture named engine is told why its statements cannot be logged."""
    test = """
        import pytest

        @pytest.fixture
        def engine():
            return "mine"

        def test_mine(engine):
            assert engine == "mine"

        def test_log(query_log):
            pass
        """
    result = run_pytest(pytester, test)

    assert {"passed": 1, "errors": 1} == result.parseoutcomes()
    result.stdout.fnmatch_lines(["*the fixture engine is redefined here as str*"])
