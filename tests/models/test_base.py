"""The base class: names, keys, inheritance, ``to_dict`` and ``repr``."""

import datetime as dt
import time
import uuid

import pytest
from sqlalchemy import BigInteger, func, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    defer,
    load_only,
    mapped_column,
    registry,
)

from andamios import AsyncSession, BaseModel, DuplicateError, UTCDateTime
from andamios.models import uuid7
from andamios.models.tables import snake_case
from tests.models.domain import (
    LibAuthor,
    LibBook,
    LibFilm,
    LibKinds,
    LibMedium,
    LibPlace,
    LibShelf,
    LibSong,
    LibTicket,
    LibWord,
)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("User", "user"),
        ("UserRole", "user_role"),
        ("HTTPRequestLog", "http_request_log"),
        ("OAuth2Token", "o_auth2_token"),
        ("A", "a"),
    ],
)
def test_table_is_named_after_the_class(name: str, table: str) -> None:
    """Capitals begin words."""
    assert table == snake_case(name)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (
            LibAuthor,
            {
                "pk_lib_author",
                "uq_lib_author_email",
                "uq_lib_author_country_number",
                "ck_lib_author_age_not_negative",
            },
        ),
        (LibBook, {"pk_lib_book", "fk_lib_book_author_id"}),
    ],
)
def test_constraints_have_names(model: type[BaseModel], names: set[str]) -> None:
    """Every constraint is named, so that migrations and errors can tell it."""
    assert names == {
        constraint.name for constraint in model.metadata.tables[model.__tablename__].constraints
    }


def test_indexes_have_names() -> None:
    """An index is named after its table and columns."""
    table = LibShelf.metadata.tables["lib_shelf"]
    assert {"ix_lib_shelf_deleted_at"} == {index.name for index in table.indexes}


async def test_key_is_a_number_that_counts(db_session: AsyncSession) -> None:
    """A model without a key of its own has an ``id``, given by the database."""
    words = [LibWord(word="a"), LibWord(word="b")]
    db_session.add_all(words)
    await db_session.flush()
    assert 1 == words[1].id - words[0].id


async def test_key_has_64_bits(db_session: AsyncSession) -> None:
    """A key may be larger than 32 bits on every backend."""
    db_session.add(LibWord(id=2**62, word="far"))
    await db_session.flush()
    assert 2**62 == await db_session.scalar(select(LibWord.id))


async def test_key_of_two_columns(db_session: AsyncSession) -> None:
    """A mapped key replaces ``id``, and a row is found by all of it."""
    db_session.add_all([LibPlace(row=1, number=2, guest="Ana"), LibPlace(row=2, number=1)])
    await db_session.flush()
    db_session.expunge_all()
    place = await db_session.get_one(LibPlace, (1, 2))
    assert ("Ana", False) == (place.guest, hasattr(LibPlace, "id"))


async def test_same_key_of_two_columns_is_a_duplicate(db_session: AsyncSession) -> None:
    """The second row with a key of two columns is refused, with the same facts everywhere."""
    db_session.add(LibPlace(row=1, number=2))
    await db_session.flush()
    db_session.expunge_all()
    db_session.add(LibPlace(row=1, number=2))
    with pytest.raises(DuplicateError) as caught:
        await db_session.flush()
    error = caught.value
    assert ("pk_lib_place", ("row", "number"), "lib_place") == (
        error.constraint,
        error.columns,
        error.table,
    )


async def test_uuid_key_is_made_by_the_client(db_session: AsyncSession) -> None:
    """A UUID key is there after the flush without asking the database."""
    ticket = LibTicket(seat="1A")
    db_session.add(ticket)
    await db_session.flush()
    db_session.expunge_all()
    found = await db_session.scalar(select(LibTicket).where(LibTicket.id == ticket.id))
    assert (7, "1A") == (ticket.id.version, found.seat if found else None)


def test_uuid_keys_sort_by_time() -> None:
    """A later key is larger, by the millisecond."""
    earlier = uuid7()
    time.sleep(0.002)
    assert earlier < uuid7()


def test_uuid_keys_sort_as_they_were_made() -> None:
    """Keys that are made one after the other sort in that order, within a millisecond too."""
    keys = [uuid7() for _ in range(10_000)]
    assert keys == sorted(set(keys))


