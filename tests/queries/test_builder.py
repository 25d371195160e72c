"""The query builder: what each word does, and each way to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import ForeignKey, desc, func
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    mapped_column,
    relationship,
    selectinload,
)

from andamios import (
    BaseModel,
    ConfigurationError,
    LazyLoadError,
    MultipleFoundError,
    NotFoundError,
    QueryBuilder,
    QueryError,
    UnknownFieldError,
)

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class BuilderCity(BaseModel):
    name: Mapped[str]


class BuilderAuthor(BaseModel):
    name: Mapped[str]
    born: Mapped[int | None]
    is_active: Mapped[bool] = mapped_column(default=True)
    notes: Mapped[dict[str, Any] | None]
    secret: Mapped[str | None] = mapped_column(deferred=True)
    city_id: Mapped[int | None] = mapped_column(ForeignKey("builder_city.id"))
    city: Mapped[BuilderCity | None] = relationship()
    books: Mapped[list[BuilderBook]] = relationship(back_populates="author")


class BuilderBook(BaseModel):
    title: Mapped[str]
    pages: Mapped[int]
    author_id: Mapped[int] = mapped_column(ForeignKey("builder_author.id"))
    author: Mapped[BuilderAuthor] = relationship(back_populates="books")
    reviews: Mapped[list[BuilderReview]] = relationship()


class BuilderReview(BaseModel):
    stars: Mapped[int]
    book_id: Mapped[int] = mapped_column(ForeignKey("builder_book.id"))


@pytest.fixture
async def library(engine: AndamiosEngine) -> AndamiosEngine:
    """Four authors with 3, 2, 1 and 0 books."""
    async with engine.session() as session:
        lima, cusco = BuilderCity(name="Lima"), BuilderCity(name="Cusco")
        for number, (name, city) in enumerate(
            [("Ana", lima), ("Blas", cusco), ("Ciro", lima), ("Dina", None)]
        ):
            books = [
                BuilderBook(
                    title=f"{name} {count}", pages=100 * count, reviews=[BuilderReview(stars=count)]
                )
                for count in range(1, 4 - number)
            ]
            born = None if name == "Ciro" else 1900 + number
            notes = {"shelf": number}
            session.add(BuilderAuthor(name=name, born=born, city=city, books=books, notes=notes))
            await session.flush()
    return engine


def names(results: list[Any]) -> list[str]:
    return [item.name for item in results]


async def test_a_step_leaves_the_old_builder_alone(library: AndamiosEngine) -> None:
    """Each step gives a new builder."""
    authors = QueryBuilder(BuilderAuthor, library).order_by("name")
    some = authors.filter(BuilderAuthor.born > 1900).limit(1)

    assert ["Blas"] == names(await some.execute())
    assert ["Ana", "Blas", "Ciro", "Dina"] == names(await authors.execute())


async def test_the_sample_of_the_design(library: AndamiosEngine) -> None:
    """The query that the documents show runs as written, on the session of the task."""
    async with library.session():
        users = await (
            QueryBuilder(BuilderAuthor)
            .filter(BuilderAuthor.born >= 1900)
            .filter(BuilderAuthor.is_active == True)  # noqa: E712  as the documents write it
            .join(BuilderAuthor.city)
            .order_by(BuilderAuthor.born.desc())
            .limit(10)
            .execute()
        )

    assert ["Blas", "Ana"] == names(users)


async def test_conditions(library: AndamiosEngine) -> None:
    """filter, filter_by and exclude take what they say, and all of it holds."""
    authors = QueryBuilder(BuilderAuthor, library).order_by(BuilderAuthor.id)

    assert ["Blas"] == names(
        await authors.filter(BuilderAuthor.born > 1900, {"city.name": "Cusco"}).execute()
    )
    assert ["Ana", "Blas"] == names(await authors.filter_by(name__in=["Ana", "Blas"]).execute())
    assert ["Ciro", "Dina"] == names(
        await authors.exclude({"born__lt": 1903}).filter(BuilderAuthor.is_active).execute()
    )
    with pytest.raises(QueryError, match="exclude"):
        authors.exclude({})


async def test_joins_give_each_object_once(library: AndamiosEngine) -> None:
    """A join to many does not repeat its parents, in results, counts and limits."""
    authors = QueryBuilder(BuilderAuthor, library).join(BuilderAuthor.books)

    assert ["Ana", "Blas", "Ciro"] == sorted(names(await authors.execute()))
    assert 3 == await authors.count()
    assert 2 == len(await authors.limit(2).execute())
    assert 2 == await authors.limit(2).count()
    assert 1 == await authors.offset(2).limit(5).count()
    assert ["Ana"] == names(await authors.filter(BuilderBook.pages > 200).execute())
    assert 4 == await QueryBuilder(BuilderAuthor, library).outerjoin(BuilderAuthor.books).count()


async def test_join_orders_by_the_first_of_many(library: AndamiosEngine) -> None:
    """A parent stands where the first of its rows would."""
    authors = QueryBuilder(BuilderAuthor, library).join(BuilderBook)

    assert ["Ana", "Blas", "Ciro"] == names(
        await authors.order_by(BuilderBook.pages.desc(), BuilderAuthor.name.desc()).execute()
    )
    assert ["Ciro", "Blas", "Ana"] == names(
        await authors.order_by(BuilderBook.pages, BuilderAuthor.name.desc()).execute()
    )
    assert ["Ana", "Blas"] == names(
        await authors.order_by(func.count(BuilderBook.id).desc()).limit(2).execute()
    )


@pytest.mark.parametrize("wrong", [{"join": "books"}, {"outerjoin": 3}, {"aggregate": "pages"}])
def test_neither_table_nor_expression(wrong: dict[str, Any]) -> None:
    """A name where a table or an expression belongs is refused with what to write."""
    ((method, value),) = wrong.items()
    arguments = {"total": value} if method == "aggregate" else {"target": value}

    with pytest.raises(QueryError, match="takes"):
        getattr(QueryBuilder(BuilderBook), method)(**arguments)


async def test_join_forms(library: AndamiosEngine) -> None:
    """Relationships, models with a condition, aliases and chains can be joined."""
    books = QueryBuilder(BuilderBook, library)
    other = aliased(BuilderAuthor)

    assert 3 == await books.join(BuilderBook.author).filter(BuilderAuthor.name == "Ana").count()
    assert (
        2
        == await books.join(BuilderAuthor, BuilderAuthor.id == BuilderBook.author_id)
        .filter(BuilderAuthor.name == "Blas")
        .count()
    )
    assert 1 == await books.join(other, BuilderBook.author).filter(other.name == "Ciro").count()
    assert (
        4
        == await books.join(BuilderBook.author)
        .join(BuilderAuthor.city)
        .filter(BuilderCity.name == "Lima")
        .count()
    )


async def test_having_without_groups(library: AndamiosEngine) -> None:
    """An object and its joined rows are a group."""
    authors = QueryBuilder(BuilderAuthor, library).join(BuilderAuthor.books)
    prolific = authors.having(func.count(BuilderBook.id) >= 2)

    assert ["Ana", "Blas"] == sorted(names(await prolific.execute()))
    assert 2 == await prolific.count()
    assert await prolific.exists()
    assert not await authors.having(func.count(BuilderBook.id) > 9).exists()


async def test_load(library: AndamiosEngine) -> None:
    """Relationships are loaded along, also those of loaded objects."""
    query = QueryBuilder(BuilderAuthor, library).order_by("id")
    ana = await query.load(BuilderAuthor.city, BuilderAuthor.books, BuilderBook.reviews).first()

    assert ana is not None
    assert ana.city is not None
    assert "Lima" == ana.city.name
    assert [1, 2, 3] == sorted(book.reviews[0].stars for book in ana.books)
    with pytest.raises(LazyLoadError):
        _ = ana.secret


@pytest.mark.parametrize("strategy", ["selectin", "joined", "subquery", "immediate"])
async def test_load_strategies(library: AndamiosEngine, strategy: str) -> None:
    """Every strategy gives the same objects, also below a limit."""
    query = QueryBuilder(BuilderAuthor, library).order_by(BuilderAuthor.born.desc(), "name")
    found = await query.load(BuilderAuthor.books, strategy=strategy).limit(4).execute()

    assert [1, 0, 2, 3] == [len(author.books) for author in found]


async def test_load_takes_options_and_refuses_the_rest(library: AndamiosEngine) -> None:
    """A loader option of SQLAlchemy will do; a column, an unknown strategy or a gap will not."""
    query = QueryBuilder(BuilderAuthor, library)
    found = await query.load(selectinload(BuilderAuthor.books)).filter_by(name="Ana").one()

    assert 3 == len(found.books)
    with pytest.raises(QueryError, match="relationships"):
        query.load(BuilderAuthor.name)
    with pytest.raises(ConfigurationError, match="selectin"):
        query.load(BuilderAuthor.books, strategy="select")
    with pytest.raises(QueryError, match="lead to"):
        await query.load(BuilderBook.reviews).execute()


async def test_only(library: AndamiosEngine) -> None:
    """only() gives rows of columns and expressions."""
    query = QueryBuilder(BuilderAuthor, library).order_by("name")
    rows = await query.only("name", (BuilderAuthor.born - 1900).label("age")).execute()

    assert [("Ana", 0), ("Blas", 1), ("Ciro", None), ("Dina", 3)] == [tuple(row) for row in rows]
    assert 0 == rows[0].age
    assert "Ana" == await query.only("name").scalar()
    with pytest.raises(UnknownFieldError):
        query.only("nmae")


async def test_distinct(library: AndamiosEngine) -> None:
    """distinct() gives equal rows once, and leaves objects alone."""
    query = QueryBuilder(BuilderAuthor, library).join(BuilderAuthor.city)

    assert 3 == await query.only(BuilderCity.name).count()
    assert 2 == await query.only(BuilderCity.name).distinct().count()
    assert 3 == len(await query.distinct().execute())


async def test_aggregates(library: AndamiosEngine) -> None:
    """A group gives its columns and its values, ordered by a value's name."""
    books = QueryBuilder(BuilderBook, library)
    rows = await (
        books.join(BuilderBook.author)
        .group_by(BuilderAuthor.name)
        .aggregate(count=func.count(), pages=func.sum(BuilderBook.pages))
        .having(func.count() > 1)
        .order_by("-pages")
        .execute()
    )

    assert [("Ana", 3, 600), ("Blas", 2, 300)] == [tuple(row) for row in rows]
    assert 6 == await books.aggregate(count=func.count()).scalar()
    assert 300 == (await books.aggregate(longest=func.max(BuilderBook.pages)).one()).longest
    assert 3 == await books.group_by("author_id").count()
    assert 1 == await books.group_by("author_id").limit(1).count()
    by_name = books.group_by("author_id").aggregate(n=func.count())
    assert 3 == (await by_name.order_by(desc("n")).limit(1).one()).n


