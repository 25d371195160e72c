"""The order of results, and pages of them."""

import random
from contextlib import aclosing

import pytest
import pytest_asyncio

from andamios import AndamiosEngine, AsyncSession, GenericRepository, QueryBuilder, QueryError
from harness.conformance.models import ConformanceValue
from harness.conformance.rows import labels, values

__all__ = ["TestOrder", "TestPages", "TestStreams"]

Query = QueryBuilder[ConformanceValue]
WHOLE, RATIO = ConformanceValue.whole, ConformanceValue.ratio

ORDERS = {
    "ascending": ("whole",),
    "descending": ("-whole",),
    "nulls first": (WHOLE.asc().nulls_first(),),
    "nulls last": (WHOLE.desc().nulls_last(),),
    "mixed": ("whole", "-ratio"),
    "mixed with nulls": (WHOLE.desc().nulls_last(), RATIO.asc().nulls_first()),
    "by key": ("-id",),
    "unordered": (),
}


class TestOrder:
    """NULL is the largest value on every backend."""

    @pytest.mark.capability("order: NULLs have one place")
    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            ("whole", "abn"),
            ("-whole", "nba"),
            (WHOLE.asc().nulls_first(), "nab"),
            (WHOLE.desc().nulls_last(), "ban"),
        ],
    )
    async def test_nulls(self, db_session: AsyncSession, order: object, expected: str) -> None:
        """Last when ascending, first when descending, unless asked otherwise."""
        rows = [("b", 2), ("n", None), ("a", -1)]
        await values(db_session, *({"label": label, "whole": whole} for label, whole in rows))

        assert list(expected) == await labels(db_session, None, order)

    @pytest.mark.capability("order: limit and offset")
    async def test_slices(self, db_session: AsyncSession) -> None:
        """A limit and an offset take a slice; an offset alone gives the rest."""
        await values(db_session, *({"label": label} for label in "edcba"))
        query = QueryBuilder(ConformanceValue, db_session).order_by("label")

        assert ["b", "c"] == [v.label for v in await query.offset(1).limit(2).execute()]
        assert ["d", "e"] == [v.label for v in await query.offset(3).execute()]
        assert [] == await query.limit(0).execute()


class TestPages:
    """Pages by number and by cursor, over rows with ties and NULLs."""

    @pytest_asyncio.fixture
    async def query(self, db_session: AsyncSession) -> Query:
        """A query on 23 rows, many of which are equal in what they are ordered by."""
        dice = random.Random(7)  # noqa: S311  nothing secret
        choices = [None, 0, 1, 2]
        rows = [{"whole": dice.choice(choices), "ratio": dice.choice(choices)} for _ in range(23)]
        await values(db_session, *rows)
        return QueryBuilder(ConformanceValue, db_session)

    @pytest.mark.capability("pages: by number")
    async def test_numbers(self, query: Query) -> None:
        """Every row is on one page, and every page knows the total."""
        pages = [await query.order_by("whole").page(number, size=5) for number in range(1, 7)]
        seen = [value.id for page in pages for value in page.items]

        assert [5, 5, 5, 5, 3, 0] == [len(page.items) for page in pages]
        assert {23} == {page.total for page in pages}
        assert 23 == len(set(seen))

    @pytest.mark.capability("pages: by cursor, with ties, NULLs and mixed directions")
    @pytest.mark.parametrize("order", ORDERS)
    async def test_cursors(self, query: Query, order: str) -> None:
        """Pages forwards give all rows in order, and pages backwards the same ones."""
        ordered = query.order_by(*ORDERS[order])
        whole = [value.id for value in (await ordered.page(1, size=100)).items]
        forwards, cursor = [], None
        while True:
            page = await ordered.page_after(cursor, size=4)
            forwards.append([value.id for value in page.items])
            if page.next is None:
                break
            cursor = page.next
        backwards = [forwards[-1]]
        while page.previous is not None:
            page = await ordered.page_after(page.previous, size=4)
            backwards.insert(0, [value.id for value in page.items])

        assert whole == [key for keys in forwards for key in keys]
        assert forwards == backwards

    @pytest.mark.capability("pages: rows that come and go between pages")
    async def test_changes(self, query: Query, db_session: AsyncSession) -> None:
        """A row deleted before the cursor shifts nothing; one added behind it is seen."""
        ordered = query.order_by("id")
        first = await ordered.page_after(size=10)
        repository = GenericRepository[ConformanceValue](db_session)
        await repository.delete(first.items[0].id)
        added = await repository.create(ConformanceValue(label="late"))
        second = await ordered.page_after(first.next, size=100)

        assert first.items[-1].id + 1 == second.items[0].id
        assert added.id == second.items[-1].id
        assert None is second.next

    @pytest.mark.capability("pages: a changed cursor is refused")
    async def test_tampering(self, query: Query) -> None:
        """A cursor is good for its own query, as it was given."""
        cursor = (await query.order_by("whole").page_after(size=5)).next
        assert cursor is not None
        for wrong, order in [(cursor[:-2], "whole"), (cursor, "-whole"), ("", "whole")]:
            with pytest.raises(QueryError):
                await query.order_by(order).page_after(wrong, size=5)


class TestStreams:
    """Results one by one."""

    @pytest.mark.capability("streams: in batches, and left early")
    async def test_stream(self, engine: AndamiosEngine) -> None:
        """A stream gives every row in order, and may be left in the middle."""
        repository = GenericRepository[ConformanceValue](engine)
        await repository.create_many({"whole": number} for number in range(50))
        query = repository.query().order_by("whole")
        everything = [value.whole async for value in query.stream(batch=7)]
        async with aclosing(query.stream(batch=7)) as stream:
            async for value in stream:
                if value.whole == 10:
                    break

        assert list(range(50)) == everything
        assert 50 == await repository.count()
