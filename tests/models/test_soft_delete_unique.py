"""Unique values of softly deleted rows, which are free again."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  read by the mapper
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy import ForeignKey, Index, MetaData, UniqueConstraint, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, configure_mappers, mapped_column

from andamios import (
    AndamiosEngine,
    BaseModel,
    ConfigurationError,
    DuplicateError,
    GenericRepository,
    SoftDeleteModel,
)
from andamios.models import live_indexes


class UniqueGuest(SoftDeleteModel):
    """Every way to say that values are unique."""

    __table_args__ = (
        UniqueConstraint("country", "passport"),
        Index("ux_unique_guest_nick", "nick", unique=True),
        Index(
            "ux_unique_guest_room",
            "room",
            unique=True,
            postgresql_where=text("room > 0"),
            sqlite_where=text("room > 0"),
        ),
    )

    email: Mapped[str | None] = mapped_column(unique=True)
    phone: Mapped[str | None] = mapped_column(unique=True, index=True)
    country: Mapped[str | None]
    passport: Mapped[int | None]
    nick: Mapped[str | None]
    room: Mapped[int | None]


class UniqueTenancy(SoftDeleteModel):
    """Marked in a column with a name that has to be quoted."""

    deleted_at: Mapped[dt.datetime | None] = mapped_column("end", index=True)
    flat: Mapped[str] = mapped_column(unique=True)


WAYS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "unique": ({"email": "a@b"}, "uq_unique_guest_email", ("email",)),
    "unique and index": ({"phone": "1"}, "ix_unique_guest_phone", ("phone",)),
    "constraint": (
        {"country": "PE", "passport": 1},
        "uq_unique_guest_country_passport",
        ("country", "passport"),
    ),
    "index": ({"nick": "n"}, "ux_unique_guest_nick", ("nick",)),
}


@pytest.fixture
def guests(engine: AndamiosEngine) -> GenericRepository[UniqueGuest]:
    """The repository, each call in a transaction of its own."""
    return GenericRepository[UniqueGuest](engine)


@pytest.mark.parametrize("way", WAYS)
async def test_a_value_is_free_after_deletion(
    guests: GenericRepository[UniqueGuest], way: str
) -> None:
    """It can be taken again, as often as it is freed, and by one live row only."""
    values, constraint, columns = WAYS[way]
    for _ in range(3):
        created = await guests.create(UniqueGuest(**values))
        with pytest.raises(DuplicateError) as caught:
            await guests.create(UniqueGuest(**values))
        told = caught.value
        assert (constraint, columns, "unique_guest") == (told.constraint, told.columns, told.table)
        await guests.delete(created.id)
    assert 3 == await guests.query().include_deleted().count()


async def test_restoring_what_is_taken(guests: GenericRepository[UniqueGuest]) -> None:
    """Somebody else has the value meanwhile."""
    first = await guests.create(UniqueGuest(email="a@b"))
    await guests.delete(first.id)
    second = await guests.create(UniqueGuest(email="a@b"))
    with pytest.raises(DuplicateError) as caught:
        await guests.restore(first.id)
    assert ("email",) == caught.value.columns
    await guests.delete(second.id)
    assert await guests.restore(first.id)


async def test_nulls_are_never_equal(guests: GenericRepository[UniqueGuest]) -> None:
    """Live rows without a value do not collide, as in every unique column."""
    await guests.create_many([{"email": None}, {"email": None}])
    assert 2 == await guests.count()


async def test_an_index_with_a_predicate_of_its_own_stays_as_written(
    guests: GenericRepository[UniqueGuest],
) -> None:
    """Its value stays taken by a deleted row, as its author said."""
    created = await guests.create(UniqueGuest(room=1))
    await guests.delete(created.id)
    with pytest.raises(DuplicateError):
        await guests.create(UniqueGuest(room=1))
    names = [index.name for index in live_indexes(cast("sa.Table", UniqueGuest.__table__))]
    assert "ux_unique_guest_room" not in names


async def test_the_key_stays_taken(guests: GenericRepository[UniqueGuest]) -> None:
    """A deleted row still has its key."""
    created = await guests.create(UniqueGuest())
    await guests.delete(created.id)
    with pytest.raises(DuplicateError):
        await guests.create(UniqueGuest(id=created.id))


async def test_only_the_database_knows_of_the_generated_column(
    engine: AndamiosEngine, guests: GenericRepository[UniqueGuest]
) -> None:
    """It is there on MySQL and MariaDB, and in no model and no statement."""
    async with engine.connections.acquire() as connection:
        columns = await connection.run_sync(
            lambda sync: [item["name"] for item in sa.inspect(sync).get_columns("unique_guest")]
        )
    assert ("live" in columns) == (engine.backend in {"mysql", "mariadb"})
    table = UniqueGuest.__table__
    assert "live" not in table.c
    await guests.create(UniqueGuest(email="a"))
    async with engine.session() as session:
        assert "a" == (await session.execute(sa.select(table))).one().email


def test_what_is_created_on_each_backend() -> None:
    """Partial indexes where there are some, a column of the key elsewhere."""

    class UniqueOwn(BaseModel, DeclarativeBase):
        metadata = MetaData()

    class UniqueSeat(SoftDeleteModel, UniqueOwn):
        __table_args__ = (Index("ux_low", func.lower(text("name")), unique=True),)
        live: Mapped[bool]
        name: Mapped[str] = mapped_column(unique=True)

    for url in ("sqlite://", "postgresql+asyncpg://", "mysql+asyncmy://", "mariadb+asyncmy://"):
        made = _created(UniqueOwn.metadata, url)
        copy = MetaData()
        cast("sa.Table", UniqueSeat.__table__).to_metadata(copy)
        index = "uq_unique_seat_name ON unique_seat (name"
        if "my" in url:
            assert any("live_row SMALLINT GENERATED" in line for line in made)
            assert any(f"{index}, live_row)" in line for line in made)
        else:
            assert any(f"{index}) WHERE deleted_at IS NULL" in line for line in made)
            assert not any("live_row" in line for line in made)
        assert set(made) == set(_created(copy, url))


def _created(metadata: MetaData, url: str) -> list[str]:
    made: list[str] = []

    def note(statement: sa.schema.DDLElement, *_: object, **__: object) -> None:
        made.append(" ".join(str(statement.compile(dialect=mock.dialect)).split()))

    mock = sa.create_mock_engine(url, note)
    metadata.create_all(mock, checkfirst=False)
    return made


async def test_a_mark_whose_name_is_a_reserved_word(engine: AndamiosEngine) -> None:
    """The column may be named as somebody else's database wants it."""
    tenancies = GenericRepository[UniqueTenancy](engine)
    first = await tenancies.create(UniqueTenancy(flat="1a"))
    with pytest.raises(DuplicateError):
        await tenancies.create(UniqueTenancy(flat="1a"))
    await tenancies.delete(first.id)
    await tenancies.create(UniqueTenancy(flat="1a"))


def test_a_foreign_key_to_such_a_value() -> None:
    """It could refer to several rows, and is refused when mappers are configured."""

    class UniqueRefBase(BaseModel, DeclarativeBase):
        metadata = MetaData()

    class UniqueTarget(SoftDeleteModel, UniqueRefBase):
        code: Mapped[str] = mapped_column(unique=True)

    class UniqueReferrer(UniqueRefBase):
        code: Mapped[str] = mapped_column(ForeignKey(UniqueTarget.code))

    with pytest.raises(ConfigurationError, match=r"UniqueReferrer refers to .* unique_target"):
        configure_mappers()
    UniqueRefBase.registry.dispose()