async def test_one(library: AndamiosEngine) -> None:
    """one() and its kin say how many there were."""
    query = QueryBuilder(BuilderAuthor, library)
    nobody = query.filter_by(name="Nobody")

    assert "Ana" == (await query.filter_by(name="Ana").one()).name
    assert await nobody.one_or_none() is None
    assert await nobody.first() is None
    assert await nobody.scalar() is None
    with pytest.raises(NotFoundError, match="BuilderAuthor"):
        await nobody.one()
    with pytest.raises(MultipleFoundError, match="BuilderAuthor"):
        await query.one()
    with pytest.raises(MultipleFoundError):
        await query.one_or_none()


async def test_first_respects_order_and_limit(library: AndamiosEngine) -> None:
    """first() is the first in order, and of nothing there is none."""
    query = QueryBuilder(BuilderAuthor, library).order_by("-name")
    first = await query.first()

    assert first is not None
    assert "Dina" == first.name
    assert await query.limit(0).first() is None


async def test_count_and_exists(library: AndamiosEngine) -> None:
    """They agree with what execute() gives."""
    query = QueryBuilder(BuilderAuthor, library)

    assert 4 == await query.count()
    assert 4 == await query.order_by("name").count()
    assert 1 == await query.offset(3).limit(5).count()
    assert await query.exists()
    assert not await query.filter_by(name="Nobody").exists()
    assert not await query.offset(4).limit(1).exists()
    assert await query.only("name").exists()


