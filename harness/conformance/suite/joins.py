"""Joins, eager loading, and aggregates over them."""

import decimal

import pytest
import pytest_asyncio
from sqlalchemy import func
from sqlalchemy.orm import aliased

from andamios import AsyncSession, LazyLoadError, QueryBuilder
from harness.conformance.models import ConformanceAuthor, ConformanceBook
from harness.conformance.rows import authors_with_books

__all__ = ["TestAggregates", "TestJoins", "TestLoading"]


class WithAuthors:
    """Tests with three authors, of whom Ana has two books, Beto one, and Carla none."""

    @pytest_asyncio.fixture
    async def authors(self, db_session: AsyncSession) -> QueryBuilder[ConformanceAuthor]:
        """A query on the authors."""
        await authors_with_books(db_session)
        return QueryBuilder(ConformanceAuthor, db_session)


def names(authors: list[ConformanceAuthor]) -> list[str]:
    """Give their names."""
    return [author.name for author in authors]


class TestJoins(WithAuthors):
    """Reading several tables together."""

    @pytest.mark.capability("joins: inner and outer")
    async def test_inner(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """A join keeps who has a row there, once each, also when several fit."""
        joined = authors.join(ConformanceAuthor.books).order_by("name")

        assert ["Ana", "Beto"] == names(await joined.execute())
        assert 2 == await joined.count()

    @pytest.mark.capability("joins: inner and outer")
    async def test_outer(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """An outer join keeps everybody; who has nothing is found by NULL."""
        joined = authors.outerjoin(ConformanceAuthor.books)
        without = joined.filter(ConformanceBook.id.is_(None))

        assert 3 == await joined.count()
        assert ["Carla"] == names(await without.execute())

    @pytest.mark.capability("joins: limits and pages count parents")
    async def test_limit(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """A limit on a join over a collection counts authors, not books."""
        joined = authors.join(ConformanceAuthor.books).order_by("name")
        page = await joined.page(1, size=1)

        assert ["Ana", "Beto"] == names(await joined.limit(2).execute())
        assert (2, ["Ana"]) == (page.total, names(page.items))

    @pytest.mark.capability("joins: order by the other table")
    async def test_order(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """Of several joined rows the first in order places the parent."""
        joined = authors.join(ConformanceAuthor.books)

        assert ["Ana", "Beto"] == names(await joined.order_by(ConformanceBook.price).execute())
        assert ["Beto", "Ana"] == names(
            await joined.order_by(ConformanceBook.price.desc()).execute()
        )

    @pytest.mark.capability("joins: columns of both tables")
    async def test_columns(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """Columns of both sides come as rows, one for each pair."""
        query = authors.join(ConformanceAuthor.books).only("name", ConformanceBook.title)
        rows = await query.order_by(ConformanceBook.title).execute()

        assert [("Ana", "Bridges"), ("Ana", "Rivers"), ("Beto", "Salt")] == [tuple(r) for r in rows]

    @pytest.mark.capability("joins: a table with itself")
    async def test_self(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """A model is joined with itself under another name."""
        younger = aliased(ConformanceAuthor)
        query = authors.join(younger, younger.age < ConformanceAuthor.age).only(
            "name", younger.name
        )

        assert [("Ana", "Beto")] == [tuple(row) for row in await query.execute()]


class TestLoading(WithAuthors):
    """Relationships that come with the objects."""

    @pytest.mark.capability("loading: every strategy gives the same")
    @pytest.mark.parametrize("strategy", [None, "selectin", "joined", "subquery", "immediate"])
    async def test_strategies(
        self, authors: QueryBuilder[ConformanceAuthor], strategy: str | None
    ) -> None:
        """Collections and single objects are there, empty ones too, whatever the limit."""
        loaded = authors.load(ConformanceAuthor.books, ConformanceAuthor.profile, strategy=strategy)
        ana, beto, carla = await loaded.order_by("name").limit(3).execute()

        assert ["Bridges", "Rivers"] == [book.title for book in ana.books]
        assert ["Salt"] == [book.title for book in beto.books]
        assert [] == carla.books
        assert ana.profile is not None
        assert ("onwards", None) == (ana.profile.motto, carla.profile)

    @pytest.mark.capability("loading: later, and by name")
    async def test_later(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """What is not loaded says so, and is loaded on request."""
        ana = await authors.filter_by(name="Ana").one()
        with pytest.raises(LazyLoadError) as caught:
            _ = ana.books
        await ana.load(ConformanceAuthor.books)

        assert ("ConformanceAuthor", "books") == (caught.value.model, caught.value.attribute)
        assert 2 == len(ana.books)


class TestAggregates(WithAuthors):
    """Values over groups of rows."""

    @pytest.mark.capability("aggregates: of everything")
    async def test_totals(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """Count, sum, min and max leave NULLs out."""
        query = authors.aggregate(
            rows=func.count(),
            ages=func.count(ConformanceAuthor.age),
            total=func.sum(ConformanceAuthor.age),
            least=func.min(ConformanceAuthor.age),
        )

        assert (3, 2, 70, 30) == tuple(await query.one())

    @pytest.mark.capability("aggregates: of nothing")
    async def test_nothing(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """The sum of no rows is NULL, and their number 0."""
        query = authors.filter_by(age=1).aggregate(
            rows=func.count(), total=func.sum(ConformanceAuthor.age)
        )

        assert (0, None) == tuple(await query.one())

    @pytest.mark.capability("aggregates: by group")
    async def test_groups(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """Groups are ordered by what was computed; an exact sum stays exact."""
        query = (
            authors.join(ConformanceAuthor.books)
            .group_by("name")
            .aggregate(books=func.count(), price=func.sum(ConformanceBook.price))
            .order_by("-books")
        )

        assert [("Ana", 2, decimal.Decimal(30)), ("Beto", 1, decimal.Decimal(30))] == [
            tuple(row) for row in await query.execute()
        ]

    @pytest.mark.capability("aggregates: having")
    async def test_having(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """Groups are chosen by what was computed, and objects by their joined rows."""
        joined = authors.join(ConformanceAuthor.books)
        groups = joined.group_by("name").having(func.count() > 1)
        objects = joined.having(func.count(ConformanceBook.id) > 1)

        assert [("Ana",)] == [tuple(row) for row in await groups.execute()]
        assert ["Ana"] == names(await objects.execute())

    @pytest.mark.capability("aggregates: distinct")
    async def test_distinct(self, authors: QueryBuilder[ConformanceAuthor]) -> None:
        """Equal rows are given once."""
        query = authors.join(ConformanceAuthor.books).only("name").distinct().order_by("name")

        assert ["Ana", "Beto"] == [row.name for row in await query.execute()]
        assert 2 == await query.count()
