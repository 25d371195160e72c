"""Errors of drivers: one class and one set of facts for the same mistake on every backend."""

import asyncio
import traceback
from typing import Any

import pytest
import sqlalchemy.ext.asyncio as sa_asyncio
from sqlalchemy import delete, func, insert, literal_column, select, text, update
from sqlalchemy import exc as sa_exc

from andamios import (
    AndamiosEngine,
    AndamiosError,
    AsyncSession,
    CheckViolationError,
    ConstraintError,
    DataError,
    DeadlockError,
    DuplicateError,
    ForeignKeyError,
    NotNullError,
    QueryError,
)
from andamios.core.translation import translate
from tests.models.domain import LibAuthor, LibBook, LibPlace, LibPlain, LibWord, lib_book_tag

SECRET = "s3cr3t@example.org"


async def failing(session: AsyncSession, statement: Any, kind: type[Any]) -> Any:
    """Run a statement that must fail, and give its error."""
    with pytest.raises(kind) as caught:
        async with session.begin_nested():
            await session.execute(statement)
    assert kind is type(caught.value)
    return caught.value


def facts(error: ConstraintError) -> tuple[Any, ...]:
    """Give what an error knows of a constraint."""
    return error.constraint, error.columns, error.table


async def author(session: AsyncSession, **values: Any) -> LibAuthor:
    """Write an author."""
    found = LibAuthor(**{"name": "Ana"} | values)
    session.add(found)
    await session.flush()
    return found


async def test_duplicate(db_session: AsyncSession) -> None:
    """A unique column tells constraint, column and table."""
    await author(db_session, email=SECRET)
    statement = insert(LibAuthor).values(name="Other", email=SECRET)
    error = await failing(db_session, statement, DuplicateError)
    assert ("uq_lib_author_email", ("email",), "lib_author") == facts(error)


