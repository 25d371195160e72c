"""Every word of the query builder, and every way to end a query."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pydantic
import pytest
import pytest_asyncio
from sqlalchemy import func

from andamios import (
    AndamiosEngine,
    AsyncSession,
    ConfigurationError,
    DataError,
    FilterBuilder,
    MultipleFoundError,
    NotFoundError,
    QueryBuilder,
    UnknownFieldError,
    UnscopedWriteError,
)
from harness.conformance.models import ConformanceAuthor, ConformanceBook
from harness.conformance.rows import authors_with_books

__all__ = ["TestBuilders", "TestEnds", "TestPeers", "TestSetWrites", "TestShapes"]

Query = QueryBuilder[ConformanceAuthor]


class WithAuthors:
    """Tests with three authors, of whom Ana has two books, Beto one, and Carla none."""

    @pytest_asyncio.fixture
    async def authors(self, db_session: AsyncSession) -> Query:
        """A query on the authors."""
        await authors_with_books(db_session)
        return QueryBuilder(ConformanceAuthor, db_session)


class TestEnds(WithAuthors):
    """One result, a number, or whether there is any."""

    @pytest.mark.capability("queries: the first, the only one, or none")
    async def test_one(self, authors: Query) -> None:
        """The first in order; the only one, of which there may be none or too many."""
        ana = await authors.filter_by(name="Ana").one_or_none()
        last = await authors.order_by("-name").first()

        assert ana is await authors.filter(ConformanceAuthor.age > 30).one()
        assert last is not None
        assert "Carla" == last.name
        assert None is await authors.filter_by(name="Dora").first()
        assert None is await authors.filter_by(name="Dora").one_or_none()
        with pytest.raises(NotFoundError):
            await authors.filter_by(name="Dora").one()
        for end in (authors.one, authors.one_or_none):
            with pytest.raises(MultipleFoundError):
                await end()

    @pytest.mark.capability("queries: the first, the only one, or none")
    async def test_one_of_a_join(self, authors: Query) -> None:
        """An author with two books is one author."""
        joined = authors.join(ConformanceAuthor.books).filter_by(name="Ana")

        assert "Ana" == (await joined.one()).name
        assert "Ana" == await joined.only("name").distinct().scalar()

    @pytest.mark.capability("queries: count and exists")
    async def test_count(self, authors: Query) -> None:
        """They see what execute would give, groups and slices included."""
        grouped = authors.join(ConformanceAuthor.books).group_by("name")

        assert [True, False] == [
            await authors.filter_by(name=name).exists() for name in ("Ana", "Dora")
        ]
        assert [3, 2, 1, 0] == [
            await query.count()
            for query in (authors, authors.limit(2), authors.offset(2), authors.limit(0))
        ]
        assert 2 == await grouped.count()
        assert await grouped.having(func.count() > 1).exists()
        assert not await grouped.having(func.count() > 2).exists()
        assert not await authors.offset(3).exists()

    @pytest.mark.capability("queries: lock what is read")
    @pytest.mark.parametrize("how", [{}, {"skip_locked": True}, {"nowait": True}, {"share": True}])
    async def test_for_update(
        self, authors: Query, engine: AndamiosEngine, how: dict[str, bool]
    ) -> None:
        """Each kind of lock can be asked for, also of a join; an engine has nothing to hold it."""
        joined = authors.join(ConformanceAuthor.profile)

        assert 3 == len(await authors.for_update(**how).execute())
        assert ["Ana"] == [author.name for author in await joined.for_update(**how).execute()]
        with pytest.raises(ConfigurationError):
            await QueryBuilder(ConformanceAuthor, engine).for_update(**how).execute()

    @pytest.mark.capability("queries: SQL and plan")
    async def test_explain(self, authors: Query) -> None:
        """Whoever asks gets the statement without values, and the plan with the table in it."""
        query = authors.filter_by(name="Ana").order_by("age").limit(1)
        tables = {node.table for node in (await query.explain()).walk()}

        assert "conformance_author" in query.to_sql()
        assert "Ana" not in query.to_sql()
        assert "conformance_author" in tables

    @pytest.mark.isolation("committing")
    @pytest.mark.capability("queries: the short way to the driver")
    async def test_explain_path(self, engine: AndamiosEngine, authors: Query) -> None:
        """A query tells which way it takes, and why it has to take the long one."""
        alone = QueryBuilder(ConformanceAuthor, engine)
        locking = str(authors.for_update().explain_path())

        assert "the short way" == str(alone.order_by("name").limit(3).explain_path())
        assert "the long way, since it locks rows" == locking

    @pytest.mark.capability("queries: an expression of SQLAlchemy")
    async def test_statement(self, authors: Query, db_session: AsyncSession) -> None:
        """What the builder has no word for goes on from its statement."""
        named = authors.filter(ConformanceAuthor.age.is_not(None)).order_by("name")
        place = func.row_number().over(order_by=ConformanceAuthor.age)
        rows = await db_session.execute(named.statement().add_columns(place))

        assert [("Ana", 2), ("Beto", 1)] == [(author.name, number) for author, number in rows]


class AuthorCard(pydantic.BaseModel):
    """Some columns of an author, one under another name, and a field of its own."""

    called: str = pydantic.Field(alias="name")
    age: int | None
    colour: str = "grey"


class BookCard(pydantic.BaseModel):
    """A column of a book."""

    title: str


class Shelf(pydantic.BaseModel):
    """An author's name with a card for each book."""

    name: str
    books: list[BookCard]


