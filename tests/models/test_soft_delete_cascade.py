"""What goes along with a softly deleted row, comes back with it, or is removed with it."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003  read by pytest
from contextlib import AbstractContextManager  # noqa: TC003
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Table, delete, inspect, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import (
    AndamiosEngine,
    AsyncSession,
    BaseModel,
    ConfigurationError,
    GenericRepository,
    SoftDeleteModel,
    VersioningMixin,
)
from andamios.models import hard_delete

ALL = {"include_deleted": True}


class CascadeFirm(SoftDeleteModel):
    name: Mapped[str]
    teams: Mapped[list[CascadeTeam]] = relationship(
        back_populates="firm", cascade="all, delete-orphan", order_by="CascadeTeam.name"
    )
    logo: Mapped[CascadeLogo | None] = relationship(cascade="all, delete-orphan")
    bills: Mapped[list[CascadeBill]] = relationship()
    papers: Mapped[list[CascadePaper]] = relationship(cascade="all", passive_deletes=True)
    stamps: Mapped[list[CascadeStamp]] = relationship(cascade="all, delete-orphan")


class CascadeTeam(VersioningMixin, SoftDeleteModel):
    name: Mapped[str]
    firm_id: Mapped[int] = mapped_column(ForeignKey("cascade_firm.id"))
    firm: Mapped[CascadeFirm] = relationship(back_populates="teams")
    people: Mapped[list[CascadePerson]] = relationship(cascade="all")


class CascadePerson(SoftDeleteModel):
    name: Mapped[str]
    team_id: Mapped[int] = mapped_column(ForeignKey("cascade_team.id"))


class CascadeLogo(SoftDeleteModel):
    name: Mapped[str]
    firm_id: Mapped[int] = mapped_column(ForeignKey("cascade_firm.id"))


class CascadeBill(SoftDeleteModel):
    """Refers to a firm, and does not go with it."""

    name: Mapped[str]
    firm_id: Mapped[int] = mapped_column(ForeignKey("cascade_firm.id"))
    firm: Mapped[CascadeFirm] = relationship(viewonly=True)


class CascadeDepot(SoftDeleteModel):
    vehicles: Mapped[list[CascadeTruck]] = relationship(cascade="all")


class CascadeVehicle(SoftDeleteModel):
    __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012

    kind: Mapped[str]


class CascadeTruck(CascadeVehicle):
    __mapper_args__ = {"polymorphic_identity": "truck"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(ForeignKey("cascade_vehicle.id"), primary_key=True)
    load: Mapped[int]
    depot_id: Mapped[int | None] = mapped_column(ForeignKey("cascade_depot.id"))


class CascadePaper(SoftDeleteModel):
    name: Mapped[str]
    firm_id: Mapped[int] = mapped_column(ForeignKey("cascade_firm.id"))


class CascadeStamp(BaseModel):
    """A child that is no SoftDeleteModel."""

    name: Mapped[str]
    firm_id: Mapped[int] = mapped_column(ForeignKey("cascade_firm.id"))


class CascadeNode(SoftDeleteModel):
    """A tree."""

    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("cascade_node.id"))
    nodes: Mapped[list[CascadeNode]] = relationship(cascade="all")


cascade_link = Table(
    "cascade_link",
    BaseModel.metadata,
    Column("album_id", ForeignKey("cascade_album.id"), primary_key=True),
    Column("photo_id", ForeignKey("cascade_photo.id"), primary_key=True),
)


class CascadeAlbum(SoftDeleteModel):
    name: Mapped[str]
    photos: Mapped[list[CascadePhoto]] = relationship(secondary=cascade_link, cascade="all")


class CascadePhoto(SoftDeleteModel):
    name: Mapped[str]


def firm(name: str) -> CascadeFirm:
    """Build a firm with everything."""
    people = [CascadePerson(name=f"{name} p")]
    return CascadeFirm(
        name=name,
        teams=[CascadeTeam(name=f"{name} t1", people=people), CascadeTeam(name=f"{name} t2")],
        logo=CascadeLogo(name=f"{name} l"),
        bills=[CascadeBill(name=f"{name} b")],
        papers=[CascadePaper(name=f"{name} d")],
        stamps=[CascadeStamp(name=f"{name} s")],
    )


SOFT = (CascadeFirm, CascadeTeam, CascadePerson, CascadeLogo, CascadePaper)


async def names(session: AsyncSession, *models: Any, **options: Any) -> list[str]:
    """Read the names of all rows of these models."""
    found: list[str] = []
    for model in models:
        found += await session.scalars(select(model.name), execution_options=options)
    return sorted(found)


async def moments(session: AsyncSession) -> set[Any]:
    """Read when rows were deleted."""
    found: set[Any] = set()
    for model in SOFT:
        found |= set(await session.scalars(select(model.deleted_at), execution_options=ALL))
    return found


async def by_repository(session: AsyncSession, model: Any, key: int) -> None:
    """Delete one."""
    assert await GenericRepository[model](session).delete(key)  # type: ignore[valid-type]


async def by_session(session: AsyncSession, model: Any, key: int) -> None:
    """Delete one."""
    await session.delete(await session.get_one(model, key))
    await session.flush()


async def by_condition(session: AsyncSession, model: Any, key: int) -> None:
    """Delete one."""
    assert 1 == await GenericRepository[model](session).delete_where({"id": key})  # type: ignore[valid-type]


async def by_statement(session: AsyncSession, model: Any, key: int) -> None:
    """Delete one."""
    await session.execute(delete(model).where(model.id == key))


DELETIONS = [by_repository, by_session, by_condition, by_statement]


@pytest.mark.parametrize("is_held", [False, True], ids=["forgotten", "held"])
@pytest.mark.parametrize("delete_one", DELETIONS, ids=lambda item: item.__name__)
async def test_children_go_along_and_come_back(
    db_session: AsyncSession, delete_one: Any, *, is_held: bool
) -> None:
    """However it is deleted, loaded or not; what hung on others, or was gone before, stays so."""
    one, other = firm("one"), firm("two")
    db_session.add_all([one, other])
    await db_session.flush()
    await db_session.delete(one.teams[1])
    await db_session.flush()
    before = await names(db_session, *SOFT)
    key = one.id
    if not is_held:
        db_session.expunge_all()
    await delete_one(db_session, CascadeFirm, key)

    assert [name for name in before if "two" in name] == await names(db_session, *SOFT)
    assert 3 == len(await moments(db_session))
    assert 2 == len(await names(db_session, CascadeBill))
    assert 2 == len(await names(db_session, CascadeStamp))
    versions = select(CascadeTeam.version).where(CascadeTeam.name == "one t1")
    assert [2] == list(await db_session.scalars(versions, execution_options=ALL))
    if is_held:
        assert inspect(one.teams[0] if one.teams else one).persistent

    assert await GenericRepository[CascadeFirm](db_session).restore(key)
    assert before == await names(db_session, *SOFT)
    if is_held:
        assert (["one t1"], "one l") == ([t.name for t in one.teams], one.logo and one.logo.name)


async def test_restoring_many_children(
    db_session: AsyncSession, max_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    """Children are read once a relationship, and not once a row."""
    teams = [CascadeTeam(name=str(i), people=[CascadePerson(name=str(i))]) for i in range(30)]
    one = CascadeFirm(name="one", teams=teams)
    db_session.add(one)
    await db_session.flush()
    firms = GenericRepository[CascadeFirm](db_session)
    await firms.delete_where({"id": one.id})
    db_session.expunge_all()
    with max_queries(40):  # versioned rows are updated one by one
        assert await firms.restore(one.id)
    assert 30 == await GenericRepository[CascadePerson](db_session).count()


async def test_many_parents_at_once(db_session: AsyncSession) -> None:
    """A set-based deletion takes the children of all that it deletes along, and no others."""
    db_session.add_all([firm("one"), firm("two"), firm("three")])
    await db_session.flush()
    firms = GenericRepository[CascadeFirm](db_session)
    assert 2 == await firms.delete_where({"name__startswith": "t"})
    assert {"one"} == {name.partition(" ")[0] for name in await names(db_session, *SOFT)}
    assert 0 == await firms.delete_where({"name__startswith": "t"})


async def test_a_condition_that_the_deletion_itself_changes(db_session: AsyncSession) -> None:
    """Which parents are meant is known before their children are looked for."""
    db_session.add_all([firm("one"), firm("two")])
    await db_session.flush()
    firms = GenericRepository[CascadeFirm](db_session)
    assert 1 == await firms.delete_where({"teams.people.name": "one p"})
    assert {"two"} == {name.partition(" ")[0] for name in await names(db_session, *SOFT)}


@pytest.mark.parametrize("delete_one", DELETIONS, ids=lambda item: item.__name__)
async def test_trees(db_session: AsyncSession, delete_one: Any) -> None:
    """A model that is its own child goes to its last leaf, and comes back."""
    leaf = CascadeNode(name="leaf")
    root = CascadeNode(name="root", nodes=[CascadeNode(name="branch", nodes=[leaf])])
    db_session.add_all([root, CascadeNode(name="other")])
    await db_session.flush()
    key = root.id
    db_session.expunge_all()
    await delete_one(db_session, CascadeNode, key)
    assert ["other"] == await names(db_session, CascadeNode)
    assert await GenericRepository[CascadeNode](db_session).restore(key)
    assert 4 == len(await names(db_session, CascadeNode))
    await GenericRepository[CascadeNode](db_session).delete(key)
    assert await GenericRepository[CascadeNode](db_session).hard_delete(key)
    assert ["other"] == await names(db_session, CascadeNode, **ALL)


@pytest.mark.parametrize("delete_one", DELETIONS, ids=lambda item: item.__name__)
async def test_through_a_table(db_session: AsyncSession, delete_one: Any) -> None:
    """A cascade to many goes along too, and the links stay for when it comes back."""
    album = CascadeAlbum(name="a", photos=[CascadePhoto(name="p"), CascadePhoto(name="q")])
    db_session.add(album)
    await db_session.flush()
    await delete_one(db_session, CascadeAlbum, album.id)
    assert [] == await names(db_session, CascadeAlbum, CascadePhoto)
    assert await GenericRepository[CascadeAlbum](db_session).restore(album.id)
    assert ["a", "p", "q"] == await names(db_session, CascadeAlbum, CascadePhoto)
    assert await GenericRepository[CascadeAlbum](db_session).hard_delete(album.id)
    assert [] == await names(db_session, CascadeAlbum, CascadePhoto, **ALL)
    assert [] == (await db_session.execute(select(cascade_link))).all()


async def test_deleting_twice_keeps_the_first_time(db_session: AsyncSession) -> None:
    """What was deleted before is not deleted again, even by somebody who sees it."""
    one = firm("one")
    db_session.add(one)
    await db_session.flush()
    await db_session.delete(one)
    await db_session.flush()
    before = await moments(db_session)
    shown = await db_session.get_one(CascadeFirm, one.id, execution_options=ALL)
    await db_session.delete(shown)
    await db_session.flush()
    await db_session.execute(delete(CascadeFirm), execution_options=ALL)
    assert before == await moments(db_session)


async def test_orphans(db_session: AsyncSession) -> None:
    """A child taken out of its parent is marked with its own children, and can come back."""
    one = firm("one")
    db_session.add(one)
    await db_session.flush()
    team, logo = one.teams[0], one.logo
    assert logo is not None
    one.teams.remove(team)
    one.logo = CascadeLogo(name="new")
    await db_session.flush()

    assert ["new", "one", "one d", "one t2"] == await names(db_session, *SOFT)
    assert (one.id, one.id) == (team.firm_id, logo.firm_id)
    assert await GenericRepository[CascadeTeam](db_session).restore(team.id)
    await db_session.refresh(one, ["teams"])
    assert ["one t1", "one t2"] == [each.name for each in one.teams]
    assert ["new", "one", "one d", "one p", "one t1", "one t2"] == await names(db_session, *SOFT)


async def test_a_child_that_moves_is_no_orphan(db_session: AsyncSession) -> None:
    """It has a parent, though another one."""
    one, other = firm("one"), firm("two")
    db_session.add_all([one, other])
    await db_session.flush()
    team = one.teams[0]
    one.teams.remove(team)
    other.teams.append(team)
    await db_session.flush()
    assert (other.id, False) == (team.firm_id, team.is_deleted)


async def test_hard_delete_takes_children_along(engine: AndamiosEngine) -> None:
    """For good, whatever their model, loaded or not, marked before or not."""
    async with engine.session() as session:
        one = firm("one")
        one.bills = []
        session.add(one)
        await session.flush()
        await session.delete(one.teams[0])
    assert await GenericRepository[CascadeFirm](engine).hard_delete(one.id)
    async with engine.session() as session:
        assert [] == await names(session, *SOFT, CascadeStamp, **ALL)


async def test_hard_delete_of_a_marked_parent(db_session: AsyncSession) -> None:
    """What was marked with it goes with it."""
    one = firm("one")
    one.bills = []
    db_session.add(one)
    await db_session.flush()
    await db_session.delete(one)
    await db_session.flush()
    await hard_delete(db_session, one)
    await db_session.flush()
    assert [] == await names(db_session, *SOFT, CascadeStamp, **ALL)


@pytest.mark.parametrize("delete_one", DELETIONS, ids=lambda item: item.__name__)
async def test_a_parent_without_a_cascade(db_session: AsyncSession, delete_one: Any) -> None:
    """Its row is still there, so that the foreign key is content; the child sees no parent."""
    one = firm("one")
    db_session.add(one)
    await db_session.flush()
    bill = one.bills[0]
    key = one.id
    await delete_one(db_session, CascadeFirm, key)
    assert (["one b"], key) == (await names(db_session, CascadeBill), bill.firm_id)
    await bill.load(CascadeBill.firm)
    assert bill.firm is None


async def test_children_in_joined_tables(db_session: AsyncSession) -> None:
    """The mark is in the parent class' table, wherever the foreign key is."""
    depot = CascadeDepot(vehicles=[CascadeTruck(load=3)])
    db_session.add(depot)
    await db_session.flush()
    depots = GenericRepository[CascadeDepot](db_session)
    vehicles = GenericRepository[CascadeVehicle](db_session)
    assert 1 == await depots.delete_where({"id": depot.id})
    assert 0 == await vehicles.count()
    assert await depots.restore(depot.id)
    assert 1 == await vehicles.count()
    await db_session.execute(delete(CascadeVehicle))
    assert 0 == await GenericRepository[CascadeTruck](db_session).count()


async def test_statement_on_joined_tables_is_refused(db_session: AsyncSession) -> None:
    """As repositories refuse it: conditions on one table would not limit the other."""
    with pytest.raises(ConfigurationError, match="several tables"):
        await db_session.execute(delete(CascadeTruck).where(CascadeTruck.load == 3))
