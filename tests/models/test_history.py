"""History: every write of an audited model leaves what was, in the same transaction."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    ForeignKey,
    bindparam,
    delete,
    event,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship
from sqlalchemy.util import await_only

from andamios import (
    AuditedRepository,
    AuditMixin,
    BaseModel,
    ConfigurationError,
    DataError,
    NotFoundError,
    QueryError,
    SoftDeleteModel,
    TimestampedModel,
    VersioningMixin,
    acting_as,
)
from andamios.models import hard_delete, keeps_history

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class HistRoom(AuditMixin, BaseModel):
    """What accounts are in."""

    __history__ = True

    name: Mapped[str] = mapped_column(unique=True)
    accounts: Mapped[list[HistAccount]] = relationship(
        back_populates="room", foreign_keys="HistAccount.room_id"
    )


class HistAccount(AuditMixin, VersioningMixin, TimestampedModel):
    """With a version and times."""

    __history__ = True

    owner: Mapped[str]
    money: Mapped[Decimal] = mapped_column(default=0)
    limits: Mapped[dict[str, Any] | None]
    note: Mapped[str | None] = mapped_column(deferred=True)
    second = mapped_column(ForeignKey("hist_room.id"))
    room_id: Mapped[int | None] = mapped_column(ForeignKey("hist_room.id"))
    room: Mapped[HistRoom | None] = relationship(back_populates="accounts", foreign_keys=[room_id])


class HistDraft(AuditMixin, SoftDeleteModel):
    """Marked when it is deleted."""

    __history__ = True

    name: Mapped[str]


class HistLetter(AuditMixin, BaseModel):
    """With an attribute that is no column of its table."""

    __history__ = True

    text: Mapped[str]
    size = column_property(func.length(literal_column("text")))


class HistPlace(AuditMixin, BaseModel):
    """A key of two columns."""

    __history__ = True

    row: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    guest: Mapped[str | None]


class HistMedium(AuditMixin, BaseModel):
    """The parent of a class that shares its table."""

    __history__ = True
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "medium"}  # noqa: RUF012

    kind: Mapped[str]
    title: Mapped[str]


class HistFilm(HistMedium):
    """A child that brings a column."""

    __mapper_args__ = {"polymorphic_identity": "film"}  # noqa: RUF012

    minutes: Mapped[int | None]


class HistSilent(AuditMixin, BaseModel):
    """Keeps none."""


def accounts(bind: Any) -> AuditedRepository[HistAccount]:
    return AuditedRepository[HistAccount](bind)


def drafts(bind: Any) -> AuditedRepository[HistDraft]:
    return AuditedRepository[HistDraft](bind)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def told(repository: AuditedRepository[Any], key: Any, field: str) -> list[tuple[Any, ...]]:
    """Give operation, author, and a field before and after, of each change."""

    def seen(values: dict[str, Any] | None) -> Any:
        return values and values[field]

    changes = await repository.history(key)
    assert list(range(1, len(changes) + 1)) == [change.number for change in changes]
    return [(one.operation, one.by, seen(one.before), seen(one.after)) for one in changes]


async def owners(engine: AndamiosEngine, id: int) -> list[tuple[Any, ...]]:  # noqa: A002
    return [row[:1] + row[2:] for row in await told(accounts(engine), id, "owner")]


async def test_objects(engine: AndamiosEngine) -> None:
    """Creating, changing and deleting an object, each with its author."""
    repository = accounts(engine)
    with acting_as("ana"):
        account = await repository.create(HistAccount(owner="a", limits={"day": 1}))
    with acting_as("eva"):
        account.owner = "b"
        await repository.update(account)
    await repository.delete(account.id)
    assert [
        ("create", "ana", None, "a"),
        ("update", "eva", "a", "b"),
        ("delete", None, "b", None),
    ] == await told(repository, account.id, "owner")
    changes = await repository.history(account.id)
    assert [1, 2] == [change.after["version"] for change in changes if change.after]
    assert changes[0].after is not None
    assert {"day": 1} == changes[0].after["limits"]
    assert account.created_at == changes[0].after["created_at"]


async def test_flush_without_a_change(engine: AndamiosEngine) -> None:
    """Nothing changed is nothing told."""
    account = await accounts(engine).create(HistAccount(owner="a"))
    async with engine.session() as session:
        found = await session.get_one(HistAccount, account.id)
        found.owner = "a"
    assert [("create", None, "a")] == await owners(engine, account.id)


async def test_rollback_takes_history_along(engine: AndamiosEngine) -> None:
    """History is part of the transaction, and of a savepoint."""
    account = await accounts(engine).create(HistAccount(owner="a"))
    async with engine.session() as session:
        repository = accounts(session)
        nested = await session.begin_nested()
        await repository.update_where({"owner": "a"}, {"owner": "b"})
        await nested.rollback()
        await repository.update_where({"owner": "a"}, {"owner": "c"})
    assert [("create", None, "a"), ("update", "a", "c")] == await owners(engine, account.id)


async def test_foreign_key_by_a_relationship(engine: AndamiosEngine) -> None:
    """A column that a relationship sets is a change of its row."""
    account = await accounts(engine).create(HistAccount(owner="a"))
    async with engine.session() as session:
        found = await session.get_one(HistAccount, account.id)
        session.add(HistRoom(name="r", accounts=[found]))
    changes = await told(accounts(engine), account.id, "room_id")
    assert [("create", False), ("update", True)] == [(one[0], bool(one[3])) for one in changes]


async def test_create_many(engine: AndamiosEngine) -> None:
    """Rows that never were objects have a beginning, too."""
    with acting_as("ana"):
        await accounts(engine).create_many({"owner": f"o{n}"} for n in range(1100))
    async with engine.session() as session:
        key = select(func.max(HistAccount.id), func.min(HistAccount.id), func.count())
        last, first, count = (await session.execute(key)).one()
    assert 1100 == count
    assert [("create", "ana", None, "o0")] == await told(accounts(engine), first, "owner")
    assert [("create", "ana", None, "o1099")] == await told(accounts(engine), last, "owner")


@pytest.mark.parametrize("path", ["update_many", "update_where", "query", "statement", "by_key"])
async def test_each_way_to_update(engine: AndamiosEngine, path: str) -> None:
    """Time, author, version and history, whichever way rows are changed."""
    with acting_as("ana"):
        account = await accounts(engine).create(HistAccount(owner="a"))
        other = await accounts(engine).create(HistAccount(owner="other"))
    with acting_as("eva"):
        async with engine.session() as session:
            repository = accounts(session)
            match path:
                case "update_many":
                    await repository.update_many([{"id": account.id, "owner": "b"}])
                case "update_where":
                    await repository.update_where({"owner": "a"}, {"owner": "b"})
                case "query":
                    await repository.query().filter(HistAccount.owner == "a").update({"owner": "b"})
                case "statement":
                    held = await session.get_one(HistAccount, account.id)
                    await session.execute(
                        update(HistAccount).where(HistAccount.owner == "a").values(owner="b")
                    )
                    await session.refresh(held)
                    assert "b" == held.owner
                case "by_key":
                    row = {"id": account.id, "owner": "b", "version": 1}
                    await session.execute(update(HistAccount), [row])
    found = await accounts(engine).get_one(account.id)
    assert ("b", "eva", 2) == (found.owner, found.updated_by, found.version)
    assert found.updated_at > account.updated_at
    changes = await accounts(engine).history(account.id)
    assert [("create", "ana"), ("update", "eva")] == [(one.operation, one.by) for one in changes]
    columns = {name: value for name, value in found.to_dict().items() if name != "note"}
    assert changes[1].after is not None
    assert columns == {name: changes[1].after[name] for name in columns}
    assert [("create", None, "other")] == await owners(engine, other.id)


@pytest.mark.parametrize("synchronize", ["auto", "evaluate", "fetch", False])
async def test_synchronized_update(engine: AndamiosEngine, synchronize: Any) -> None:
    """However objects of the session are brought up to date."""
    account = await accounts(engine).create(HistAccount(owner="a"))
    async with engine.session() as session:
        held = await session.get_one(HistAccount, account.id)
        statement = update(HistAccount).where(HistAccount.owner == "a").values(owner="b")
        options = {"synchronize_session": synchronize}
        await session.execute(statement, execution_options=options)
        await session.refresh(held)
        assert "b" == held.owner
    assert [("create", None, "a"), ("update", "a", "b")] == await owners(engine, account.id)


@pytest.mark.parametrize("path", ["delete_where", "query", "statement", "session"])
async def test_each_way_to_delete(engine: AndamiosEngine, path: str) -> None:
    """A row that goes is told, and rows that stay are not."""
    account = await accounts(engine).create(HistAccount(owner="a"))
    other = await accounts(engine).create(HistAccount(owner="other"))
    async with engine.session() as session:
        match path:
            case "delete_where":
                assert 1 == await accounts(session).delete_where({"owner": "a"})
            case "query":
                await accounts(session).query().filter(HistAccount.owner == "a").delete()
            case "statement":
                statement = delete(HistAccount).where(HistAccount.owner == "a")
                await session.execute(statement)
            case "session":
                await session.delete(await session.get_one(HistAccount, account.id))
    assert [("create", None, "a"), ("delete", "a", None)] == await owners(engine, account.id)
    assert [("create", None, "other")] == await owners(engine, other.id)


@pytest.mark.parametrize("path", ["list", "values", "dict"])
async def test_each_way_to_insert(engine: AndamiosEngine, path: str) -> None:
    """An INSERT through the ORM, in each of its forms."""
    rooms = AuditedRepository[HistRoom](engine)
    async with engine.session() as session:
        match path:
            case "list":
                await session.execute(insert(HistRoom), [{"name": "a"}, {"name": "b"}])
            case "values":
                await session.execute(insert(HistRoom).values(name="a"))
            case "dict":
                await session.execute(insert(HistRoom), {"name": "a"})
    found = await rooms.list()
    assert found
    for room in found:
        assert [("create", None, None, room.name)] == await told(rooms, room.id, "name")


async def test_insert_from_a_select_is_refused(engine: AndamiosEngine) -> None:
    """What not every backend can tell is refused on all."""
    statement = insert(HistAccount).from_select(["owner"], select(HistRoom.name))
    with pytest.raises(QueryError, match="keeps its history"):
        async with engine.session() as session:
            await session.execute(statement)


async def test_upsert(engine: AndamiosEngine) -> None:
    """The first one creates, the second one changes."""
    rooms = AuditedRepository[HistRoom](engine)
    room = await rooms.upsert({"name": "r"}, on=["name"])
    await rooms.upsert_many([{"name": "r"}, {"name": "s"}], on=["name"])
    assert "create" == (await rooms.history(room))[0].operation
    assert {"update"} == {change.operation for change in (await rooms.history(room))[1:]}
    other = await rooms.find_one({"name": "s"})
    assert ["create"] == [change.operation for change in await rooms.history(other)]


@pytest.mark.parametrize("path", ["delete", "delete_where", "statement", "session"])
async def test_soft_deletion_and_restoring(engine: AndamiosEngine, path: str) -> None:
    """A marked row was deleted, and comes back."""
    draft = await drafts(engine).create(HistDraft(name="a"))
    async with engine.session() as session:
        match path:
            case "delete":
                await drafts(session).delete(draft.id)
            case "delete_where":
                await drafts(session).delete_where({"name": "a"})
            case "statement":
                await session.execute(delete(HistDraft).where(HistDraft.name == "a"))
            case "session":
                await session.delete(await session.get_one(HistDraft, draft.id))
    await drafts(engine).restore(draft.id)
    assert [
        ("create", None, None, "a"),
        ("delete", None, "a", None),
        ("restore", None, None, "a"),
    ] == await told(drafts(engine), draft.id, "name")


async def test_marked_rows_have_no_part(engine: AndamiosEngine) -> None:
    """A statement on a set of rows does not see what is softly deleted, and notes nothing."""
    draft = await drafts(engine).create(HistDraft(name="a"))
    await drafts(engine).delete(draft.id)
    await drafts(engine).update_where({"name": "a"}, {"name": "b"})
    assert 2 == len(await drafts(engine).history(draft.id))


async def test_hard_deletion(engine: AndamiosEngine) -> None:
    """Gone for good is a deletion, too."""
    draft = await drafts(engine).create(HistDraft(name="a"))
    await drafts(engine).hard_delete(draft.id)
    assert [("create", None, None, "a"), ("delete", None, "a", None)] == await told(
        drafts(engine), draft.id, "name"
    )


async def test_update_with_another_table(engine: AndamiosEngine) -> None:
    """A row that fits several rows elsewhere changes once."""
    account = await accounts(engine).create(HistAccount(owner="a"))
    rooms = AuditedRepository[HistRoom](engine)
    await rooms.create_many([{"name": "x"}, {"name": "y"}])
    async with engine.session() as session:
        statement = update(HistAccount).where(HistRoom.name > HistAccount.owner).values(owner="b")
        await session.execute(statement, execution_options={"synchronize_session": False})
    assert [("create", None, "a"), ("update", "a", "b")] == await owners(engine, account.id)


async def test_key_of_two_columns(engine: AndamiosEngine) -> None:
    """Each path with a composite key."""
    places = AuditedRepository[HistPlace](engine)
    await places.create_many({"row": 1, "number": n} for n in (1, 2))
    await places.update_where({"number": 2}, {"guest": "ana"})
    await places.update_many([{"row": 1, "number": 2, "guest": "eva"}])
    await places.delete_where({"number": 2})
    assert [
        ("create", None, None, None),
        ("update", None, None, "ana"),
        ("update", None, "ana", "eva"),
        ("delete", None, "eva", None),
    ] == await told(places, (1, 2), "guest")
    assert 1 == len(await places.history((1, 1)))


async def test_shared_table(engine: AndamiosEngine) -> None:
    """Children that share a table share its history, with their columns."""
    films = AuditedRepository[HistFilm](engine)
    film = await films.create(HistFilm(title="a", minutes=90))
    medium = await AuditedRepository[HistMedium](engine).create(HistMedium(title="a"))
    await films.update_where({"title": "a"}, {"minutes": 91})
    assert [("create", None, None, 90), ("update", None, 90, 91)] == await told(
        films, film.id, "minutes"
    )
    media = AuditedRepository[HistMedium](engine)
    assert 1 == len(await media.history(medium))
    assert [("create", None, None, 90), ("update", None, 90, 91)] == await told(
        media, film.id, "minutes"
    )
    (was,) = await AuditedRepository[HistMedium](engine).as_of(now(), {"id": film.id})
    assert isinstance(was, HistFilm)
    assert 91 == was.minutes


@pytest.mark.parametrize("is_gone", [True, False])
async def test_reverting_a_child_by_its_parent(engine: AndamiosEngine, *, is_gone: bool) -> None:
    """The parent's repository brings back what a child was, and its class."""
    media = AuditedRepository[HistMedium](engine)
    film = await media.create(HistFilm(title="a", minutes=90))
    await AuditedRepository[HistFilm](engine).update_where({"title": "a"}, {"minutes": 91})
    if is_gone:
        await media.delete(film.id)
    reverted = await media.revert(film.id, 1)
    assert isinstance(reverted, HistFilm)
    (found,) = await AuditedRepository[HistFilm](engine).list()
    assert 90 == found.minutes