class Unfit(pydantic.BaseModel):
    """It requires what an author does not have."""

    wingspan: int


class TestShapes(WithAuthors):
    """Results that are no objects of the model."""

    @pytest.mark.capability("shapes: dicts")
    async def test_dicts(self, authors: Query) -> None:
        """Dicts of all columns, of some, or of what was computed."""
        query = authors.filter_by(name="Ana")
        (whole,) = await query.as_dicts()
        total = func.count().label("total")

        assert {"id", "name", "age", "city"} == whole.keys()
        assert ("Ana", 40, "Lima") == (whole["name"], whole["age"], whole["city"])
        assert [{"name": "Ana"}] == await query.only("name").as_dicts()
        assert [{"total": 3}] == await authors.only(total).as_dicts()

    @pytest.mark.capability("shapes: pydantic models")
    async def test_models(self, authors: Query) -> None:
        """Models of columns, and of relationships, which are loaded along."""
        cards = await authors.order_by("name").as_models(AuthorCard)
        shelves = await authors.order_by("name").limit(2).as_models(Shelf)

        assert [("Ana", 40), ("Beto", 30), ("Carla", None)] == [(c.called, c.age) for c in cards]
        assert {"grey"} == {card.colour for card in cards}
        assert [("Ana", ["Bridges", "Rivers"]), ("Beto", ["Salt"])] == [
            (shelf.name, [book.title for book in shelf.books]) for shelf in shelves
        ]

    @pytest.mark.capability("shapes: pydantic models")
    async def test_unfit(self, authors: Query) -> None:
        """What the model does not have is refused before anything is sent."""
        with pytest.raises(UnknownFieldError, match="wingspan"):
            await authors.as_models(Unfit)


class TestSetWrites(WithAuthors):
    """Writes that a query ends with."""

    @pytest.mark.capability("queries: update and delete what fits")
    async def test_writes(self, authors: Query) -> None:
        """They count the rows that fit, see other tables, and leave the rest."""
        readers = authors.filter({"books.title": "Salt"})
        grown = authors.filter(ConformanceAuthor.age >= 30)

        assert 2 == await grown.update({"age": ConformanceAuthor.age + 1})
        assert 1 == await readers.update({"city": "Puno"})
        assert 1 == await authors.filter_by(age=None).delete()
        assert [("Ana", 41, "Lima"), ("Beto", 31, "Puno")] == [
            tuple(row)
            for row in await authors.only("name", "age", "city").order_by("name").execute()
        ]

    @pytest.mark.capability("queries: update and delete what fits")
    async def test_unscoped(self, authors: Query, db_session: AsyncSession) -> None:
        """Without a condition, every row has to be meant."""
        books = QueryBuilder(ConformanceBook, db_session)
        with pytest.raises(UnscopedWriteError):
            await authors.update({"age": 1})
        with pytest.raises(UnscopedWriteError):
            await books.delete()

        assert 3 == await authors.unscoped().update({"age": 1})
        assert 3 == await books.unscoped().delete()
        assert (3, 0) == (await authors.filter_by(age=1).count(), await books.count())


