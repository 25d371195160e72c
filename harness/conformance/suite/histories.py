"""What was, and what a model's own methods are told."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, insert, update

from andamios import (
    AuditedRepository,
    Change,
    GenericRepository,
    NotFoundError,
    QueryError,
    acting_as,
)
from andamios.models import has_hooks, hook_failures, keeps_history
from harness.conformance.histories_models import ConformanceContract, ConformanceLetter

if TYPE_CHECKING:
    from andamios import AndamiosEngine, AsyncSession

__all__ = ["TestHistories", "TestHooks"]


def contracts(bind: Any) -> AuditedRepository[ConformanceContract]:
    """Give the repository of contracts."""
    return AuditedRepository[ConformanceContract](bind)


def letters(bind: Any) -> GenericRepository[ConformanceLetter]:
    """Give the repository of letters."""
    return GenericRepository[ConformanceLetter](bind)


def told(changes: list[Change]) -> list[tuple[str, str | None]]:
    """Give what each change was, and its title afterwards."""
    return [
        (change.operation, change.after["title"] if change.after else None) for change in changes
    ]


class TestHistories:
    """Every write leaves what was, whichever way it is made."""

    @pytest.mark.capability("history: of objects")
    async def test_objects(self, engine: AndamiosEngine) -> None:
        """Created, changed, deleted, restored: by whom, before and after."""
        repository = contracts(engine)
        with acting_as("ana"):
            contract = await repository.create(ConformanceContract(title="a"))
            contract.title = "b"
            await repository.update(contract)
        await repository.delete(contract.id)
        await repository.restore(contract.id)

        changes = await repository.history(contract)
        assert [("create", "a"), ("update", "b"), ("delete", None), ("restore", "b")] == told(
            changes
        )
        assert ["ana", "ana", None, None] == [change.by for change in changes]
        befores = [change.before and change.before["title"] for change in changes]
        assert [None, "a", "b", None] == befores
        assert keeps_history(ConformanceContract)

    @pytest.mark.capability("history: of sets of rows")
    async def test_sets(self, engine: AndamiosEngine) -> None:
        """Statements on many rows, through repositories, queries and the session."""
        repository = contracts(engine)
        await repository.create_many({"title": title} for title in "ab")
        await repository.update_where({"title": "a"}, {"title": "c"})
        async with engine.session() as session:
            await session.execute(
                update(ConformanceContract).where(ConformanceContract.title == "c").values(price=1)
            )
            await session.execute(insert(ConformanceContract), [{"title": "new"}])
            statement = delete(ConformanceContract).where(ConformanceContract.price == 1)
            await session.execute(statement)

        first, second, third = await repository.query().include_deleted().order_by("id").execute()
        assert [("create", "a"), ("update", "c"), ("update", "c"), ("delete", None)] == told(
            await repository.history(first)
        )
        assert [("create", "b")] == told(await repository.history(second))
        assert [("create", "new")] == told(await repository.history(third))

    @pytest.mark.capability("history: part of the transaction")
    async def test_rollback(self, db_session: AsyncSession) -> None:
        """What is rolled back was never."""
        contract = await contracts(db_session).create(ConformanceContract(title="a"))
        nested = await db_session.begin_nested()
        await contracts(db_session).update_where({"title": "a"}, {"title": "b"})
        await nested.rollback()

        assert [("create", "a")] == told(await contracts(db_session).history(contract))

    @pytest.mark.capability("history: as of a moment")
    async def test_as_of(self, engine: AndamiosEngine) -> None:
        """Rows as they were, filtered as they were, and not for storing."""
        repository = contracts(engine)
        contract = await repository.create(ConformanceContract(title="a", price=1))
        moment = dt.datetime.now(dt.UTC)
        await repository.update_where({"id": contract.id}, {"title": "b"})
        await repository.create(ConformanceContract(title="c", price=2))

        (was,) = await repository.as_of(moment)
        assert (contract.id, "a", 1) == (was.id, was.title, was.version)
        assert [] == await repository.as_of(moment, {"title": "b"})
        assert 1 == len(await repository.as_of(dt.datetime.now(dt.UTC), {"price__lt": 2}))
        with pytest.raises(QueryError, match="shows what was"):
            await repository.update(was)

    @pytest.mark.capability("history: back to an earlier state")
    async def test_revert(self, engine: AndamiosEngine) -> None:
        """Old values as a new change, also of what was deleted."""
        repository = contracts(engine)
        contract = await repository.create(ConformanceContract(title="a"))
        await repository.update_where({"id": contract.id}, {"title": "b"})
        await repository.delete(contract.id)

        reverted = await repository.revert(contract.id, 1)
        assert ("a", 4, False) == (reverted.title, reverted.version, reverted.is_deleted)
        with pytest.raises(QueryError, match="deleted"):
            await repository.revert(contract.id, 3)
        with pytest.raises(NotFoundError):
            await repository.revert(contract.id, 9)


class TestHooks:
    """A model's own methods are called around its writes."""

    @pytest.mark.capability("hooks: around create, update and delete")
    async def test_calls(self, engine: AndamiosEngine) -> None:
        """In order, awaited, after COMMIT once."""
        async with engine.session() as session:
            letter = await letters(session).create(ConformanceLetter(text=" a "))
            assert "a" == letter.text
            letter.text = " b "
            await session.flush()
            await session.delete(letter)
        assert [
            *("before_create", "after_create", "before_update", "after_update"),
            *("before_delete", "after_delete", "after_commit"),
        ] == letter.called
        assert {} == {name: n for name, n in hook_failures().items() if "Letter" in name}

    @pytest.mark.capability("hooks: after a load")
    async def test_load(self, engine: AndamiosEngine) -> None:
        """An object from the database is told so."""
        letter = await letters(engine).create(ConformanceLetter(text="a"))
        assert ["after_load"] == (await letters(engine).get_one(letter.id)).called

    @pytest.mark.capability("hooks: refuse a write")
    async def test_refusal(self, db_session: AsyncSession) -> None:
        """What a hook raises refuses the write, and the transaction goes on."""
        letter = await letters(db_session).create(ConformanceLetter(text="stays"))
        with pytest.raises(LookupError, match="this one stays"):
            await letters(db_session).delete(letter.id)
        assert await letters(db_session).exists({"text": "stays"})

    @pytest.mark.capability("hooks: of many objects, not of sets of rows")
    async def test_many(self, db_session: AsyncSession) -> None:
        """create_many makes objects for them; statements on sets of rows call none."""
        assert has_hooks(ConformanceLetter)
        await letters(db_session).create_many([{"text": " a "}])
        await letters(db_session).update_where({"text": "a"}, {"text": " b "})
        assert [" b "] == [letter.text for letter in await letters(db_session).list()]
