"""Every way to a row, none of which shows one that is softly deleted."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, MetaData, Table, delete, func, select, union_all, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    attribute_keyed_dict,
    configure_mappers,
    immediateload,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
)

from andamios import (
    AndamiosEngine,
    AsyncSession,
    BaseModel,
    ConfigurationError,
    GenericRepository,
    NotFoundError,
    QueryBuilder,
    SoftDeleteModel,
)

ALL = {"include_deleted": True}

leak_club_member = Table(
    "leak_club_member",
    BaseModel.metadata,
    Column("club_id", ForeignKey("leak_club.id"), primary_key=True),
    Column("member_id", ForeignKey("leak_member.id"), primary_key=True),
)


class LeakClub(SoftDeleteModel):
    name: Mapped[str]
    members: Mapped[list[LeakMember]] = relationship(
        secondary=leak_club_member, back_populates="clubs", order_by="LeakMember.name"
    )
    rooms: Mapped[list[LeakRoom]] = relationship(back_populates="club", order_by="LeakRoom.name")
    rooms_by_name: Mapped[dict[str, LeakRoom]] = relationship(
        collection_class=attribute_keyed_dict("name"), viewonly=True
    )


class LeakMember(SoftDeleteModel):
    name: Mapped[str]
    clubs: Mapped[list[LeakClub]] = relationship(
        secondary=leak_club_member, back_populates="members"
    )


class LeakRoom(SoftDeleteModel):
    name: Mapped[str]
    size: Mapped[int] = mapped_column(default=1)
    club_id: Mapped[int | None] = mapped_column(ForeignKey("leak_club.id"))
    club: Mapped[LeakClub | None] = relationship(back_populates="rooms")


class LeakVisit(SoftDeleteModel):
    """A link between two models that is a model itself."""

    room_id: Mapped[int] = mapped_column(ForeignKey("leak_room.id"))
    guest_id: Mapped[int] = mapped_column(ForeignKey("leak_guest.id"))


class LeakGuest(BaseModel):
    name: Mapped[str]
    rooms: Mapped[list[LeakRoom]] = relationship(
        secondary="leak_visit",
        secondaryjoin="and_(LeakVisit.room_id == LeakRoom.id, LeakVisit.deleted_at.is_(None))",
        viewonly=True,
    )


@pytest.fixture
async def club(db_session: AsyncSession) -> LeakClub:
    """A club with the rooms and members "kept" and "gone", of which the second are deleted."""
    club = LeakClub(name="one")
    club.rooms = [LeakRoom(name="kept"), LeakRoom(name="gone")]
    club.members = [LeakMember(name="kept"), LeakMember(name="gone")]
    db_session.add(club)
    await db_session.flush()
    await db_session.delete(club.rooms[1])
    await db_session.delete(club.members[1])
    await db_session.flush()
    db_session.expunge_all()
    return await db_session.get_one(LeakClub, club.id)


async def gone_room(session: AsyncSession) -> int:
    """Look up the key of the deleted room."""
    statement = select(LeakRoom.id).where(LeakRoom.name == "gone")
    return (await session.execute(statement, execution_options=ALL)).scalar_one()


Room = aliased(LeakRoom)
by_name = select(LeakRoom.name).subquery()

STATEMENTS: dict[str, Any] = {
    "list": select(LeakRoom),
    "columns": select(LeakRoom.name),
    "alias": select(Room),
    "columns of an alias": select(Room.name),
    "join": select(LeakRoom).join(LeakClub.rooms).select_from(LeakClub),
    "join to an alias": select(Room.name).select_from(LeakClub).join(LeakClub.rooms.of_type(Room)),
    "m2m": select(LeakMember.name).select_from(LeakClub).join(LeakClub.members),
    "outerjoin": select(LeakRoom.id).select_from(LeakClub).outerjoin(LeakClub.rooms),
    "subquery": select(by_name.c.name),
    "cte": select(select(LeakRoom.name).cte().c.name),
    "exists": select(LeakRoom.name).where(
        select(Room.id).where(Room.id == LeakRoom.id).correlate(LeakRoom).exists()
    ),
    "aliased subquery": select(aliased(LeakRoom, select(LeakRoom).subquery())),
    "distinct": select(LeakRoom.name).distinct(),
}


@pytest.mark.parametrize("way", STATEMENTS)
async def test_statements(db_session: AsyncSession, club: LeakClub, way: str) -> None:
    """One of two rows is seen, and both when asked for."""
    assert 1 == len((await db_session.execute(STATEMENTS[way])).all())
    shown = await db_session.execute(STATEMENTS[way], execution_options=ALL)
    assert 2 == len(shown.all())
    assert not club.is_deleted


async def test_unions(db_session: AsyncSession, club: LeakClub) -> None:
    """Each part of a set operation leaves them out."""
    both = union_all(select(LeakRoom.name), select(LeakMember.name))
    assert ["kept", "kept"] == list(await db_session.scalars(both))
    found = select(LeakRoom).from_statement(select(LeakRoom).union(select(LeakRoom)))
    assert ["kept"] == [room.name for room in await db_session.scalars(found)]
    inner = both.subquery()
    assert 2 == await db_session.scalar(select(func.count()).select_from(inner))
    assert 4 == len((await db_session.execute(both, execution_options=ALL)).all())
    assert not club.is_deleted


async def test_an_outer_join_keeps_what_has_only_deleted_rows(
    db_session: AsyncSession, club: LeakClub
) -> None:
    """They are as good as none."""
    empty = LeakClub(name="empty", rooms=[LeakRoom(name="x")])
    db_session.add(empty)
    await db_session.flush()
    await db_session.delete(empty.rooms[0])
    statement = select(LeakClub.name, LeakRoom.name).outerjoin(LeakClub.rooms)
    found = (await db_session.execute(statement.order_by(LeakClub.name))).all()
    assert [("empty", None), ("one", "kept")] == [tuple(row) for row in found]
    assert [club] == list(await db_session.scalars(select(LeakClub).where(LeakClub.rooms.any())))


@pytest.mark.parametrize(
    "strategy", [selectinload, joinedload, subqueryload, immediateload], ids=lambda s: s.__name__
)
async def test_eager_loads(db_session: AsyncSession, club: LeakClub, strategy: Any) -> None:
    """Every strategy leaves them out of collections, and gives no deleted parent."""
    db_session.expunge_all()
    statement = select(LeakClub).options(strategy(LeakClub.rooms), strategy(LeakClub.members))
    found = (await db_session.scalars(statement)).unique().one()
    assert (["kept"], ["kept"]) == (
        [room.name for room in found.rooms],
        [member.name for member in found.members],
    )
    await db_session.delete(found)
    await db_session.flush()
    if strategy is immediateload:  # it takes parents from the memory of the session
        db_session.expunge_all()
    rooms = select(LeakRoom).options(strategy(LeakRoom.club))
    room = (await db_session.scalars(rooms, execution_options={"populate_existing": True})).one()
    assert (None, club.id) == (room.club, room.club_id)


@pytest.mark.xfail(reason="SQLAlchemy asks nobody before it looks into its memory", strict=True)
async def test_immediate_loads_from_memory(db_session: AsyncSession, club: LeakClub) -> None:
    """A deleted parent that the session holds is not given out by immediateload either."""
    await db_session.delete(club)
    await db_session.flush()
    rooms = select(LeakRoom).options(immediateload(LeakRoom.club))
    room = (await db_session.scalars(rooms)).one()
    assert room.club is None


async def test_lazy_loads(db_session: AsyncSession, club: LeakClub) -> None:
    """What is loaded later leaves them out."""
    await club.load(LeakClub.rooms, LeakClub.members, LeakClub.rooms_by_name)
    assert ["kept"] == [room.name for room in club.rooms]
    assert ["kept"] == [member.name for member in club.members]
    assert ["kept"] == list(club.rooms_by_name)
    assert club in db_session


async def test_a_parent_that_the_session_remembers(
    db_session: AsyncSession, club: LeakClub
) -> None:
    """A deleted parent is not given out of the session's memory."""
    room = (await db_session.scalars(select(LeakRoom))).one()
    await db_session.delete(club)
    await db_session.flush()
    await room.load(LeakRoom.club)
    assert (None, club.id) == (room.club, room.club_id)
    db_session.expire(room, ["club"])
    assert await room.awaitable_attrs.club is None