@pytest.mark.isolation("own")
async def test_two_writers(engine: AndamiosEngine) -> None:
    """Writers of the same rows wait for each other, and each tells what it found and left."""
    account = await accounts(engine).create(HistAccount(owner="a"))
    raised = {HistAccount.money: HistAccount.money + 1}

    async def write() -> None:
        for _ in range(10):
            async with engine.session() as session:
                if engine.backend != "mariadb":  # which refuses such a write
                    # A snapshot that is older than what the other one writes.
                    await session.execute(select(func.count()).select_from(HistRoom))
                await asyncio.sleep(0)
                await accounts(session).update_where({"id": account.id}, raised)

    await asyncio.gather(write(), write())
    changes = await told(accounts(engine), account.id, "money")
    assert [("create", None, None, Decimal(0))] == changes[:1]
    steps = [("update", None, Decimal(n), Decimal(n + 1)) for n in range(20)]
    assert steps == changes[1:]


@pytest.mark.isolation("own")
async def test_creators_at_once(engine: AndamiosEngine) -> None:
    """Creating different rows at once never locks another out."""

    async def create(number: int) -> int:
        async with engine.session() as session:
            account = await accounts(session).create(HistAccount(owner=str(number)))
            await asyncio.sleep(0.01)
            await accounts(session).update_where({"id": account.id}, {"note": "x"})
        return int(account.id)

    for id in await asyncio.gather(*map(create, range(8))):  # noqa: A001
        assert 2 == len(await accounts(engine).history(id))


