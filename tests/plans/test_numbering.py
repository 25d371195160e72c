"""Rows that go in by INSERT: the keys that come back are theirs, however the statements are cut."""

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from andamios import AndamiosEngine, BaseModel, DataError, GenericRepository, NotFoundError
from andamios.core.facts import QueryFinished
from andamios.plans import drivers

MYSQL = {"mysql", "mariadb"}


class NumberedBase(BaseModel, DeclarativeBase):
    """Tables of their own."""

    __abstract__ = False


class Numbered(NumberedBase):
    """Its key is made by the database; a name has what drivers write values into."""

    word: Mapped[str] = mapped_column("a %s word", sa.Text)
    code: Mapped[str | None] = mapped_column(sa.String(40))
    times: Mapped[int] = mapped_column("times %", default=1)


class NumberedCode(NumberedBase):
    """A key besides the one that the database makes, and what each update sets."""

    word: Mapped[str]
    code: Mapped[str] = mapped_column(sa.String(40), unique=True)
    mark: Mapped[str | None] = mapped_column(sa.String(9), onupdate="5 %s")


class NumberedEarly(NumberedBase):
    """The database makes more than its key."""

    word: Mapped[str]
    made: Mapped[int] = mapped_column(server_default="7")


@pytest.fixture(scope="session")
def db_metadata() -> sa.MetaData:
    """Have these tables alone."""
    return NumberedBase.metadata


@pytest_asyncio.fixture
async def sent(engine: AndamiosEngine) -> AsyncIterator[list[str]]:
    """The statements that are announced."""
    noted: list[str] = []
    listener = engine.hooks.listen(QueryFinished, lambda fact: noted.append(fact.statement))
    yield noted
    engine.hooks.remove(QueryFinished, listener)


async def require_keys(engine: AndamiosEngine, words: list[str], keys: list[int]) -> None:
    """See that each key is the one of its row."""
    found = await GenericRepository[Numbered](engine).get_many(keys)
    assert words == [row.word for row in found]


@pytest.mark.parametrize("kind", [dict, Numbered])
async def test_one_statement(
    engine: AndamiosEngine, sent: list[str], kind: type[dict[str, str] | Numbered]
) -> None:
    """All rows go by one statement, and keys and objects come back in their order."""
    words = [f"%s {number} %" for number in reversed(range(2500))]
    repository = GenericRepository[Numbered](engine)

    keys = await repository.create_many([kind(word=word) for word in words], returning="keys")
    rows = await repository.create_many([kind(word=word) for word in words], returning="entities")

    wanted = {"postgresql": "COPY"}.get(engine.backend, "INSERT")
    assert [wanted] * 2 == [sql.split()[0] for sql in sent if sql.split()[0] != "SELECT"]
    await require_keys(engine, words, keys)
    await require_keys(engine, words, [row.id for row in rows])
    assert [sa.inspect(row).identity for row in rows] == [(row.id,) for row in rows]
    rows[0].times = 9
    assert 9 == (await repository.update(rows[0])).times


async def test_keys_that_are_apart(engine: AndamiosEngine) -> None:
    """A server that counts in steps, as a cluster's do, gives keys in steps."""
    if engine.backend not in MYSQL:
        pytest.skip("only MySQL and MariaDB count in steps that a server is told")
    words = [f"{number}" for number in range(5)]

    async with engine.session() as session:
        await session.execute(sa.text("SET SESSION auto_increment_increment = 3"))
        repository = GenericRepository[Numbered](session)
        keys = await repository.create_many([{"word": word} for word in words], returning="keys")
        await session.execute(sa.text("SET SESSION auto_increment_increment = 1"))

    assert {3} == {later - former for former, later in itertools.pairwise(keys)}
    await require_keys(engine, words, keys)


