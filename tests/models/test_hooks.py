"""Hooks: when a model's own methods are called, and when not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from annotated_types import MaxLen
from sqlalchemy import ForeignKey, insert, select, update
from sqlalchemy.ext.asyncio import async_object_session
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from andamios import (
    BaseModel,
    ConfigurationError,
    FieldValidationError,
    GenericRepository,
    SoftDeleteModel,
    StaleVersionError,
    VersioningMixin,
)
from andamios.models import has_hooks, hook_failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from andamios import AndamiosEngine, AsyncSession

CALLS: list[str] = []


class Told:
    """Tells of every call."""

    def before_create(self) -> None:
        CALLS.append(f"before_create {self.name}")  # type: ignore[attr-defined]

    async def after_create(self) -> None:
        await asyncio.sleep(0)
        CALLS.append(f"after_create {self.id}")  # type: ignore[attr-defined]

    async def before_update(self) -> None:
        await asyncio.sleep(0)
        CALLS.append("before_update")

    def after_update(self) -> None:
        CALLS.append("after_update")

    def before_delete(self) -> None:
        CALLS.append("before_delete")

    async def after_delete(self) -> None:
        CALLS.append("after_delete")

    async def after_commit(self) -> None:
        await asyncio.sleep(0)
        CALLS.append(f"after_commit {self.name}")  # type: ignore[attr-defined]

    def after_load(self) -> None:
        CALLS.append(f"after_load {self.name}")  # type: ignore[attr-defined]


class HookParcel(Told, VersioningMixin, BaseModel):
    """With every hook, from a mixin."""

    name: Mapped[Annotated[str, MaxLen(20)]]
    labels: Mapped[list[HookLabel]] = relationship(
        cascade="all, delete-orphan", back_populates="parcel", lazy="selectin"
    )


class HookLabel(Told, BaseModel):
    """A part of a parcel."""

    name: Mapped[str]
    parcel_id: Mapped[int | None] = mapped_column(ForeignKey("hook_parcel.id"))
    parcel: Mapped[HookParcel | None] = relationship(back_populates="labels")


class HookDraft(Told, SoftDeleteModel):
    """Marked when it is deleted."""

    name: Mapped[str]


class HookShelf(BaseModel):
    """Its books do not know it."""

    books: Mapped[list[HookBook]] = relationship(
        cascade="all, delete-orphan", foreign_keys="HookBook.shelf_id"
    )
    guests: Mapped[list[HookBook]] = relationship(foreign_keys="HookBook.guest_of_id")


class HookBook(Told, BaseModel):
    """On a shelf, without a relationship to it."""

    name: Mapped[str]
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("hook_shelf.id"))
    guest_of_id: Mapped[int | None] = mapped_column(ForeignKey("hook_shelf.id"))


class HookNormal(BaseModel):
    """Hooks that change, refuse, read and write."""

    name: Mapped[Annotated[str, MaxLen(10)]]
    twin: Mapped[bool] = mapped_column(default=False)
    seen: Mapped[int | None]

    async def before_create(self) -> None:
        """Strip the name, and count those that are there."""
        self.name = self.name.strip()
        if self.name == "refused":
            message = "not this one"
            raise LookupError(message)
        session = async_object_session(self)
        assert session is not None
        self.seen = len((await session.scalars(select(HookNormal.id))).all())

    def after_create(self) -> None:
        """Create a twin."""
        session = async_object_session(self)
        assert session is not None
        if not self.twin and self.name == "double":
            session.add(HookNormal(name="twin", twin=True))

    def before_update(self) -> None:
        """Make the name long."""
        self.name += "!"


class HookChild(HookNormal):
    """Inherits, and adds."""

    async def before_create(self) -> None:
        """Do what the parent does, and more."""
        await super().before_create()
        self.name += "+"


class HookPair(BaseModel):
    """Comes with another one."""

    name: Mapped[str]

    def before_create(self) -> None:
        """Strip the name, and add the other one."""
        session = async_object_session(self)
        assert session is not None
        if self.name == "one ":
            session.add(HookPair(name="two "))
        self.name = self.name.strip()


class HookFailing(BaseModel):
    """Its last hook fails."""

    name: Mapped[str]

    async def after_commit(self) -> None:
        """Fail."""
        message = "too late"
        raise LookupError(message)


class HookNone(BaseModel):
    """Without any."""

    name: Mapped[str]


@pytest.fixture(autouse=True)
def calls() -> Iterator[list[str]]:
    """Give what was called, from nothing."""
    CALLS.clear()
    yield CALLS
    CALLS.clear()


def parcels(bind: Any) -> GenericRepository[HookParcel]:
    return GenericRepository[HookParcel](bind)


async def test_creation(engine: AndamiosEngine, calls: list[str]) -> None:
    """Before, after, and after COMMIT, each once, coroutines awaited."""
    async with engine.session() as session:
        parcel = HookParcel(name="a")
        session.add(parcel)
        await session.flush()
        assert ["before_create a", f"after_create {parcel.id}"] == calls
    assert ["before_create a", f"after_create {parcel.id}", "after_commit a"] == calls


async def test_update_only_when_a_column_changes(engine: AndamiosEngine, calls: list[str]) -> None:
    """Setting the same value again calls nothing; loading calls its hook once."""
    parcel = await parcels(engine).create(HookParcel(name="a"))
    calls.clear()
    async with engine.session() as session:
        found = await session.get_one(HookParcel, parcel.id)
        found.name = "a"
        await session.flush()
        found.name = "b"
    assert ["after_load a", "before_update", "after_update", "after_commit b"] == calls


async def test_deletion(engine: AndamiosEngine, calls: list[str]) -> None:
    """Deleting calls the hooks of deletion."""
    parcel = await parcels(engine).create(HookParcel(name="a"))
    calls.clear()
    await parcels(engine).delete(parcel.id)
    assert ["after_load a", "before_delete", "after_delete", "after_commit a"] == calls


async def test_soft_deletion_is_a_deletion(engine: AndamiosEngine, calls: list[str]) -> None:
    """Marking a row is no update, and restoring it is one."""
    drafts = GenericRepository[HookDraft](engine)
    draft = await drafts.create(HookDraft(name="a"))
    calls.clear()
    await drafts.delete(draft.id)
    assert ["after_load a", "before_delete", "after_delete", "after_commit a"] == calls
    calls.clear()
    await drafts.restore(draft.id)
    assert ["after_load a", "before_update", "after_update", "after_commit a"] == calls


async def test_orphan_is_a_deletion(engine: AndamiosEngine, calls: list[str]) -> None:
    """A child that its parent drops calls its hooks."""
    parcel = await parcels(engine).create(HookParcel(name="a", labels=[HookLabel(name="x")]))
    async with engine.session() as session:
        found = await session.get_one(HookParcel, parcel.id)
        calls.clear()
        found.labels.clear()
    assert ["before_delete", "after_delete", "after_commit x"] == calls


@pytest.mark.parametrize("is_taken_first", [True, False])
async def test_child_that_moves_is_an_update(
    engine: AndamiosEngine, calls: list[str], *, is_taken_first: bool
) -> None:
    """A child that another parent takes over is not deleted."""
    async with engine.session() as session:
        label = HookLabel(name="x")
        one, other = HookParcel(name="a", labels=[label]), HookParcel(name="b", labels=[])
        session.add_all([one, other])
        await session.flush()
        calls.clear()
        if is_taken_first:
            one.labels.remove(label)
        other.labels.append(label)
        await session.flush()
        assert ["before_update", "after_update"] == calls


async def test_children_that_do_not_know_their_parent(
    engine: AndamiosEngine, calls: list[str]
) -> None:
    """What a parent takes or drops calls its hooks, before and after."""
    async with engine.session() as session:
        book, guest = HookBook(name="x"), HookBook(name="y")
        shelf = HookShelf(books=[book], guests=[])
        session.add_all([shelf, guest])
        await session.flush()
        changes: list[tuple[Callable[[], None], str]] = [
            (lambda: shelf.guests.append(guest), "update"),
            (lambda: shelf.guests.remove(guest), "update"),
            (lambda: session.add(HookShelf(guests=[guest])), "update"),
            (lambda: shelf.books.remove(book), "delete"),
        ]
        for change, expected in changes:
            calls.clear()
            change()
            await session.flush()
            assert [f"before_{expected}", f"after_{expected}"] == calls


async def test_nothing_after_a_rollback(engine: AndamiosEngine, calls: list[str]) -> None:
    """What was rolled back was never committed, in this transaction or the next."""
    async with engine.session() as session:
        session.add(HookParcel(name="a"))
        await session.flush()
        await session.rollback()
        session.add(HookParcel(name="b"))
    assert ["after_commit b"] == [call for call in calls if call.startswith("after_commit")]


async def test_savepoint_drops_its_own(engine: AndamiosEngine, calls: list[str]) -> None:
    """A rolled back savepoint takes its objects along, a released one waits for COMMIT."""
    async with engine.session() as session:
        session.add(HookParcel(name="outer"))
        await session.flush()
        nested = await session.begin_nested()
        session.add(HookParcel(name="gone"))
        await nested.rollback()
        async with session.begin_nested():
            session.add(HookParcel(name="kept"))
            async with session.begin_nested():
                session.add(HookParcel(name="inner"))
        assert [] == [call for call in calls if call.startswith("after_commit")]
    committed = [call.split()[1] for call in calls if call.startswith("after_commit")]
    assert ["inner", "kept", "outer"] == sorted(committed)


async def test_after_commit_is_once_an_object(engine: AndamiosEngine, calls: list[str]) -> None:
    """An object that was written three times was committed once."""
    async with engine.session() as session:
        parcel = HookParcel(name="a")
        session.add(parcel)
        for name in "bc":
            await session.flush()
            parcel.name = name
    assert 1 == len([call for call in calls if call.startswith("after_commit")])


async def test_after_commit_that_fails(
    engine: AndamiosEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """What it raises is logged and counted; the row is there."""
    failing = GenericRepository[HookFailing](engine)
    before = hook_failures().get("HookFailing", 0)
    await failing.create(HookFailing(name="a"))
    assert 1 == await failing.count()
    assert before + 1 == hook_failures()["HookFailing"]
    assert ["after_commit of HookFailing failed; what was committed stays"] == caplog.messages


async def test_hook_changes_the_object(engine: AndamiosEngine) -> None:
    """What it sets is written by that flush, on creation and on update."""
    normal = GenericRepository[HookNormal](engine)
    created = await normal.create(HookNormal(name=" a "))
    assert ("a", 0) == (created.name, created.seen)
    created.name = "b"
    assert "b!" == (await normal.update(created)).name
    assert "b!" == (await normal.get_one(created.id)).name


async def test_hook_refuses(engine: AndamiosEngine) -> None:
    """What it raises refuses the write, and a repository's caller can go on."""
    async with engine.session() as session:
        normal = GenericRepository[HookNormal](session)
        with pytest.raises(LookupError, match="not this one"):
            await normal.create(HookNormal(name="refused"))
        await normal.create(HookNormal(name="good"))
    assert ["good"] == [one.name for one in await GenericRepository[HookNormal](engine).list()]