async def test_a_parent_that_was_shown(db_session: AsyncSession, club: LeakClub) -> None:
    """What was asked for with include_deleted is not shown to others."""
    key, room = club.id, (await db_session.scalars(select(LeakRoom))).one()
    await GenericRepository[LeakClub](db_session).delete(key)
    db_session.expunge(club)
    shown = await db_session.get(LeakClub, key, execution_options=ALL)
    assert shown is not None
    await room.load(LeakRoom.club)
    assert (None, None) == (room.club, await db_session.get(LeakClub, key))


async def test_get_in_the_session_that_deleted(db_session: AsyncSession, club: LeakClub) -> None:
    """The session's memory does not give it out, unless asked for."""
    await db_session.delete(club)
    await db_session.flush()
    assert await db_session.get(LeakClub, club.id) is None
    with pytest.raises(NotFoundError):
        await db_session.get_one(LeakClub, club.id)
    assert club is await db_session.get(LeakClub, club.id, execution_options=ALL)


async def test_get_in_another_session(engine: AndamiosEngine) -> None:
    """A session that does not hold it does not find it; one that holds it, once it reads again."""
    async with engine.session() as session:
        club = LeakClub(name="one")
        session.add(club)
    async with engine.session() as session:
        held = await session.get_one(LeakClub, club.id)
        await session.commit()
        async with engine.session() as other:
            await other.delete(await other.get_one(LeakClub, club.id))
        async with engine.session() as other:
            assert await other.get(LeakClub, club.id) is None
        assert await session.get(LeakClub, club.id, populate_existing=True) is None
        await session.refresh(held)
        assert await session.get(LeakClub, club.id) is None
        assert [] == list(await session.scalars(select(LeakClub)))