async def test_as_dicts(library: AndamiosEngine) -> None:
    """Objects give the columns that they are loaded with, rows their parts."""
    query = QueryBuilder(BuilderAuthor, library).filter_by(name="Blas").load(BuilderAuthor.books)
    found = await query.as_dicts()

    assert [["id", "name", "born", "is_active", "notes", "city_id"]] == [list(row) for row in found]
    assert {"shelf": 1} == found[0]["notes"]
    assert [{"born": 1901}] == await query.only("born").as_dicts()
    assert 1 == len(await query.join(BuilderAuthor.books).as_dicts())


async def test_nothing_but_expressions_is_needed(library: AndamiosEngine) -> None:
    """CTEs, window functions and set operations are handed in as expressions."""
    rank = func.row_number().over(
        partition_by=BuilderBook.author_id, order_by=BuilderBook.pages.desc()
    )
    rows = await QueryBuilder(BuilderBook, library).only("title", rank.label("rank")).execute()
    longest = sa.select(func.max(BuilderBook.pages).label("pages")).cte("longest")
    ids = QueryBuilder(BuilderAuthor).filter_by(name="Ana").only("id").statement()
    union = sa.union(ids, sa.select(BuilderAuthor.id).where(BuilderAuthor.name == "Dina"))

    assert ["Ana 3", "Blas 2", "Ciro 1"] == sorted(row.title for row in rows if row.rank == 1)
    query = QueryBuilder(BuilderBook, library)
    assert 1 == await query.join(longest, longest.c.pages == BuilderBook.pages).count()
    authors = QueryBuilder(BuilderAuthor, library)
    assert 2 == await authors.filter(BuilderAuthor.id.in_(union)).count()