async def test_as_of(engine: AndamiosEngine) -> None:
    """Rows as they were at a moment, filtered as they were."""
    start = now()
    first = await accounts(engine).create(HistAccount(owner="a"))
    created = now()
    await accounts(engine).update_where({"owner": "a"}, {"owner": "b", "note": "n"})
    await accounts(engine).create(HistAccount(owner="a"))
    changed = now()
    await accounts(engine).delete(first.id)
    assert [] == await accounts(engine).as_of(start)
    assert ["a"] == [one.owner for one in await accounts(engine).as_of(created)]
    were = await accounts(engine).as_of(changed)
    assert [("b", "n"), ("a", None)] == [(one.owner, one.note) for one in were]
    assert [first.id] == [one.id for one in await accounts(engine).as_of(created, {"owner": "a"})]
    later = await accounts(engine).as_of(changed, {"owner__in": ["a", "b"]})
    assert ["b", "a"] == [one.owner for one in later]
    assert ["a"] == [one.owner for one in await accounts(engine).as_of(now())]


async def test_as_of_leaves_the_session_alone(engine: AndamiosEngine) -> None:
    """What was does not take the place of what is."""
    account = await accounts(engine).create(HistAccount(owner="a"))
    moment = now()
    async with engine.session() as session:
        held = await session.get_one(HistAccount, account.id)
        held.owner = "b"
        (was,) = await accounts(session).as_of(moment)
        assert ("a", "b") == (was.owner, held.owner)
        assert was is not held


