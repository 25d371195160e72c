"""Whoever listens to SQLAlchemy hears of short statements too, and may use the connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.orm import Session as TheirSession

from andamios import AndamiosEngine, BaseModel, BaseRepository, DuplicateError, GenericRepository
from andamios.core.session import Session
from tests.plans.both_ways import both_ways
from tests.plans.cases import Ask

pytestmark = pytest.mark.isolation("committing")


class ListenedWord(BaseModel):
    """What is asked for while somebody listens."""

    word: Mapped[str] = mapped_column(sa.String(20), unique=True)
    size: Mapped[int | None]


Words = GenericRepository[ListenedWord]


@pytest.fixture
async def words(engine: AndamiosEngine) -> AndamiosEngine:
    """Two words."""
    await Words(engine).create_many([{"word": "one", "size": 1}, {"word": "two", "size": 2}])
    return engine


@contextmanager
def heard(target: Any, name: str, listener: Any, **options: Any) -> Iterator[None]:
    """Listen while this block is open."""
    event.listen(target, name, listener, **options)
    try:
        yield
    finally:
        event.remove(target, name, listener)


async def _streamed(engine: AndamiosEngine) -> list[str]:
    return [each.word async for each in Words(engine).query().order_by("id").stream(1)]


STATEMENTS: dict[str, Ask] = {
    "count": lambda e: Words(e).query().count(),
    "one": lambda e: Words(e).find_one({"word": "one"}),
    "rows": lambda e: Words(e).query().only("word").order_by("id").execute(),
    "get_by_id": lambda e: Words(e).get_by_id(-1),
    "update": lambda e: Words(e).query().filter({"word": "one"}).update({"size": 1}),
}
"""What an engine and a session are asked."""

ALONE: dict[str, Ask] = {**STATEMENTS, "stream": _streamed}
"""What only an engine is asked in one transaction."""

CLASSES = {"SQLAlchemy's": TheirSession, "ours": Session}


def _working(seen: list[str]) -> Any:
    """Give a listener that does something on the connection of which it hears."""

    def work(*about: Any) -> None:
        seen.append(str(about[-1].exec_driver_sql("SELECT 'seen'").scalar()))

    return work


@pytest.mark.parametrize("name", ALONE)
async def test_an_engines_begin(words: AndamiosEngine, name: str) -> None:
    """Who listens to an engine's ``begin`` hears of each transaction, and can work in it."""
    seen: list[str] = []

    async def ask(engine: AndamiosEngine) -> Any:
        seen.clear()
        return await ALONE[name](engine), list(seen)

    with heard(words.async_engine.sync_engine, "begin", _working(seen)):
        _, told = await both_ways(words, ask)

    assert ["seen"] == told


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", ALONE)
async def test_a_sessions_after_begin(words: AndamiosEngine, name: str, kind: str) -> None:
    """Who listens to ``after_begin`` of all sessions hears of lone statements as well."""
    seen: list[str] = []

    async def ask(engine: AndamiosEngine) -> Any:
        seen.clear()
        return await ALONE[name](engine), list(seen)

    with heard(CLASSES[kind], "after_begin", _working(seen)):
        _, told = await both_ways(words, ask)

    assert ["seen"] == told


@pytest.mark.parametrize("where", ["begin", *CLASSES, "a session"])
@pytest.mark.parametrize("name", STATEMENTS)
async def test_inside_sessions(words: AndamiosEngine, name: str, where: str) -> None:
    """A statement that begins the transaction of its session lets listeners work in it."""
    seen: list[str] = []
    listener = _working(seen)

    async def ask(engine: AndamiosEngine) -> Any:
        seen.clear()
        async with engine.session() as session:
            if where == "a session":
                event.listen(session.sync_session, "after_begin", listener)
            found = await STATEMENTS[name](session)  # type: ignore[arg-type]
            again = await STATEMENTS[name](session)  # type: ignore[arg-type]
        return found, again, list(seen), engine.connections.stats().in_use

    if where == "a session":
        told = await both_ways(words, ask)
    elif where == "begin":
        with heard(words.async_engine.sync_engine, "begin", listener):
            told = await both_ways(words, ask)
    else:
        with heard(CLASSES[where], "after_begin", listener):
            told = await both_ways(words, ask)

    assert told[2]
    assert 0 == told[3]