async def test_statement_is_sqlalchemys(library: AndamiosEngine) -> None:
    """statement() gives what was written, to go on with."""
    query = QueryBuilder(BuilderAuthor).join(BuilderAuthor.books).order_by("-name", "born")
    statement = query.statement().add_columns(BuilderBook.title)
    async with library.session() as session:
        rows = (await session.execute(statement)).all()

    assert 6 == len(rows)
    assert "Ciro" == rows[0][0].name


@pytest.mark.parametrize(("limit", "is_written"), [(10, True), (11, False), (0, False)])
def test_limits_in_use_are_written(limit: int, is_written: bool) -> None:
    """PostgreSQL plans a statement once only when it knows how few rows are wanted."""
    written = f"LIMIT {limit}" in " ".join(QueryBuilder(BuilderBook).limit(limit).to_sql().split())
    assert is_written is written


async def test_to_sql(library: AndamiosEngine) -> None:
    """to_sql() is the SQL of the backend, without values."""
    query = QueryBuilder(BuilderAuthor, library).filter_by(name="Ana").limit(3)
    sql = query.to_sql()

    assert sql.startswith("SELECT")
    assert "Ana" not in sql
    assert "builder_author" in QueryBuilder(BuilderAuthor).to_sql()
    async with library.session() as session:
        assert sql == QueryBuilder(BuilderAuthor, session).filter_by(name="Ana").limit(3).to_sql()
    assert "builder_author" in repr(query)


