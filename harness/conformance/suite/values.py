"""JSON, UUID, enumerations, bytes, and NULL."""

import uuid

import pytest
from sqlalchemy import func

from andamios import AsyncSession, DuplicateError, GenericRepository, QueryBuilder
from harness.conformance.models import ConformanceColour, ConformanceTicket, ConformanceValue
from harness.conformance.rows import labels, read_back, values

__all__ = ["TestJson", "TestNulls", "TestOtherValues"]

DOCUMENT = {
    "nested": {"list": [1, [2, {"deep": None}]], "empty": {}},
    "text": 'Ñandú 🧉 "quoted" \\ \n',
    "numbers": [0, -1, 2**53, 0.1, 1e-7],
    "flags": [True, False, None],
    "ключ": "",
}


class TestJson:
    """Documents."""

    @pytest.mark.capability("json: nested, with any text and number")
    async def test_round_trip(self, db_session: AsyncSession) -> None:
        """A document comes back as the same Python objects."""
        value = await read_back(db_session, document=DOCUMENT, items=[DOCUMENT, [], 1])

        assert DOCUMENT == value.document
        assert [DOCUMENT, [], 1] == value.items

    @pytest.mark.capability("json: None is NULL")
    async def test_null(self, db_session: AsyncSession) -> None:
        """No document is NULL; an empty one is a document; a null inside stays inside."""
        await values(
            db_session,
            {"label": "none", "document": None},
            {"label": "empty", "document": {}},
            {"label": "inside", "document": {"a": None}},
        )

        assert ["none"] == await labels(db_session, {"document__is_null": True})
        assert {"a": None} == (
            await QueryBuilder(ConformanceValue, db_session).filter_by(label="inside").one()
        ).document

    @pytest.mark.capability("json: replaced as a whole")
    async def test_replaced(self, db_session: AsyncSession) -> None:
        """A new document replaces the old one, key by key or to nothing."""
        value = await read_back(db_session, document={"a": 1, "b": 2})
        value.document = {"b": 3}
        await GenericRepository[ConformanceValue](db_session).update(value)
        db_session.expunge_all()

        assert {"b": 3} == (await QueryBuilder(ConformanceValue, db_session).one()).document

    @pytest.mark.capability("json: filters on what is inside")
    async def test_inside(self, db_session: AsyncSession) -> None:
        """A key of a document is compared as text or as a number."""
        await values(
            db_session,
            {"label": "a", "document": {"name": "Ñandú", "size": 9}},
            {"label": "b", "document": {"name": "nandu", "size": 10}},
        )
        document = ConformanceValue.document

        assert ["a"] == await labels(db_session, document["name"].as_string() == "Ñandú")
        assert ["b"] == await labels(db_session, document["size"].as_integer() > 9)

    @pytest.mark.capability("json: equal as a whole")
    async def test_equal(self, db_session: AsyncSession) -> None:
        """A document is found by itself, and not by a part of it."""
        await values(
            db_session,
            {"label": "a", "document": {"a": 1}, "items": [1, "x"]},
            {"label": "b", "document": {"a": 1, "b": [None, "é"]}, "items": []},
        )

        assert ["a"] == await labels(db_session, {"document": {"a": 1}})
        assert ["b"] == await labels(db_session, {"document__ne": {"a": 1}})
        assert ["b"] == await labels(db_session, {"document": {"a": 1, "b": [None, "é"]}})
        assert ["a"] == await labels(db_session, {"items__in": [[1, "x"], [2]]})


class TestOtherValues:
    """UUID, enumerations and bytes."""

    @pytest.mark.capability("values: UUID")
    async def test_uuid(self, db_session: AsyncSession) -> None:
        """A UUID comes back as one, and is found."""
        code = uuid.UUID("00000000-0000-4000-8000-0000000000ff")

        assert code == (await read_back(db_session, label="x", code=code)).code
        assert ["x"] == await labels(db_session, {"code": code})

    @pytest.mark.capability("values: enumerations")
    async def test_enum(self, db_session: AsyncSession) -> None:
        """An enumeration is stored by name and comes back as a member."""
        value = await read_back(db_session, label="x", colour=ConformanceColour.GREEN)

        assert ConformanceColour.GREEN is value.colour
        assert ["x"] == await labels(db_session, {"colour": ConformanceColour.GREEN})
        assert [] == await labels(db_session, {"colour__in": [ConformanceColour.RED]})

    @pytest.mark.capability("values: bytes")
    async def test_bytes(self, db_session: AsyncSession) -> None:
        """Every byte comes back, none is nothing but not NULL, and 100 KB are no limit."""
        every = bytes(range(256))
        await values(db_session, {"label": "every", "data": every}, {"label": "none", "data": b""})

        assert every * 400 == (await read_back(db_session, data=every * 400)).data
        assert ["every"] == await labels(db_session, {"data": every})
        assert ["none"] == await labels(db_session, {"data": b""})


class TestNulls:
    """NULL: no value, and equal to nothing."""

    @pytest.mark.capability("NULL: differs from the empty text")
    async def test_empty_text(self, db_session: AsyncSession) -> None:
        """An empty text is a value."""
        await values(db_session, {"short": "", "label": "empty"}, {"label": "null"})

        assert ["empty"] == await labels(db_session, {"short": ""})
        assert ["null"] == await labels(db_session, {"short": None})

    @pytest.mark.capability("NULL: may repeat in a unique column")
    async def test_unique(self, db_session: AsyncSession) -> None:
        """Several rows without a value do not collide, also where a pair is unique."""
        tickets = GenericRepository[ConformanceTicket](db_session)
        await tickets.create_many([{"train": "a"}, {"train": "a"}, {"train": "a", "number": 1}])

        assert 3 == await tickets.count({"code": None})
        with pytest.raises(DuplicateError):
            await tickets.create(ConformanceTicket(train="a", number=1))

    @pytest.mark.capability("NULL: set again by an update")
    async def test_update(self, db_session: AsyncSession) -> None:
        """An update with None removes the value, also in a mass of rows."""
        value = await read_back(db_session, label="x", whole=1, document={})
        value.whole = value.document = None
        repository = GenericRepository[ConformanceValue](db_session)
        await repository.update(value)

        assert ["x"] == await labels(db_session, {"whole": None, "document": None})
        assert 1 == await repository.update_where({"whole": None}, {"label": None})
        assert 1 == await repository.count({"label": None})

    @pytest.mark.capability("NULL: a group of its own")
    async def test_groups(self, db_session: AsyncSession) -> None:
        """NULLs are one group, and not counted as values."""
        await values(db_session, {"whole": None}, {"whole": None}, {"whole": 1})
        query = QueryBuilder(ConformanceValue, db_session).group_by("whole")
        counted = query.aggregate(rows=func.count(), wholes=func.count(ConformanceValue.whole))

        assert [(1, 1, 1), (None, 2, 0)] == [
            tuple(row) for row in await counted.order_by("whole").execute()
        ]
