"""What models add to rows: soft deletion, versions, times and authors."""

import asyncio

import pytest
import sqlalchemy as sa

from andamios import (
    AndamiosEngine,
    AsyncSession,
    GenericRepository,
    QueryBuilder,
    StaleVersionError,
    acting_as,
)
from harness.conformance.models import (
    ConformanceDraft,
    ConformanceInvoice,
    ConformanceRemark,
    ConformanceSeat,
)

__all__ = ["TestSoftDelete", "TestStamps", "TestVersions"]


class TestSoftDelete:
    """Deleted rows are marked, and invisible."""

    @pytest.mark.capability("soft delete: invisible everywhere")
    async def test_invisible(self, db_session: AsyncSession) -> None:
        """Not found by key, in lists, counts, pages, streams, and relationship filters."""
        drafts = GenericRepository[ConformanceDraft](db_session)
        kept, gone = await drafts.create_many(
            [{"title": "kept"}, {"title": "gone"}], returning="entities"
        )
        assert await drafts.delete(gone.id)
        streamed = [draft.title async for draft in drafts.stream()]

        assert None is await drafts.get_by_id(gone.id)
        assert [kept] == await drafts.list() == (await drafts.page()).items
        assert [kept] == (await drafts.page_after()).items
        assert ["kept"] == streamed
        assert (1, False) == (await drafts.count(), await drafts.exists({"title": "gone"}))
        assert 1 == await drafts.update_where({"id__gt": 0}, {"title": "new"})

    @pytest.mark.capability("soft delete: set-based and by the session")
    async def test_ways(self, db_session: AsyncSession) -> None:
        """Every way to delete marks the row."""
        drafts = GenericRepository[ConformanceDraft](db_session)
        first, _ = await drafts.create_many([{"title": "a"}, {"title": "b"}], returning="entities")
        await db_session.delete(first)
        assert 1 == await drafts.delete_where({"title": "b"})
        found = await drafts.query().include_deleted().order_by("title").execute()

        assert 0 == await drafts.count()
        assert ["a", "b"] == [draft.title for draft in found]
        assert all(draft.is_deleted for draft in found)

    @pytest.mark.capability("soft delete: restore and delete for good")
    async def test_restore(self, db_session: AsyncSession) -> None:
        """A marked row comes back once, or goes for good."""
        drafts = GenericRepository[ConformanceDraft](db_session)
        draft = await drafts.create(ConformanceDraft(title="a"))
        await drafts.delete(draft.id)

        assert await drafts.restore(draft.id)
        assert not await drafts.restore(draft.id)
        assert 1 == await drafts.count()
        assert await drafts.hard_delete(draft.id)
        assert 0 == await drafts.query().include_deleted().count()

    @pytest.mark.capability("soft delete: through relationships")
    async def test_relationships(self, db_session: AsyncSession) -> None:
        """Children go with their parent, and are invisible to joins and loads."""
        drafts = GenericRepository[ConformanceDraft](db_session)
        draft = ConformanceDraft(title="a", remarks=[ConformanceRemark(text="x")])
        draft.remarks.append(ConformanceRemark(text="y"))
        await drafts.create(draft)
        await GenericRepository[ConformanceRemark](db_session).delete(draft.remarks[0].id)
        db_session.expunge_all()
        found = await drafts.query().load(ConformanceDraft.remarks).one()

        assert ["y"] == [remark.text for remark in found.remarks]
        assert [] == await drafts.list({"remarks.text": "x"})
        await drafts.delete(found.id)
        assert 0 == await QueryBuilder(ConformanceRemark, db_session).count()
        assert 2 == await QueryBuilder(ConformanceRemark, db_session).include_deleted().count()