async def test_get_after_a_rollback(engine: AndamiosEngine) -> None:
    """A deletion that did not happen hides nothing."""
    async with engine.session() as session:
        club = LeakClub(name="one")
        session.add(club)
        await session.commit()
        key = club.id
        await session.delete(club)
        await session.flush()
        await session.rollback()
        assert club is await session.get(LeakClub, key)


async def test_loaded_collections(db_session: AsyncSession) -> None:
    """What the session marks leaves what its objects have loaded, however it was marked."""
    club = LeakClub(name="one")
    club.rooms = [LeakRoom(name=name) for name in "abc"]
    club.members = [LeakMember(name="a"), LeakMember(name="b")]
    db_session.add(club)
    await db_session.flush()
    await club.load(LeakClub.rooms_by_name)
    await db_session.delete(club.rooms[0])
    await db_session.flush()
    await GenericRepository[LeakRoom](db_session).delete_where({"name": "b"})
    await GenericRepository[LeakMember](db_session).delete(club.members[0].id)

    assert ["c"] == [room.name for room in club.rooms]
    assert ["c"] == list(club.rooms_by_name)
    assert ["b"] == [member.name for member in club.members]
    await db_session.refresh(club, ["rooms"])
    assert ["c"] == [room.name for room in club.rooms]


@pytest.mark.parametrize("way", ["statement", "query", "repository"])
async def test_loaded_collections_after_a_statement(db_session: AsyncSession, way: str) -> None:
    """Nor does it take a flush for what one statement marked to leave them."""
    club = LeakClub(name="one", rooms=[LeakRoom(name="a"), LeakRoom(name="b")])
    db_session.add(club)
    await db_session.flush()
    match way:
        case "statement":
            await db_session.execute(delete(LeakRoom).where(LeakRoom.name == "a"))
        case "query":
            await QueryBuilder(LeakRoom, db_session).filter_by(name="a").delete()
        case "repository":
            await GenericRepository[LeakRoom](db_session).delete_where({"name": "a"})

    assert ["b"] == [room.name for room in club.rooms]


async def test_loaded_collections_after_a_rollback(db_session: AsyncSession) -> None:
    """What a savepoint marked is read again, and what was marked before it stays away."""
    club = LeakClub(name="one", rooms=[LeakRoom(name=name) for name in "abcd"])
    other = LeakClub(name="two", rooms=[LeakRoom(name="x"), LeakRoom(name="y")])
    db_session.add_all([club, other])
    await db_session.flush()
    await db_session.delete(other.rooms[0])
    async with db_session.begin_nested():
        await db_session.delete(club.rooms[0])
    nested = await db_session.begin_nested()
    await db_session.delete(club.rooms[0])
    await db_session.flush()
    await nested.rollback()
    await club.load(LeakClub.rooms)
    assert ["b", "c", "d"] == [room.name for room in club.rooms]
    assert ["y"] == [room.name for room in other.rooms]


async def test_loaded_collections_keep_what_waits(db_session: AsyncSession, club: LeakClub) -> None:
    """Changes that are not flushed yet are not lost."""
    await club.load(LeakClub.rooms, LeakClub.members)
    with db_session.no_autoflush:
        club.rooms.append(LeakRoom(name="new"))
        await db_session.execute(update(LeakRoom).where(LeakRoom.name == "kept").values(size=5))
    await db_session.delete(club.members[0])
    await db_session.flush()
    assert ["kept", "new"] == sorted(await db_session.scalars(select(LeakRoom.name)))


async def test_update_by_keys(db_session: AsyncSession, club: LeakClub) -> None:
    """A list of keys with a deleted one is refused, unless it is asked for."""
    gone = await gone_room(db_session)
    kept = (await db_session.scalars(select(LeakRoom.id))).one()
    rows = [{"id": kept, "size": 7}, {"id": gone, "size": 7}]
    with pytest.raises(NotFoundError):
        await db_session.execute(update(LeakRoom), rows)
    await db_session.execute(update(LeakRoom), rows[:1])
    sizes = select(LeakRoom.size).order_by(LeakRoom.id)
    assert [7, 1] == list(await db_session.scalars(sizes, execution_options=ALL))
    await db_session.execute(update(LeakRoom), rows, execution_options=ALL)
    assert [7, 7] == list(await db_session.scalars(sizes, execution_options=ALL))
    assert club in db_session