async def test_a_setting_of_each_transaction(words: AndamiosEngine) -> None:
    """What a listener sets for a transaction, as policies of rows want it, holds for each."""
    if words.backend != "postgresql":
        pytest.skip("Others have no settings of a transaction")
    setting = sa.func.current_setting("andamios.tenant", True)

    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("SELECT set_config('andamios.tenant', 'ana', true)")

    async def ask(engine: AndamiosEngine) -> Any:
        query = Words(engine).query()
        asked = query.only(setting.label("it")).limit(1)
        return [
            await asked.scalar(),
            [row.it async for row in asked.stream()],
            await query.filter(setting == "ana").update({"size": 5}),
            await query.filter(setting == "ana").count(),
        ]

    with heard(words.async_engine.sync_engine, "begin", begun):
        assert ["ana", ["ana"], 2, 2] == await both_ways(words, ask)


async def test_errors(words: AndamiosEngine) -> None:
    """Who listens to ``handle_error`` hears of each error, alone and inside a session."""
    seen: list[Any] = []

    def failed(context: Any) -> None:
        error = context.sqlalchemy_exception
        seen.append((type(error).__name__, context.statement is not None))

    async def refused(target: Any, *, is_read: bool) -> str:
        query = Words(target).query()
        try:
            if is_read:
                await query.filter(sa.func.no_such_function(ListenedWord.size) == 1).count()
            else:
                await Words(target).create(ListenedWord(word="one"))
        except Exception as error:  # noqa: BLE001  that is what is compared
            return type(error).__name__
        return "no error"

    async def ask(engine: AndamiosEngine) -> Any:
        seen.clear()
        told = [await refused(engine, is_read=is_read) for is_read in (False, True)]
        async with engine.session() as session:
            told.append(await refused(session, is_read=True))
            await session.rollback()
        return told, list(seen)

    with heard(words.async_engine.sync_engine, "handle_error", failed):
        told, errors = await both_ways(words, ask)

    assert "DuplicateError" == told[0]
    assert 3 == len(errors)


async def test_an_error_of_a_listener(words: AndamiosEngine) -> None:
    """A listener to ``handle_error`` may put another error in the place of the first."""

    class OfListenerError(Exception):
        pass

    def failed(context: Any) -> Any:
        return OfListenerError(type(context.sqlalchemy_exception).__name__)

    async def ask(engine: AndamiosEngine) -> Any:
        try:
            await Words(engine).create(ListenedWord(word="one"))
        except (OfListenerError, DuplicateError) as error:
            return type(error).__name__

    with heard(words.async_engine.sync_engine, "handle_error", failed, retval=True):
        assert "OfListenerError" == await both_ways(words, ask)


class ListenedLater(BaseModel):
    """What is changed before somebody listens, and while."""

    word: Mapped[str]


async def test_a_field_that_is_listened_to_later(engine: AndamiosEngine) -> None:
    """Who begins to listen to a field after its first use is asked for what is stored then."""
    later = BaseRepository[ListenedLater](engine)
    many = GenericRepository[ListenedLater](engine)
    key = (await later.create(ListenedLater(word="a"))).id
    await many.update_many([{"id": key, "word": "b"}])
    await many.create_many([{"word": "x"}, {"word": "y"}])
    calls: list[str] = []

    def changed(_target: Any, value: str, *_: Any) -> str:
        calls.append(value)
        return value.upper()

    async def ask(engine: AndamiosEngine) -> Any:
        calls.clear()
        repository = GenericRepository[ListenedLater](engine)
        await repository.update_many([{"id": key, "word": "c"}])
        made = await repository.create_many([{"word": "d"}], returning="entities")
        return [*calls], (await repository.get_one(key)).word, made[0].word

    with heard(ListenedLater.word, "set", changed, retval=True):
        await both_ways(engine, ask)


async def test_objects_that_are_listened_to_later(engine: AndamiosEngine) -> None:
    """Who begins to listen to new objects after the first ones hears of the next."""
    calls: list[str] = []

    def begun(*_: Any) -> None:
        calls.append("init")

    async def ask(engine: AndamiosEngine) -> Any:
        calls.clear()
        repository = GenericRepository[ListenedLater](engine)
        made = await repository.create_many([{"word": "d"}, {"word": "e"}], returning="entities")
        return [*calls], [each.word for each in made]

    await ask(engine)
    with heard(ListenedLater, "init", begun):
        await both_ways(engine, ask)