async def test_keys_of_several_statements(
    engine: AndamiosEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are too long for one statement go by several, while others insert too."""
    monkeypatch.setattr(drivers, "LONGEST", 100)
    words = [f"{number}" * 9 for number in range(10, 60)]
    rows = [{"word": word} for word in words]

    keys = await GenericRepository[Numbered](engine).create_many(rows, returning="keys")

    await require_keys(engine, words, keys)


async def test_other_defaults(engine: AndamiosEngine) -> None:
    """What the database makes besides keys is known to objects that come back."""
    repository = GenericRepository[NumberedEarly](engine)

    rows = await repository.create_many([{"word": "a"}, {"word": "b"}], returning="entities")

    assert [7, 7] == [row.made for row in rows]


async def test_upserts(engine: AndamiosEngine, sent: list[str]) -> None:
    """Rows that are there are updated by the same statement, with what each update sets."""
    repository = GenericRepository[NumberedCode](engine)
    await repository.create_many([{"word": "old", "code": f"{number}"} for number in range(5)])
    del sent[:]

    rows = [{"word": f"new %s {number}", "code": f"{number}"} for number in range(3, 8)]
    await repository.upsert_many(rows, on="code")

    assert 1 == sum(sql.startswith("INSERT") for sql in sent)
    found = {row.code: row for row in await repository.list()}
    assert 8 == len(found)
    assert ["old", None] == [found["0"].word, found["0"].mark]
    assert ["new %s 4", "5 %s"] == [found["4"].word, found["4"].mark]
    assert ["new %s 7", None] == [found["7"].word, found["7"].mark]


async def test_updates(engine: AndamiosEngine, sent: list[str]) -> None:
    """Rows are updated by one call of the driver, and on MySQL by one statement."""
    repository = GenericRepository[Numbered](engine)
    rows = [{"id": key, "word": "old"} for key in range(1, 9)]
    await repository.create_many(rows)
    del sent[:]

    words = [f"new %s {key}" * key for key in range(2, 7)]
    changes = [{"id": key, "word": word, "times": key} for key, word in enumerate(words, 2)]
    await repository.update_many([*changes, {"id": 1, "word": "old", "times": 1}])

    assert 1 == sum(sql.startswith("UPDATE") for sql in sent)
    # PostgreSQL looks for the row that needs no update, and MariaDB at all rows before.
    is_read = engine.backend in {"postgresql", "mariadb"}
    assert is_read == any(sql.startswith("SELECT") for sql in sent)
    is_joined = any("JOIN (VALUES" in sql for sql in sent)
    assert (engine.backend == "mysql") == is_joined
    found = await repository.list(order_by="id")
    assert ["old", *words, "old", "old"] == [row.word for row in found]
    assert [1, 2, 3, 4, 5, 6, 1, 1] == [row.times for row in found]


async def test_updates_of_rows_that_are_missing(engine: AndamiosEngine) -> None:
    """One that is not there is an error, and the others are as before."""
    repository = GenericRepository[Numbered](engine)
    await repository.create_many([{"id": key, "word": "old"} for key in (1, 2)])

    with pytest.raises(NotFoundError, match="1 rows of Numbered are missing"):
        await repository.update_many([{"id": key, "word": "new"} for key in (1, 2, 3)])

    assert ["old", "old"] == [row.word for row in await repository.list()]


async def test_long_texts_are_refused(engine: AndamiosEngine) -> None:
    """A text that is longer than its column is refused, also where it goes in with many."""
    rows = [{"word": "a", "code": "b" * length} for length in (3, 41)]

    for returning in (None, "keys"):
        with pytest.raises(DataError):
            await GenericRepository[Numbered](engine).create_many(rows, returning=returning)
    assert [] == await GenericRepository[Numbered](engine).list()

    await GenericRepository[Numbered](engine).create_many([{"id": 1, "word": "a"}])
    with pytest.raises(DataError):
        await GenericRepository[Numbered](engine).update_many([{"id": 1, "code": "b" * 41}])