BROKEN: dict[type[ConstraintError], Any] = {
    DuplicateError: insert(LibAuthor).values(name="it's 'Ana'", email=SECRET),
    NotNullError: insert(LibAuthor).values(name=None),
    CheckViolationError: insert(LibAuthor).values(name="x", age=-1),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("language", ["de_DE", "fr_FR", "hu_HU", "ja_JP", "zh_CN"])
async def test_other_languages(
    db_session: AsyncSession, backend: str, language: str, kind: type[ConstraintError]
) -> None:
    """A server that speaks another language says the same."""
    if backend in {"sqlite", "postgresql"}:
        pytest.skip("SQLite speaks English, and PostgreSQL tells facts beside its words")
    await author(db_session, email=SECRET)
    english = await failing(db_session, BROKEN[kind], kind)
    await db_session.execute(text(f"SET SESSION lc_messages = '{language}'"))
    try:
        other = await failing(db_session, BROKEN[kind], kind)
    finally:
        await db_session.execute(text("SET SESSION lc_messages = DEFAULT"))
    assert facts(english) == facts(other)
    assert facts(english) != (None, None, "lib_author")


async def test_duplicate_of_several_columns(db_session: AsyncSession) -> None:
    """A unique key of several columns tells them all, in order."""
    await author(db_session, country="Peru", number=7)
    statement = insert(LibAuthor).values(name="Other", country="Peru", number=7)
    error = await failing(db_session, statement, DuplicateError)
    expected = "uq_lib_author_country_number", ("country", "number"), "lib_author"
    assert expected == facts(error)


async def test_duplicate_primary_key(db_session: AsyncSession) -> None:
    """A primary key has the name that the model gave it, on MySQL too."""
    found = await author(db_session)
    statement = insert(LibAuthor).values(id=found.id, name="Other")
    error = await failing(db_session, statement, DuplicateError)
    assert ("pk_lib_author", ("id",), "lib_author") == facts(error)


async def test_duplicate_by_update(db_session: AsyncSession) -> None:
    """An UPDATE tells the same."""
    await author(db_session, email=SECRET)
    other = await author(db_session, email="other")
    statement = update(LibAuthor).where(LibAuthor.id == other.id).values(email=SECRET)
    error = await failing(db_session, statement, DuplicateError)
    assert ("uq_lib_author_email", ("email",), "lib_author") == facts(error)


async def test_duplicate_in_a_table_without_class(db_session: AsyncSession) -> None:
    """A statement on a table tells the same as one on a model."""
    book, tag = LibBook(title="Rayuela"), text("INSERT INTO lib_tag (id, name) VALUES (1, 'n')")
    db_session.add(book)
    await db_session.execute(tag)
    await db_session.flush()
    statement = insert(lib_book_tag).values(book_id=book.id, tag_id=1)
    await db_session.execute(statement)
    error = await failing(db_session, statement, DuplicateError)
    assert ("pk_lib_book_tag", ("book_id", "tag_id"), "lib_book_tag") == facts(error)


async def test_duplicate_in_a_statement_of_text(db_session: AsyncSession, backend: str) -> None:
    """A statement of text tells what the database itself tells."""
    await author(db_session, email=SECRET)
    statement = text("INSERT INTO lib_author (name, age, email) VALUES ('O', 1, :email)")
    error = await failing(db_session, statement.bindparams(email=SECRET), DuplicateError)
    told = {
        "sqlite": (None, ("email",), "lib_author"),
        "postgresql": ("uq_lib_author_email", None, "lib_author"),
        "mysql": ("uq_lib_author_email", None, "lib_author"),
        "mariadb": ("uq_lib_author_email", None, None),
    }
    assert told.get(backend, told["mysql"]) == facts(error)


async def test_duplicate_among_many(db_session: AsyncSession) -> None:
    """One bad row among many tells the same."""
    statement = insert(LibWord).values([{"word": "a"}, {"word": "b"}, {"word": "a"}])
    error = await failing(db_session, statement, DuplicateError)
    assert ("uq_lib_word_word", ("word",), "lib_word") == facts(error)


async def test_missing_parent(db_session: AsyncSession, backend: str) -> None:
    """A row that refers to nothing; SQLite does not tell which key it was."""
    error = await failing(
        db_session, insert(LibBook).values(title="x", author_id=123456789), ForeignKeyError
    )
    known = "fk_lib_book_author_id", ("author_id",), "lib_book"
    assert ((None, None, "lib_book") if backend == "sqlite" else known) == facts(error)


async def test_parent_that_is_referred_to(db_session: AsyncSession, backend: str) -> None:
    """A row that others refer to; where the database tells, the constraint is theirs."""
    found = await author(db_session)
    db_session.add(LibBook(title="x", author_id=found.id))
    await db_session.flush()
    statement = delete(LibAuthor).where(LibAuthor.id == found.id)
    error = await failing(db_session, statement, ForeignKeyError)
    if backend == "sqlite":
        assert (None, None) == (error.constraint, error.columns)
    else:
        assert ("fk_lib_book_author_id", "lib_book") == (error.constraint, error.table)


@pytest.mark.parametrize("values", [{"name": None}, {"email": "x"}], ids=str)
async def test_missing_value(db_session: AsyncSession, values: dict[str, Any]) -> None:
    """NULL, given or left out, tells the column."""
    error = await failing(db_session, insert(LibAuthor).values(**values), NotNullError)
    assert (None, ("name",), "lib_author") == facts(error)


async def test_missing_value_by_update(db_session: AsyncSession) -> None:
    """An UPDATE to NULL tells the same."""
    await author(db_session)
    error = await failing(db_session, update(LibAuthor).values(name=None), NotNullError)
    assert (None, ("name",), "lib_author") == facts(error)


async def test_check(db_session: AsyncSession) -> None:
    """A CHECK tells its name and table."""
    statement = insert(LibAuthor).values(name="Ana", age=-987654)
    error = await failing(db_session, statement, CheckViolationError)
    assert ("ck_lib_author_age_not_negative", None, "lib_author") == facts(error)


DATA: dict[str, Any] = {
    "too long": insert(LibPlain).values(title="x" * 300, pages=1),
    "out of range": insert(LibPlain).values(title="x", pages=2**63),
    "wrong type": insert(LibPlain).values(title="x", pages="many"),
    "too large a decimal": insert(LibPlain).values(title="x", pages=1, weight=10**12),
    "in a condition": select(LibPlain).where(LibPlain.pages.in_([1, 2**63])),
}


@pytest.mark.parametrize("name", DATA)
async def test_data_error(db_session: AsyncSession, name: str) -> None:
    """A value that the column cannot hold is no broken constraint."""
    error = await failing(db_session, DATA[name], DataError)
    assert "lib_plain" in str(error.statement)


async def test_division_by_zero_is_no_constraint(db_session: AsyncSession, backend: str) -> None:
    """PostgreSQL refuses a division by zero as a matter of data; the others give NULL."""
    statement = select(literal_column("1") / literal_column("0"))
    if backend == "postgresql":
        await failing(db_session, statement, DataError)
    else:
        assert await db_session.scalar(statement) is None


CODES = {
    "syntax": {"sqlite": "SQLITE_ERROR", "postgresql": "42601", "mysql": 1064},
    "table": {"sqlite": "SQLITE_ERROR", "postgresql": "42P01", "mysql": 1146},
    "column": {"sqlite": "SQLITE_ERROR", "postgresql": "42703", "mysql": 1054},
    "function": {"sqlite": "SQLITE_ERROR", "postgresql": "42883", "mysql": 1305},
}

REFUSED: dict[str, Any] = {
    "syntax": text("SELECT FROM WHERE"),
    "table": text("SELECT * FROM no_such_table"),
    "column": text("SELECT no_such_column FROM lib_word"),
    "function": select(func.no_such_function(1)),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_statement(db_session: AsyncSession, backend: str, name: str) -> None:
    """Anything else is a QueryError with the database's own code and the statement."""
    error = await failing(db_session, REFUSED[name], QueryError)
    assert CODES[name].get(backend, CODES[name]["mysql"]) == error.code
    assert "SELECT" in str(error.statement)
    assert str(error.code) in str(error)


MISSING: dict[str, tuple[Any, str]] = {
    "table": (text("SELECT * FROM no_such_table"), "There is no table 'no_such_table'"),
    "column": (text("SELECT no_such FROM lib_word"), "There is no column 'no_such'"),
    "column of a table": (
        text("SELECT lib_word.no_such FROM lib_word"),
        "There is no column 'no_such'",
    ),
    "written column": (
        text("INSERT INTO lib_word (no_such) VALUES (1)"),
        "There is no column 'no_such'",
    ),
}


@pytest.mark.parametrize("name", MISSING)
async def test_what_is_missing(db_session: AsyncSession, name: str) -> None:
    """A table or column that is not there is named, with the cure."""
    statement, expected = MISSING[name]
    error = await failing(db_session, statement, QueryError)
    assert str(error).startswith(expected)
    assert "pply the migrations" in str(error)


LEAKS: dict[str, Any] = {
    "duplicate": insert(LibAuthor).values(name="Other", email=SECRET),
    "check": insert(LibAuthor).values(name=SECRET, age=-987654),
    "not null": insert(LibPlain).values(title=SECRET, pages=None),
    "too long": insert(LibPlain).values(title=SECRET * 30, pages=1),
    "wrong type": insert(LibPlain).values(title="x", pages=SECRET),
    "foreign key": insert(LibBook).values(title=SECRET, author_id=987654),
    "no table": text("SELECT * FROM no_such_table WHERE x = :x").bindparams(x=SECRET),
}


@pytest.mark.parametrize("name", LEAKS)
async def test_message_never_contains_the_value(db_session: AsyncSession, name: str) -> None:
    """The message is one line, says in which statement, and repeats no value."""
    await author(db_session, email=SECRET)
    error = await failing(db_session, LEAKS[name], _kind(name))
    message = "".join(traceback.format_exception_only(error))
    assert (False, False) == (SECRET in message, "987654" in message)
    assert 1 == len(str(error).splitlines())
    assert error.statement.split()[0] in str(error)


def _kind(name: str) -> type[AndamiosError]:
    return {
        "duplicate": DuplicateError,
        "check": CheckViolationError,
        "not null": NotNullError,
        "too long": DataError,
        "wrong type": DataError,
        "foreign key": ForeignKeyError,
        "no table": QueryError,
    }[name]


async def test_deadlock(engine: AndamiosEngine, backend: str) -> None:
    """Two transactions that wait for each other: one is told so, the other one succeeds."""
    if backend == "sqlite":
        pytest.skip("SQLite has one writer, who waits for nobody")
    async with engine.session() as session:
        session.add_all([LibPlace(row=1, number=1), LibPlace(row=1, number=2)])

    async def write(first: int, second: int) -> None:
        async with engine.session() as session:
            for number in (first, second):
                condition = LibPlace.number == number, LibPlace.row == 1
                await session.execute(update(LibPlace).where(*condition).values(guest="x"))
                await asyncio.sleep(0.1)

    results = await asyncio.gather(write(1, 2), write(2, 1), return_exceptions=True)
    assert {DeadlockError, type(None)} == {type(result) for result in results}


async def test_savepoint_keeps_the_transaction(db_session: AsyncSession) -> None:
    """After a refused statement in a savepoint the session goes on."""
    await failing(db_session, text("SELECT * FROM no_such_table"), QueryError)
    assert 1 == await db_session.scalar(text("SELECT 1"))


async def test_cause_is_kept(db_session: AsyncSession) -> None:
    """The driver's own error is the cause, for who needs more."""
    error = await failing(db_session, text("SELECT * FROM no_such_table"), QueryError)
    assert "no_such_table" in str(error.__cause__)


async def test_plain_sessions_are_translated_too(engine: AndamiosEngine) -> None:
    """SQLAlchemy's own session and connection on this engine raise the same errors."""
    statement = text("SELECT * FROM no_such_table")
    async with sa_asyncio.AsyncSession(engine.async_engine) as session:
        with pytest.raises(QueryError):
            await session.execute(statement)
    async with engine.connections.acquire() as connection:
        with pytest.raises(QueryError):
            await connection.execute(statement)


async def test_session_on_a_foreign_engine(test_database: str, engine: AndamiosEngine) -> None:
    """Our session on an engine of SQLAlchemy's raises our errors as well."""
    plain = sa_asyncio.create_async_engine(engine.url)
    async with AsyncSession(plain) as session:
        with pytest.raises(QueryError) as caught:
            await session.execute(text("SELECT * FROM no_such_table"))
        await session.rollback()
        session.add_all([LibWord(word="x"), LibWord(word="x")])
        with pytest.raises(DuplicateError):
            await session.flush()
    await plain.dispose()
    assert caught.value.code is not None
    assert test_database


def test_what_is_ours_stays_as_it_is() -> None:
    """An Andamios error comes back unchanged."""
    error = QueryError("what happened")
    assert error is translate(error)


def test_what_nobody_knows_is_not_translated() -> None:
    """An error of Python that is no matter of a database passes."""
    assert translate(KeyError("x")) is None


def test_time_out_of_the_pool() -> None:
    """SQLAlchemy's time-out is that of the pool."""
    assert "pool" in str(translate(sa_exc.TimeoutError("QueuePool limit")))