class TestVersions:
    """Whoever read an older version loses."""

    @pytest.mark.capability("versions: the second writer loses")
    async def test_stale(self, engine: AndamiosEngine) -> None:
        """The error tells both versions, and the row keeps the first writer's value."""
        seats = GenericRepository[ConformanceSeat](engine)
        first = await seats.create(ConformanceSeat(holder="nobody"))
        second = await seats.get_one(first.id)
        first.holder, second.holder = "Ana", "Beto"
        await seats.update(first)
        with pytest.raises(StaleVersionError) as caught:
            await seats.update(second)
        found = await seats.get_one(first.id)

        assert (1, 2) == (caught.value.expected, caught.value.actual)
        assert ("Ana", 2) == (found.holder, found.version)

    @pytest.mark.capability("versions: the second writer loses")
    async def test_gone(self, engine: AndamiosEngine) -> None:
        """A row that was deleted meanwhile has no version."""
        seats = GenericRepository[ConformanceSeat](engine)
        seat = await seats.create(ConformanceSeat(holder="nobody"))
        async with engine.session() as session:
            mine = await GenericRepository[ConformanceSeat](session).get_one(seat.id)
            await session.execute(sa.text("DELETE FROM conformance_seat"))
            mine.holder = "Ana"
            with pytest.raises(StaleVersionError) as caught:
                await GenericRepository[ConformanceSeat](session).update(mine)

        assert (1, None) == (caught.value.expected, caught.value.actual)

    @pytest.mark.capability("versions: counted by set-based writes")
    async def test_update_where(self, engine: AndamiosEngine) -> None:
        """A mass update counts as a writer like any other."""
        seats = GenericRepository[ConformanceSeat](engine)
        seat = await seats.create(ConformanceSeat(holder="nobody"))
        assert 1 == await seats.update_where({"id": seat.id}, {"holder": "Ana"})
        seat.holder = "Beto"
        with pytest.raises(StaleVersionError):
            await seats.update(seat)

    @pytest.mark.capability("versions: compared in update_many")
    async def test_update_many(self, engine: AndamiosEngine) -> None:
        """A version among the values is compared, and nothing is stored if one differs."""
        seats = GenericRepository[ConformanceSeat](engine)
        first, second = await seats.create_many(
            [{"holder": "a"}, {"holder": "b"}], returning="entities"
        )
        rows = [
            {"id": first.id, "holder": "new", "version": 1},
            {"id": second.id, "holder": "new", "version": 7},
        ]
        with pytest.raises(StaleVersionError):
            await seats.update_many(rows)

        assert 0 == await seats.count({"holder": "new"})


class TestStamps:
    """When and by whom a row was written."""

    @pytest.mark.capability("stamps: created and updated")
    async def test_times(self, db_session: AsyncSession) -> None:
        """An update moves one of the two times, a mass update and a bulk one too."""
        invoices = GenericRepository[ConformanceInvoice](db_session)
        keys = await invoices.create_many(
            [{"total": 1}, {"total": 2}, {"total": 3}], returning="keys"
        )
        await asyncio.sleep(0.001)
        first = await invoices.get_one(keys[0])
        first.total = 10
        await invoices.update(first)
        await invoices.update_where({"id": keys[1]}, {"total": 20})
        await invoices.update_many([{"id": keys[2], "total": 30}])
        db_session.expunge_all()
        found = await invoices.list()

        assert 3 == len(found)
        assert all(invoice.created_at < invoice.updated_at for invoice in found)

    @pytest.mark.capability("stamps: authors")
    async def test_authors(self, db_session: AsyncSession) -> None:
        """Rows name who created and who changed them, by whatever way."""
        invoices = GenericRepository[ConformanceInvoice](db_session)
        with acting_as("ana"):
            keys = await invoices.create_many([{"total": 1}, {"total": 2}], returning="keys")
        with acting_as("beto"):
            await invoices.update_where({"id": keys[0]}, {"total": 10})
        db_session.expunge_all()
        first, second = await invoices.get_many(keys)

        assert ("ana", "beto") == (first.created_by, first.updated_by)
        assert ("ana", "ana") == (second.created_by, second.updated_by)