async def test_rules_hold_in_hooks(engine: AndamiosEngine) -> None:
    """A hook cannot set what the field's rule forbids."""
    normal = GenericRepository[HookNormal](engine)
    created = await normal.create(HookNormal(name="a"))
    created.name = "x" * 10
    with pytest.raises(FieldValidationError):
        await normal.update(created)


async def test_versions_hold_with_hooks(engine: AndamiosEngine) -> None:
    """A hook does not hide that somebody was faster."""
    parcel = await parcels(engine).create(HookParcel(name="a"))
    await parcels(engine).update_where({"id": parcel.id}, {"name": "b"})
    parcel.name = "c"
    with pytest.raises(StaleVersionError):
        await parcels(engine).update(parcel)


async def test_hook_writes(engine: AndamiosEngine) -> None:
    """What a hook adds is written in the same transaction, with its hooks."""
    normal = GenericRepository[HookNormal](engine)
    await normal.create(HookNormal(name="double"))
    assert ["double", "twin"] == sorted([one.name for one in await normal.list()])


async def test_what_a_hook_adds_has_hooks(engine: AndamiosEngine) -> None:
    """An object that is added before the flush is written by it, with its own hooks."""
    async with engine.session() as session:
        session.add(HookPair(name="one "))
        await session.flush()
        assert ["one", "two"] == sorted(await session.scalars(select(HookPair.name)))