def test_uuid_has_the_parts_that_the_standard_says() -> None:
    """Version, variant and time are where RFC 9562 has them."""
    key = uuid7()
    millis = key.int >> 80
    assert (7, uuid.RFC_4122) == (key.version, key.variant)
    assert abs(millis / 1000 - time.time()) < 5


async def test_children_share_the_table_of_their_parent(db_session: AsyncSession) -> None:
    """Single-table inheritance needs no word more than SQLAlchemy's."""
    db_session.add_all([LibFilm(title="Solaris", minutes=167), LibSong(title="Gracias")])
    await db_session.flush()
    db_session.expunge_all()
    media = list(await db_session.scalars(select(LibMedium).order_by(LibMedium.title)))
    assert ["LibSong", "LibFilm"] == [type(medium).__name__ for medium in media]
    assert {"lib_medium"} == {LibFilm.__table__.name, LibSong.__table__.name}


def test_to_dict_gives_the_columns() -> None:
    """Columns by attribute name, in the order of the table; relationships are left out."""
    book = LibBook(title="Rayuela", author=LibAuthor(name="Julio"))
    assert {"title": "Rayuela"} == book.to_dict()


async def test_to_dict_leaves_out_what_is_not_loaded(db_session: AsyncSession) -> None:
    """A deferred column is not loaded behind one's back."""
    db_session.add(LibAuthor(name="Julio", biography="long"))
    await db_session.flush()
    db_session.expunge_all()
    author = await db_session.scalar(select(LibAuthor).options(load_only(LibAuthor.name)))
    assert author is not None
    assert {"id", "name"} == author.to_dict().keys()


def test_repr_shows_the_columns() -> None:
    """A row looks like the call that would make it."""
    assert repr(LibBook(title="Rayuela", author_id=7)) == ("LibBook(title='Rayuela', author_id=7)")


def test_repr_hides_secrets() -> None:
    """A column marked as secret shows stars."""
    assert "LibAuthor(name='Ana', password=***)" == repr(LibAuthor(name="Ana", password="hunter2"))


def test_repr_cuts_long_values() -> None:
    """A long text does not flood a log."""
    assert len(repr(LibKinds(novel="x" * 10_000))) < 100


async def test_repr_never_loads(db_session: AsyncSession) -> None:
    """Expired, deferred and detached rows have a repr too."""
    author = LibAuthor(name="Ana")
    db_session.add(author)
    await db_session.flush()
    db_session.expire(author)
    assert "LibAuthor()" == repr(author)
    await db_session.refresh(author, ["name"])
    db_session.expunge(author)
    assert "LibAuthor(name='Ana')" == repr(author)


def test_repr_of_computed_columns() -> None:
    """An attribute that is an SQL expression is shown like a column."""

    class Own(BaseModel):
        __abstract__ = True
        registry = registry()
        metadata = registry.metadata

    class Rectangle(Own):
        width: Mapped[int] = mapped_column(primary_key=True)
        double = column_property(func.abs(width))

    row = Rectangle(width=3)
    row.__dict__["double"] = 6
    assert "Rectangle(double=6, width=3)" == repr(row)
    assert {"width": 3, "double": 6} == row.to_dict()


async def test_deferred_by_the_query_is_left_out_of_repr(db_session: AsyncSession) -> None:
    """What a query did not ask for is not shown."""
    db_session.add(LibBook(title="Rayuela"))
    await db_session.flush()
    db_session.expunge_all()
    book = await db_session.scalar(select(LibBook).options(defer(LibBook.title)))
    assert "title" not in repr(book)


def test_a_base_of_ones_own() -> None:
    """Another base has its own tables and class names, and the same types and constraints."""

    class OwnBase(BaseModel, DeclarativeBase):
        """A base."""

    class OwnAuthor(OwnBase):
        born: Mapped[dt.datetime]
        code: Mapped[str] = mapped_column(unique=True)

    table = OwnBase.metadata.tables["own_author"]
    assert [table] == OwnBase.metadata.sorted_tables
    assert isinstance(table.c.born.type, UTCDateTime)
    assert isinstance(table.c.id.type, BigInteger)
    assert "uq_own_author_code" in {item.name for item in table.constraints}
    assert OwnAuthor.registry is not BaseModel.registry