@pytest.mark.parametrize("is_held", [False, True], ids=["forgotten", "held"])
async def test_merge(db_session: AsyncSession, club: LeakClub, *, is_held: bool) -> None:
    """Nothing is merged into a deleted row, whether the session holds it or not."""
    gone = await gone_room(db_session)
    if is_held:
        assert await db_session.get(LeakRoom, gone, execution_options=ALL)
    with pytest.raises(NotFoundError):
        await db_session.merge(LeakRoom(id=gone, name="back"))
    with pytest.raises(NotFoundError):
        await db_session.merge_all([LeakRoom(id=gone, name="back")])
    merged = await db_session.merge(LeakRoom(name="new", club_id=club.id))
    await db_session.flush()
    assert "new" == merged.name


async def test_writes_of_repositories(db_session: AsyncSession, club: LeakClub) -> None:
    """Where a row is expected, a deleted one is not found."""
    rooms = GenericRepository[LeakRoom](db_session)
    gone = await gone_room(db_session)
    with pytest.raises(NotFoundError):
        await rooms.get_one(gone)
    with pytest.raises(NotFoundError):
        await rooms.update(LeakRoom(id=gone, name="back"))
    with pytest.raises(NotFoundError):
        await rooms.update_many([{"id": gone, "name": "back"}])
    assert not await rooms.delete(gone)
    assert 0 == await rooms.update_where({"name": "gone"}, {"size": 3})
    assert 0 == await rooms.delete_where({"name": "gone"})
    assert 0 == await rooms.query().filter(LeakRoom.name == "gone").count()
    assert club in db_session


async def test_reads_of_repositories(db_session: AsyncSession, club: LeakClub) -> None:
    """Neither listed nor counted, streamed, paged, or found through a relationship."""
    rooms, clubs = GenericRepository[LeakRoom](db_session), GenericRepository[LeakClub](db_session)
    members = GenericRepository[LeakMember](db_session)
    assert ["kept"] == [room.name for room in await rooms.list()]
    assert ["kept"] == [room.name async for room in rooms.stream()]
    assert (1, 1) == (await rooms.count(), (await rooms.page()).total)
    assert 1 == len((await rooms.page_after()).items)
    assert not await rooms.exists({"name": "gone"})
    assert [] == await clubs.list({"rooms.name": "gone"})
    assert [] == await clubs.list({"members.name": "gone"})
    assert 0 == await members.query().join(LeakMember.clubs).filter_by(name="gone").count()
    await db_session.delete(club)
    assert [] == await rooms.list({"club.name": "one"})


async def test_links_that_are_models(db_session: AsyncSession) -> None:
    """A relationship that names the mark of its link does not see through deleted links."""
    room, guest = LeakRoom(name="r"), LeakGuest(name="g")
    db_session.add_all([room, guest])
    await db_session.flush()
    visit = LeakVisit(room_id=room.id, guest_id=guest.id)
    db_session.add(visit)
    await db_session.flush()
    await guest.load(LeakGuest.rooms)
    assert [room] == guest.rooms
    await db_session.delete(visit)
    await db_session.flush()
    await db_session.refresh(guest, ["rooms"])
    assert [] == guest.rooms
    assert [] == list(await db_session.scalars(select(LeakGuest).where(LeakGuest.rooms.any())))


@pytest.mark.parametrize("is_viewonly", [False, True])
def test_links_that_are_models_and_unmarked(*, is_viewonly: bool) -> None:
    """A relationship that would see through deleted links is refused."""

    class LinkBase(BaseModel, DeclarativeBase):
        metadata = MetaData()

    class LinkLeft(LinkBase):
        rights: Mapped[list[LinkRight]] = relationship(
            secondary="link_middle", viewonly=is_viewonly
        )

    class LinkMiddle(SoftDeleteModel, LinkBase):
        left_id: Mapped[int] = mapped_column(ForeignKey("link_left.id"))
        right_id: Mapped[int] = mapped_column(ForeignKey("link_right.id"))

    class LinkRight(LinkBase):
        name: Mapped[str]

    assert LinkMiddle.__table__ is not None
    LinkLeft.__annotations__.clear()
    with pytest.raises(ConfigurationError, match=r"LinkLeft.rights goes through link_middle"):
        configure_mappers()
    LinkBase.registry.dispose()