async def test_for_update(library: AndamiosEngine) -> None:
    """Locked rows are read as they are now, and only inside a session."""
    query = QueryBuilder(BuilderAuthor, library)
    async with library.session() as session:
        locked = await (
            QueryBuilder(BuilderAuthor, session)
            .for_update(skip_locked=True)
            .load(BuilderAuthor.city, BuilderAuthor.books)
            .order_by("id")
            .limit(2)
            .execute()
        )
        joined = QueryBuilder(BuilderAuthor, session).join(BuilderAuthor.books)
        assert 3 == len(await joined.for_update(nowait=True).execute())

    assert ["Ana", "Blas"] == names(locked)
    with pytest.raises(ConfigurationError, match="session"):
        await query.for_update().execute()


@pytest.mark.parametrize("count", [-1, True, 1.5, "3", None])
def test_limits_are_whole_numbers(count: Any) -> None:
    """limit and offset take whole numbers from zero."""
    with pytest.raises(QueryError, match="whole number"):
        QueryBuilder(BuilderAuthor).limit(count)
    with pytest.raises(QueryError, match="whole number"):
        QueryBuilder(BuilderAuthor).offset(count)


@pytest.mark.parametrize("bad", [5, None, object(), ["name"]])
def test_columns_are_columns(bad: Any) -> None:
    """What is no column, expression or name is refused."""
    query = QueryBuilder(BuilderAuthor)
    for method in (query.only, query.group_by, query.order_by):
        with pytest.raises(QueryError, match="expression"):
            method(bad)


async def test_columns_of_the_same_name(library: AndamiosEngine) -> None:
    """Two tables may have columns of the same name."""
    query = QueryBuilder(BuilderAuthor, library).join(BuilderAuthor.books)
    rows = query.only(BuilderAuthor.id, BuilderBook.id).order_by(BuilderBook.id)

    assert 6 == await rows.count()
    assert 6 == (await rows.page(1, 2)).total
    assert 2 == len((await rows.page_after(None, 2)).items)


async def test_rows_may_hold_objects(library: AndamiosEngine) -> None:
    """An object can be one of the columns."""
    query = QueryBuilder(BuilderAuthor, library).join(BuilderAuthor.books)
    rows = await query.only(BuilderAuthor, BuilderBook.title).order_by("name", "-born").execute()
    page = await query.only(BuilderAuthor, BuilderBook.title).page_after(None, 4)

    assert "Ana" == rows[0][0].name
    assert ["Ana"] * 3 + ["Blas"] == [row.BuilderAuthor.name for row in page.items]


async def test_json_in_rows(library: AndamiosEngine) -> None:
    """Values that cannot be hashed are values, too."""
    query = QueryBuilder(BuilderAuthor, library).only("notes").order_by("name")

    assert {"shelf": 0} == (await query.page_after(None, 2)).items[0].notes
    assert {"shelf": 0} == (await query.page(1, 2)).items[0].notes
    assert {"shelf": 0} == await query.scalar()


def test_only_mapped_classes() -> None:
    """Something else is refused by name."""
    with pytest.raises(ConfigurationError, match="int is no mapped class"):
        QueryBuilder(int)


async def test_any_mapped_class(engine: AndamiosEngine) -> None:
    """A model on a declarative base of its own works as well."""

    class Base(DeclarativeBase):
        pass

    class Plain(Base):
        __tablename__ = "builder_plain"
        left: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
        right: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)

    await engine.create_all(Base)
    try:
        async with engine.session() as session:
            session.add_all([Plain(left=n % 2, right=n) for n in range(5)])
        query = QueryBuilder(Plain, engine)
        page = await query.order_by("-left").page(1, 3)
        assert [(1, 3), (1, 1), (0, 4)] == [(item.left, item.right) for item in page.items]
        assert 2 == await query.filter(Plain.left == 1).count()
    finally:
        await engine.drop_all(Base)