async def test_super(engine: AndamiosEngine) -> None:
    """A class adds to the hook that it inherits."""
    child = await GenericRepository[HookChild](engine).create(HookChild(name=" c "))
    assert "c+" == child.name


async def test_sets_of_rows_call_nothing(engine: AndamiosEngine, calls: list[str]) -> None:
    """UPDATE, DELETE and INSERT by one statement know no objects."""
    async with engine.session() as session:
        await session.execute(insert(HookDraft).values(name="a"))
        await session.execute(update(HookDraft).values(name="b"))
        await GenericRepository[HookDraft](session).delete_where({"name": "b"})
    assert [] == calls


async def test_create_many(engine: AndamiosEngine, calls: list[str]) -> None:
    """Dicts become objects when the model has hooks, and only then."""
    assert (True, False) == (has_hooks(HookParcel), has_hooks(HookNone))
    assert 3 == await parcels(engine).create_many({"name": name} for name in "abc")
    assert ["before_create a", "before_create b", "before_create c"] == calls[:3]
    assert ["after_commit a", "after_commit b", "after_commit c"] == calls[-3:]


async def test_update_many(engine: AndamiosEngine, calls: list[str]) -> None:
    """Different values by key are changes of objects."""
    parcel = await parcels(engine).create(HookParcel(name="a"))
    calls.clear()
    await parcels(engine).update_many([{"id": parcel.id, "name": "b"}])
    assert ["after_load a", "before_update", "after_update", "after_commit b"] == calls


async def test_stream_loads(db_session: AsyncSession, calls: list[str]) -> None:
    """Every object that comes from the database is told so, once."""
    await parcels(db_session).create_many({"name": name} for name in "ab")
    db_session.expunge_all()
    calls.clear()
    assert 2 == len([item async for item in parcels(db_session).stream()])
    assert ["after_load a", "after_load b"] == sorted(calls)


def test_load_cannot_wait() -> None:
    """A coroutine where nothing can be awaited is refused when the class is made."""

    class HookBase(BaseModel, DeclarativeBase):
        """A base that is gone after the test."""

    with pytest.raises(ConfigurationError, match=r"HookWaiting\.after_load is a coroutine"):

        class HookWaiting(HookBase):
            async def after_load(self) -> None: ...