BUILT: list[tuple[Callable[[FilterBuilder], FilterBuilder], str]] = [
    (lambda f: f.eq("age", 40), "A"),
    (lambda f: f.eq("age", None), "C"),
    (lambda f: f.ne("age", 40), "B"),
    (lambda f: f.lt("age", 40), "B"),
    (lambda f: f.le("age", 40), "AB"),
    (lambda f: f.gt("age", 30), "A"),
    (lambda f: f.ge("age", 30), "AB"),
    (lambda f: f.in_("name", ["Beto", "Carla", "Dora"]), "BC"),
    (lambda f: f.not_in("name", ["Beto"]), "AC"),
    (lambda f: f.between("age", 30, 39), "B"),
    (lambda f: f.like("name", "%r_a"), "C"),
    (lambda f: f.ilike("name", "%A"), "AC"),
    (lambda f: f.contains("name", "ET"), ""),
    (lambda f: f.contains("name", "ET", ignore_case=True), "B"),
    (lambda f: f.startswith("name", "be"), ""),
    (lambda f: f.startswith("name", "be", ignore_case=True), "B"),
    (lambda f: f.endswith("name", "A"), ""),
    (lambda f: f.endswith("name", "A", ignore_case=True), "AC"),
    (lambda f: f.is_null("city"), "C"),
    (lambda f: f.is_null("city", value=False), "AB"),
    (lambda f: f.from_dict({"age__ge": 30, "books.pages__lt": 200}), "A"),
    (lambda f: f.ge("age", 30).startswith("city", "C"), "B"),
    (lambda f: f.and_({"age__ge": 30}, {"city": "Lima"}), "A"),
    (lambda f: f.or_({"age": 40}, {"books__is_null": True}), "AC"),
    (lambda f: f.not_({"age": 40}), "BC"),
]


class TestBuilders(WithAuthors):
    """Filters step by step, and from the query string of a URL."""

    @pytest.mark.capability("filters: methods of a builder")
    async def test_methods(self, authors: Query) -> None:
        """Each condition alone, and several that must all hold."""
        found = [
            "".join(a.name[0] for a in await authors.filter(built).order_by("name").execute())
            for built in (build(FilterBuilder(ConformanceAuthor)) for build, _ in BUILT)
        ]

        assert [expected for _, expected in BUILT] == found

    @pytest.mark.capability("filters: the query string of a URL")
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("age__gte=30", "AB"),
            ("age__gte=30&books.title=Salt", "B"),
            ("name__in=Ana&name__in=Carla", "AC"),
            ("city__is_null=true&page=2", "C"),
            ("", "ABC"),
        ],
    )
    async def test_params(self, authors: Query, query: str, expected: str) -> None:
        """Texts become values of their columns."""
        offered = ("age__gte", "books.title", "name__in", "city__is_null")
        filters = FilterBuilder(ConformanceAuthor)
        filters.from_query_params(query, *offered, ignore=("page",))
        found = await authors.filter(filters).order_by("name").execute()

        assert list(expected) == [author.name[0] for author in found]

    @pytest.mark.capability("filters: the query string of a URL")
    async def test_refused_params(self, authors: Query) -> None:
        """What is not offered, or no value of its column, is refused, and changes nothing."""
        filters = FilterBuilder(ConformanceAuthor)
        with pytest.raises(UnknownFieldError):
            filters.from_query_params("city=Lima", "age")
        with pytest.raises(DataError):
            filters.from_query_params("age=old", "age")

        assert 3 == await authors.filter(filters).count()


class TestPeers(WithAuthors):
    """Loading for all objects of a result what one of them needs."""

    @pytest.mark.capability("loading: for all objects of a result")
    async def test_peers(
        self, authors: Query, max_queries: Callable[[int], AbstractContextManager[Any]]
    ) -> None:
        """One await on one author loads the books of all."""
        ana, beto, carla = await authors.order_by("name").execute()
        with max_queries(2):
            await beto.load(ConformanceAuthor.books, peers=True)

        assert [2, 1, 0] == [len(author.books) for author in (ana, beto, carla)]
        assert "Ana" == ana.to_dict()["name"]