async def test_as_of_never_splits_a_transaction(engine: AndamiosEngine) -> None:
    """All changes of a transaction have one moment."""
    async with engine.session() as session:
        account = await accounts(session).create(HistAccount(owner="a"))
        await asyncio.sleep(0.002)
        await accounts(session).update_where({"owner": "a"}, {"owner": "b"})
    await accounts(engine).update_where({"owner": "b"}, {"owner": "c"})
    first, second, third = await accounts(engine).history(account)
    assert first.at == second.at < third.at
    assert ["b"] == [one.owner for one in await accounts(engine).as_of(first.at)]


async def test_as_of_needs_a_moment(engine: AndamiosEngine) -> None:
    """A time without a zone is none."""
    with pytest.raises(DataError, match="time zone"):
        await accounts(engine).as_of(dt.datetime(2024, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("path", ["add", "create", "update", "create_many", "update_many"])
async def test_past_is_not_stored(engine: AndamiosEngine, path: str) -> None:
    """An object that was cannot be stored by mistake."""
    account = await accounts(engine).create(HistAccount(owner="a"))
    moment = now()
    await accounts(engine).update_where({"id": account.id}, {"owner": "b"})
    (was,) = await accounts(engine).as_of(moment)

    async def store() -> None:
        async with engine.session() as session:
            if path == "add":
                session.add(was)
            else:
                write = getattr(accounts(session), path)
                await write([was] if path.endswith("many") else was)

    with pytest.raises(QueryError, match="shows what was"):
        await store()
    assert "b" == (await accounts(engine).get_one(account.id)).owner


async def test_revert(engine: AndamiosEngine) -> None:
    """Old values are written as a new change, with version and time of their own."""
    account = await accounts(engine).create(HistAccount(owner="a", limits={"day": 1}))
    await accounts(engine).update_where({"id": account.id}, {"owner": "b", "limits": None})
    with acting_as("eva"):
        reverted = await accounts(engine).revert(account, 1)
    assert ("a", {"day": 1}, 3) == (reverted.owner, reverted.limits, reverted.version)
    assert "eva" == reverted.updated_by
    assert reverted.updated_at > account.updated_at
    last = (await accounts(engine).history(account))[-1]
    assert (3, "update", "eva") == (last.number, last.operation, last.by)


async def test_revert_brings_back(engine: AndamiosEngine) -> None:
    """What was deleted is restored, what is gone is created anew with its key."""
    draft = await drafts(engine).create(HistDraft(name="a"))
    await drafts(engine).delete(draft.id)
    restored = await drafts(engine).revert(draft.id, 1)
    assert not restored.is_deleted
    await drafts(engine).hard_delete(draft.id)
    assert draft.id == (await drafts(engine).revert(draft.id, 1)).id
    operations = [change.operation for change in await drafts(engine).history(draft)]
    assert ["create", "delete", "restore", "delete", "create"] == operations


async def test_revert_beside_an_expression(engine: AndamiosEngine) -> None:
    """What the database works out is nothing to write."""
    letters = AuditedRepository[HistLetter](engine)
    letter = await letters.create(HistLetter(text="a"))
    await letters.update_where({"text": "a"}, {"text": "bb"})
    assert "a" == (await letters.revert(letter, 1)).text


@pytest.mark.parametrize("is_whole", [True, False])
async def test_insert_that_returns(engine: AndamiosEngine, *, is_whole: bool) -> None:
    """Entities and expressions come back as they were asked for, and are recorded."""
    if engine.backend == "mysql":
        pytest.skip("MySQL has no RETURNING")
    wanted = [HistLetter, HistLetter.text] if is_whole else [func.upper(HistLetter.text)]
    async with engine.session() as session:
        statement = insert(HistLetter).returning(*wanted)
        rows = (await session.execute(statement, [{"text": "a"}, {"text": "b"}])).all()
        assert ["a", "b"] == [row[-1].lower() for row in rows]
        assert {len(wanted)} == {len(row) for row in rows}
        assert not is_whole or all(isinstance(row[0], HistLetter) for row in rows)
        assert 2 == await session.scalar(text("SELECT count(*) FROM hist_letter_history"))


async def test_revert_to_nothing(engine: AndamiosEngine) -> None:
    """A change that is not there, or that left no values, is refused."""
    draft = await drafts(engine).create(HistDraft(name="a"))
    await drafts(engine).delete(draft.id)
    with pytest.raises(QueryError, match="Change 2 deleted"):
        await drafts(engine).revert(draft.id, 2)
    for number in (0, 3):
        with pytest.raises(NotFoundError):
            await drafts(engine).revert(draft.id, number)


async def test_hard_deletion_in_a_flush_keeps_values(engine: AndamiosEngine) -> None:
    """What was known of the object is kept with its end."""
    async with engine.session() as session:
        draft = HistDraft(name="a")
        session.add(draft)
        await session.flush()
        await hard_delete(session, draft)
    assert "a" == (await told(drafts(engine), draft.id, "name"))[-1][2]


async def test_deletion_keeps_the_row_and_not_the_object(engine: AndamiosEngine) -> None:
    """What was changed and never stored, or never loaded, is in the history as the row had it."""
    account = await accounts(engine).create(HistAccount(owner="a", note="long", limits={"day": 1}))
    async with engine.session() as session:
        # As for a history that began later than the row.
        await session.execute(text("DELETE FROM hist_account_history"))
        found = await session.get_one(HistAccount, account.id)
        found.owner = "never"
        await session.delete(found)
    (gone,) = await accounts(engine).history(account.id)
    assert gone.before is not None
    assert ("a", "long", {"day": 1}) == tuple(
        gone.before[name] for name in ("owner", "note", "limits")
    )


async def test_deletion_of_what_is_loaded_and_changed(engine: AndamiosEngine) -> None:
    """A name that was set and not stored was never the row's."""
    room = await AuditedRepository[HistRoom](engine).create(HistRoom(name="a"))
    async with engine.session() as session:
        await session.execute(text("DELETE FROM hist_room_history"))
        found = await session.get_one(HistRoom, room.id)
        found.name = "never"
        await session.delete(found)
    assert [("delete", None, "a", None)] == await told(
        AuditedRepository[HistRoom](engine), room.id, "name"
    )


async def test_parameters_without_a_key_are_refused(engine: AndamiosEngine) -> None:
    """Rows of parameters that are no keys do not say which rows they write."""
    statement = update(HistRoom).where(HistRoom.name == bindparam("old")).values(name="b")
    async with engine.session() as session:
        with pytest.raises(QueryError, match="Give the key"):
            await session.execute(
                statement,
                [{"old": "a"}],
                execution_options={"dml_strategy": "core_only", "synchronize_session": None},
            )


def test_who_keeps_history() -> None:
    """Only models that ask for it have a second table."""
    assert keeps_history(HistAccount)
    assert not keeps_history(HistSilent)
    assert not keeps_history(int)
    assert "hist_account_history" in BaseModel.metadata.tables
    assert "hist_silent_history" not in BaseModel.metadata.tables
    with pytest.raises(ConfigurationError, match="keeps no history"):
        AuditedRepository[HistSilent]()


def test_types_are_the_same() -> None:
    """Also where a column has its type from a foreign key."""
    table, history = (BaseModel.metadata.tables[f"hist_account{end}"] for end in ("", "_history"))
    assert {c.name: str(c.type) for c in table.c} == {
        c.name: str(history.c[c.name].type) for c in table.c
    }


def test_several_tables_are_refused() -> None:
    """A model in several tables has no history."""

    class HistBase(BaseModel, DeclarativeBase):
        """A base that is gone after the test."""

    class HistUpper(AuditMixin, HistBase):
        name: Mapped[str]

    with pytest.raises(ConfigurationError, match="several tables"):

        class HistLower(HistUpper):
            __history__ = True
            id: Mapped[int] = mapped_column(ForeignKey("hist_upper.id"), primary_key=True)


@pytest.mark.isolation("own")
async def test_row_that_comes_in_between(engine: AndamiosEngine) -> None:
    """A row that begins to fit after the rows were noted is neither written nor told."""
    if engine.backend != "postgresql":
        pytest.skip("Elsewhere nobody can write such a row meanwhile")
    first = await accounts(engine).create(HistAccount(owner="a"))
    late: list[HistAccount] = []

    def interfere(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE hist_account SET") and not late:
            late.append(HistAccount(owner="a"))
            await_only(accounts(engine).create(late[0]))

    sync_engine = engine.async_engine.sync_engine
    event.listen(sync_engine, "before_cursor_execute", interfere)
    await accounts(engine).update_where({"owner": "a"}, {"owner": "b"})
    assert [("create", None, "a"), ("update", "a", "b")] == await owners(engine, first.id)
    assert [("create", None, "a")] == await owners(engine, late[0].id)
    assert "a" == (await accounts(engine).get_one(late[0].id)).owner


async def test_a_key_is_not_given_again(engine: AndamiosEngine) -> None:
    """The last row's key is not the next one's, whose history would begin with another row's."""
    rooms = AuditedRepository[HistRoom](engine)
    gone = await rooms.create(HistRoom(name="gone"))
    await rooms.hard_delete(gone.id)
    room = await rooms.create(HistRoom(name="new"))
    assert gone.id < room.id
    assert ["create"] == [change.operation for change in await rooms.history(room)]


@pytest.mark.isolation("own")
async def test_tables_of_one_model(engine: AndamiosEngine) -> None:
    """A model is created and dropped with the table of its history."""
    await engine.drop_all(HistPlace)
    await engine.create_all(HistPlace)
    rows = AuditedRepository[HistPlace](engine)
    row = await rows.create(HistPlace(row=1, number=2))
    assert 1 == len(await rows.history(row))
    await engine.drop_all(HistPlace)
    with pytest.raises(QueryError, match="hist_place_history"):
        await rows.history((1, 2))


def test_a_name_that_is_too_long() -> None:
    """A table whose history would have a name that PostgreSQL cuts is refused at once."""
    base = DeclarativeBase
    own = type("HistLongBase", (BaseModel, base), {})
    with pytest.raises(ConfigurationError, match="shorter __tablename__"):
        type(
            "HistLong",
            (AuditMixin, own),
            {"__tablename__": "y" * 56, "__history__": True, "__module__": __name__},
        )


def test_a_history_without_authors() -> None:
    """A history tells who did it, so that it is not left out in silence."""
    own = type("HistNobodyBase", (BaseModel, DeclarativeBase), {})
    members = {"__history__": True, "__module__": __name__}
    with pytest.raises(ConfigurationError, match="give it AuditMixin"):
        type("HistNobody", (own,), members)
