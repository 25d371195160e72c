"""Set-based writes through a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey, and_, func, or_, select, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import (
    BaseModel,
    ConfigurationError,
    DataError,
    DuplicateError,
    FilterBuilder,
    QueryBuilder,
    QueryError,
    SoftDeleteModel,
    StaleVersionError,
    TimestampedModel,
    UnknownFieldError,
    UnscopedWriteError,
    VersioningMixin,
)

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class WrittenCrew(BaseModel):
    name: Mapped[str]
    members: Mapped[list[WrittenMember]] = relationship(back_populates="crew")


class WrittenMember(VersioningMixin, TimestampedModel):
    name: Mapped[str] = mapped_column(unique=True)
    age: Mapped[int | None]
    crew_id: Mapped[int | None] = mapped_column(ForeignKey("written_crew.id"))
    crew: Mapped[WrittenCrew | None] = relationship(back_populates="members")
    boss_id: Mapped[int | None] = mapped_column(
        ForeignKey("written_member.id", ondelete="SET NULL")
    )
    boss: Mapped[WrittenMember | None] = relationship(remote_side="WrittenMember.id")


class WrittenVehicle(BaseModel):
    name: Mapped[str]
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}  # noqa: RUF012


class WrittenCar(WrittenVehicle):
    id: Mapped[int] = mapped_column(ForeignKey("written_vehicle.id"), primary_key=True)
    doors: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "car"}  # noqa: RUF012


class WrittenDraft(SoftDeleteModel):
    title: Mapped[str]


@pytest.fixture
async def crew(engine: AndamiosEngine) -> AndamiosEngine:
    """Five members, three of them in crews."""
    async with engine.session() as session:
        session.add_all([WrittenCrew(id=1, name="red"), WrittenCrew(id=2, name="blue")])
        await session.flush()
        for number, crew_id in enumerate([1, 1, 2, None, None], start=1):
            session.add(
                WrittenMember(
                    id=number,
                    name=f"m{number}",
                    age=number * 10,
                    crew_id=crew_id,
                    boss_id=1 if number > 1 else None,
                )
            )
            await session.flush()
    return engine


async def ages(engine: AndamiosEngine) -> list[int | None]:
    rows = await QueryBuilder(WrittenMember, engine).order_by("id").only("age").execute()
    return [row.age for row in rows]


async def test_update(crew: AndamiosEngine) -> None:
    """Values and expressions are set in what fits, and what fits is counted."""
    members = QueryBuilder(WrittenMember, crew)

    assert 2 == await members.filter(WrittenMember.age < 25).update({"age": 1})
    assert 3 == await members.filter({"age__gt": 1}).update({"age": WrittenMember.age + 1})
    assert 1 == await members.filter_by(id=5).update({WrittenMember.age: None})
    assert 0 == await members.filter_by(id=99).update({"age": 5})
    assert [1, 1, 31, 41, None] == await ages(crew)


async def test_unchanged_rows_count(crew: AndamiosEngine) -> None:
    """A row that had the value already counts on every backend."""
    assert 1 == await QueryBuilder(WrittenCrew, crew).filter_by(id=1).update({"name": "red"})


async def test_delete(crew: AndamiosEngine) -> None:
    """What fits is deleted and counted."""
    members = QueryBuilder(WrittenMember, crew).filter(WrittenMember.age > 25)

    assert 3 == await members.delete()
    assert 0 == await members.delete()
    assert [10, 20] == await ages(crew)


@pytest.mark.parametrize(
    "conditions",
    [
        [],
        [{}],
        [None],
        [FilterBuilder(WrittenMember)],
        [{"id__not_in": []}],
        [WrittenMember.id.not_in([])],
        [WrittenMember.id.not_in([]), and_(WrittenMember.age.not_in([]), true())],
        [~WrittenMember.id.in_([])],
        [FilterBuilder(WrittenMember).not_({"id__in": []})],
        [FilterBuilder(WrittenMember).and_()],
        [true()],
        [and_(true(), true())],
        [or_(true(), WrittenMember.age > 5)],
    ],
)
async def test_unscoped_writes(crew: AndamiosEngine, conditions: list[Any]) -> None:
    """Without a condition nothing is written, unless it is asked for by name."""
    members = QueryBuilder(WrittenMember, crew).filter(*conditions)
    for query in (members, members.limit(2), members.join(WrittenMember.crew)):
        with pytest.raises(UnscopedWriteError, match="unscoped"):
            await query.update({"age": 1})
        with pytest.raises(UnscopedWriteError, match="unscoped"):
            await query.delete()

    assert 5 == await members.unscoped().update({"age": 1})
    assert [1] * 5 == await ages(crew)


async def test_through_joins_paths_and_limits(crew: AndamiosEngine) -> None:
    """Rows may be found by what UPDATE and DELETE themselves cannot say."""
    members = QueryBuilder(WrittenMember, crew)

    joined = members.join(WrittenMember.crew).filter(WrittenCrew.name == "red")
    assert 2 == await joined.update({"age": 1})
    assert 1 == await members.filter({"crew.name": "blue"}).update({"age": 2})
    assert 4 == await members.filter({"boss.age": 1}).update({"age": 3})
    oldest = select(func.max(WrittenMember.age)).scalar_subquery()
    assert 4 == await members.filter(WrittenMember.age == oldest).update({"age": 4})
    newest = members.filter(WrittenMember.id > 0).order_by("-id").limit(2)
    assert 2 == await newest.update({"age": 5})
    assert [1, 4, 4, 5, 5] == await ages(crew)
    assert 2 == await newest.delete()
    crews = QueryBuilder(WrittenCrew, crew).join(WrittenCrew.members)
    assert 1 == await crews.filter(WrittenMember.id < 3).update({"name": "green"})


async def test_objects_of_the_session_follow(crew: AndamiosEngine) -> None:
    """What the session holds has the new values, can be read at once, and keeps its relations."""
    async with crew.session() as session:
        members = QueryBuilder(WrittenMember, session).order_by("id")
        held = await members.load(WrittenMember.crew).execute()
        held[0].name = "renamed"
        updated_at = held[0].updated_at
        await members.filter(WrittenMember.age < 25).update({"age": WrittenMember.age * 2})

        assert [20, 40, 30, 40, 50] == [member.age for member in held]
        assert "renamed" == held[0].name
        assert updated_at < held[0].updated_at
        assert held[0].crew is not None
        assert "red" == held[0].crew.name
        await members.filter_by(id=5).delete()
        assert held[4] not in session
        assert 4 == await members.count()


async def test_versions_and_times_count(crew: AndamiosEngine) -> None:
    """A set-based update counts the version and sets the time."""
    members = QueryBuilder(WrittenMember, crew).filter_by(id=1)
    before = await members.one()
    await members.update({"age": 1})
    after = await members.one()

    assert (1, 2) == (before.version, after.version)
    assert before.updated_at < after.updated_at


async def test_soft_deletion(engine: AndamiosEngine) -> None:
    """Models that are softly deleted are marked, once, and invisible to further writes."""
    async with engine.session() as session:
        session.add_all([WrittenDraft(title=f"d{number}") for number in range(4)])
    drafts = QueryBuilder(WrittenDraft, engine)

    assert 2 == await drafts.filter(WrittenDraft.title < "d2").delete()
    assert 0 == await drafts.filter(WrittenDraft.title < "d2").delete()
    assert 2 == await drafts.unscoped().update({"title": "kept"})
    assert (2, 4) == (await drafts.count(), await drafts.include_deleted().count())
    assert 4 == await drafts.include_deleted().unscoped().update({"title": "all"})
    async with engine.session() as session:
        held = await QueryBuilder(WrittenDraft, session).execute()
        await QueryBuilder(WrittenDraft, session).unscoped().delete()
        assert [True, True] == [draft.is_deleted for draft in held]
    assert (0, 4) == (await drafts.count(), await drafts.include_deleted().count())


async def test_limits_see_no_deleted_rows(engine: AndamiosEngine) -> None:
    """A limit counts rows that are not deleted, in the list of keys too."""
    async with engine.session() as session:
        session.add_all([WrittenDraft(id=number, title="x") for number in range(1, 6)])
    drafts = QueryBuilder(WrittenDraft, engine)
    await drafts.filter(WrittenDraft.id < 3).delete()
    first_two = drafts.unscoped().order_by("id").limit(2)

    assert 2 == await first_two.update({"title": "y"})
    assert [3, 4] == [draft.id for draft in await drafts.filter_by(title="y").execute()]
    assert 2 == await first_two.delete()
    assert [5] == [draft.id for draft in await drafts.execute()]
    assert 1 == await drafts.include_deleted().unscoped().delete()
    assert 5 == await drafts.include_deleted().count()
    assert 2 == await first_two.include_deleted().update({"title": "z"})
    assert 2 == await drafts.include_deleted().filter_by(title="z").count()


async def test_a_refused_write_leaves_the_session_alone(crew: AndamiosEngine) -> None:
    """After a duplicate key the transaction goes on."""
    async with crew.session() as session:
        members = QueryBuilder(WrittenMember, session)
        held = await members.filter_by(id=3).one()
        await members.filter_by(id=1).update({"age": 77})
        with pytest.raises(DuplicateError):
            await members.filter(WrittenMember.id > 1).update({"name": "m1"})
        assert "m3" == held.name
        assert 1 == await members.filter_by(id=2).update({"age": 78})

    assert [77, 78] == (await ages(crew))[:2]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"agee": 1}, UnknownFieldError),
        ({"crew": None}, UnknownFieldError),
        ({"age": "1"}, DataError),
        ({"age": True}, DataError),
        ({}, QueryError),
        (None, QueryError),
        ([("age", 1)], QueryError),
    ],
)
async def test_bad_values(crew: AndamiosEngine, values: Any, error: type[Exception]) -> None:
    """Unknown columns and wrong values are refused before anything is sent."""
    with pytest.raises(error):
        await QueryBuilder(WrittenMember, crew).filter_by(id=1).update(values)


async def test_groups_cannot_be_written(crew: AndamiosEngine) -> None:
    """A query for rows says nothing of what to write."""
    query = QueryBuilder(WrittenMember, crew).filter_by(id=1).only("name")
    with pytest.raises(QueryError, match="columns"):
        await query.delete()


async def test_models_in_several_tables_are_refused(engine: AndamiosEngine) -> None:
    """A statement writes to one table; conditions on the other would not limit its rows."""
    async with engine.session() as session:
        session.add_all([WrittenCar(name="c", doors=2), WrittenCar(name="d", doors=4)])
    cars = QueryBuilder(WrittenCar, engine).filter_by(name="c")

    with pytest.raises(ConfigurationError, match="Load the objects and delete each"):
        await cars.delete()
    with pytest.raises(ConfigurationError, match="several tables"):
        await cars.update({"doors": 5})

    assert 2 == await QueryBuilder(WrittenCar, engine).filter_by(doors__lt=5).count()


async def test_conditions_on_another_table(crew: AndamiosEngine) -> None:
    """What nothing joins limits nothing, so that every row would be written."""
    members = QueryBuilder(WrittenMember, crew)
    stray = WrittenCrew.name == "none"
    for condition in (stray, and_(stray, true()), ~stray, or_(stray, WrittenMember.age > 1)):
        with pytest.raises(UnscopedWriteError, match="written_crew"):
            await members.filter(condition).update({"age": 1})
        with pytest.raises(UnscopedWriteError):
            await members.filter(condition).delete()
    with pytest.raises(QueryError, match="is for WrittenCrew"):
        members.filter(FilterBuilder(WrittenCrew).eq("name", "none"))
    assert 5 == await members.count()
    assert 0 == await members.filter(WrittenMember.crew.has(stray)).update({"age": 1})
    assert 0 == await members.join(WrittenMember.crew).filter(stray).update({"age": 1})


async def test_a_version_among_the_values(crew: AndamiosEngine) -> None:
    """It is compared, and not set: whoever read before somebody else wrote loses."""
    members = QueryBuilder(WrittenMember, crew)
    member = await members.order_by("id").first()
    assert member is not None
    mine = members.filter(WrittenMember.id == member.id)
    assert 1 == await mine.update({"age": 50, "version": 1})
    with pytest.raises(StaleVersionError) as caught:
        await mine.update({"age": 51, "version": 1})
    assert (1, 2) == (caught.value.expected, caught.value.actual)
    assert (50, 2) == await mine.only("age", "version").one()
    with pytest.raises(StaleVersionError):
        await members.unscoped().update({"age": 52, "version": 1})
    assert 0 == await members.filter(WrittenMember.age == 52).count()
    assert 0 == await members.filter(WrittenMember.age == 99).update({"age": 52, "version": 1})
    with pytest.raises(QueryError, match="counts by itself"):
        await mine.update({"version": WrittenMember.version + 5})
