"""Filters: every operator finds the same rows everywhere."""

import pytest
import pytest_asyncio

from andamios import (
    AsyncSession,
    DataError,
    FilterBuilder,
    GenericRepository,
    QueryBuilder,
    UnknownFieldError,
)
from harness.conformance.models import ConformanceAuthor, ConformanceValue
from harness.conformance.rows import authors_with_books, labels, values

__all__ = ["TestFilters", "TestRelationshipFilters", "TestTextFilters"]

FOUND = [
    ({"whole": 2}, "b"),
    ({"whole__ne": 2}, "ac"),
    ({"whole__lt": 2}, "a"),
    ({"whole__le": 2}, "ab"),
    ({"whole__gt": 2}, "c"),
    ({"whole__ge": 2}, "bc"),
    ({"whole__gte": 2, "whole__lte": 2}, "b"),
    ({"whole__in": [1, 3, 99]}, "ac"),
    ({"whole__in": []}, ""),
    ({"whole__in": [1, None]}, "an"),
    ({"whole__not_in": [1]}, "bc"),
    ({"whole__not_in": []}, "abcn"),
    ({"whole__not_in": [1, None]}, "bc"),
    ({"whole__between": (2, 3)}, "bc"),
    ({"whole__between": (3, 2)}, ""),
    ({"whole__is_null": True}, "n"),
    ({"whole__is_null": False}, "abc"),
    ({"whole": None}, "n"),
    ({"whole__ne": None}, "abc"),
]


class TestFilters:
    """Operators on numbers and NULL; row ``n`` has NULL, ``a`` to ``c`` have 1 to 3."""

    @pytest_asyncio.fixture
    async def session(self, db_session: AsyncSession) -> AsyncSession:
        """The session, with four rows."""
        rows = [
            {"label": label, "whole": whole} for label, whole in zip("abc", (1, 2, 3), strict=True)
        ]
        await values(db_session, *rows, {"label": "n", "whole": None})
        return db_session

    @pytest.mark.capability("filters: comparisons, in, between, NULL")
    async def test_operators(self, session: AsyncSession) -> None:
        """Each operator, in the words of a dict."""
        found = [
            (filters, "".join(map(str, await labels(session, filters)))) for filters, _ in FOUND
        ]

        assert FOUND == found

    @pytest.mark.capability("filters: and, or, not")
    async def test_logic(self, session: AsyncSession) -> None:
        """What is neither true nor false is not excluded by not_."""
        either = FilterBuilder(ConformanceValue).or_({"whole": 1}, {"whole__is_null": True})
        both = FilterBuilder(ConformanceValue).and_({"whole__gt": 1}, {"whole__lt": 3})
        neither = FilterBuilder(ConformanceValue).not_({"whole__lt": 3})

        assert ["a", "n"] == await labels(session, either)
        assert ["b"] == await labels(session, both)
        assert ["c", "n"] == await labels(session, neither)

    @pytest.mark.capability("filters: and, or, not")
    async def test_exclude(self, session: AsyncSession) -> None:
        """A query excludes what fits, and nothing else."""
        query = QueryBuilder(ConformanceValue, session).exclude(ConformanceValue.whole == 2)
        found = await query.order_by("label").execute()

        assert ["a", "c", "n"] == [value.label for value in found]

    @pytest.mark.capability("filters: unknown names and wrong types are refused")
    async def test_refusals(self, session: AsyncSession) -> None:
        """A bad filter never reaches the database, where each would take it differently."""
        with pytest.raises(UnknownFieldError, match="label"):
            await labels(session, {"lable": "a"})
        with pytest.raises(UnknownFieldError, match="operator"):
            await labels(session, {"whole__near": 1})
        for wrong in ("2", 2.0, True, b"2", 1 << 63):
            with pytest.raises(DataError):
                await labels(session, {"whole": wrong})


TEXTS = ["100", "100%", "1000", "a_b", "axb", "Ana", "ana", "ANA", "a/b", "a\\b", "it's", ""]


class TestTextFilters:
    """Operators on text: case counts, and what a user typed is no pattern."""

    @pytest_asyncio.fixture
    async def session(self, db_session: AsyncSession) -> AsyncSession:
        """The session, with a row for each text, and NULL."""
        await values(db_session, *({"label": text} for text in TEXTS), {"label": None})
        return db_session

    @pytest.mark.capability("filters: text operators escape % and _")
    @pytest.mark.parametrize(
        ("operator", "text", "expected"),
        [
            ("contains", "0%", ["100%"]),
            ("contains", "_", ["a_b"]),
            ("contains", "/", ["a/b"]),
            ("contains", "\\", ["a\\b"]),
            ("contains", "'", ["it's"]),
            ("startswith", "100%", ["100%"]),
            ("startswith", "a_", ["a_b"]),
            ("endswith", "%", ["100%"]),
            ("endswith", "00", ["100", "1000"]),
        ],
    )
    async def test_escaping(
        self, session: AsyncSession, operator: str, text: str, expected: list[str]
    ) -> None:
        """A search for "100%" does not find "1000"."""
        assert expected == await labels(session, {f"label__{operator}": text})

    @pytest.mark.capability("filters: case counts, unless asked otherwise")
    async def test_case(self, session: AsyncSession) -> None:
        """Plain operators tell cases apart, those with an i do not."""
        assert ["ana"] == await labels(session, {"label": "ana"})
        assert ["Ana"] == await labels(session, {"label__like": "An_"})
        assert ["ana"] == await labels(session, {"label__contains": "ana"})
        assert ["ANA", "Ana", "ana"] == await labels(session, {"label__ilike": "aN_"})
        assert ["ANA", "Ana", "ana"] == await labels(session, {"label__icontains": "nA"})
        assert ["ANA", "Ana", "ana"] == await labels(session, {"label__istartswith": "aN"})
        assert ["ANA", "Ana", "ana"] == await labels(session, {"label__iendswith": "Na"})

    @pytest.mark.capability("filters: like takes a pattern")
    async def test_like(self, session: AsyncSession) -> None:
        """In like, % is any text and _ any character; the empty text fits %, NULL does not."""
        assert ["100", "100%", "1000"] == await labels(session, {"label__like": "100%"})
        assert ["a/b", "a\\b", "a_b", "axb"] == await labels(session, {"label__like": "a_b"})
        assert len(TEXTS) == len(await labels(session, {"label__like": "%"}))


class TestRelationshipFilters:
    """Filters along relationships."""

    @pytest.mark.capability("filters: along relationships")
    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"profile.motto": "onwards"}, ["Ana"]),
            ({"books.title__startswith": "S"}, ["Beto"]),
            ({"books.pages__gt": 50}, ["Ana"]),
            ({"books.author.city": "Cusco"}, ["Beto"]),
            ({"books__is_null": True}, ["Carla"]),
            ({"profile__is_null": False}, ["Ana"]),
        ],
    )
    async def test_paths(
        self, db_session: AsyncSession, filters: dict[str, object], expected: list[str]
    ) -> None:
        """Across a collection one fitting row is enough, and gives its parent once."""
        await authors_with_books(db_session)
        found = await GenericRepository[ConformanceAuthor](db_session).list(filters)

        assert expected == [author.name for author in found]
