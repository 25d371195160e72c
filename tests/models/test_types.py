"""Each type of the type map, there and back again."""

import datetime as dt
import math
import uuid
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, type_coerce

from andamios import (
    AndamiosEngine,
    AsyncSession,
    DataError,
    DuplicateError,
    QueryBuilder,
    UTCDateTime,
)
from tests.models.domain import LibColour, LibKinds, LibSize, LibWord

LIMA = dt.timezone(dt.timedelta(hours=-5))

VALUES: dict[str, list[Any]] = {
    "text": [
        "José ñandú – 東京 🛫",
        "e\u0301",  # a combining accent stays apart from its letter
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "",
        "  spaces  ",
        "quote ' \" \\ % _ : ? \n\t",
        "x" * 255,
        "🛫" * 255,
    ],
    "short": ["12345"],
    "novel": ["word " * 20_000],
    "whole": [2**63 - 1, -(2**63), 0],
    "real": [0.1, math.pi, 1e300, -5e-300],
    "price": [Decimal("12345678901.2345"), Decimal("-0.0001"), Decimal("0.0000")],
    "exact": [Decimal("1234567890123456789012345678.0123456789"), Decimal("-0.0000000001")],
    "flag": [True, False],
    "day": [dt.date(2024, 2, 29), dt.date(1, 1, 1), dt.date(9999, 12, 31)],
    "moment": [
        dt.datetime(2024, 2, 29, 12, 30, 15, 123456, dt.UTC),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999, dt.UTC),
    ],
    "clock": [dt.time(23, 59, 59, 999999), dt.time(0, 0)],
    "blob": [b"\x00\xff'" * 50_000, b""],
    "facts": [{"a": [1, 2.5, None, True, "ñ🛫"], "b": {"c": {}}}, {}],
    "items": [[1, "two", {"three": 3}], []],
    "key": [uuid.UUID("0189d5e1-7c3b-7d9a-8f00-0123456789ab")],
    "colour": [LibColour.RED, LibColour.DARK_BLUE],
    "size": [LibSize.SMALL, LibSize.LARGE],
    "span": [
        dt.timedelta(days=100, microseconds=1),
        dt.timedelta(microseconds=-1),
        dt.timedelta(days=300 * 365),
        dt.timedelta(0),
    ],
    "grade": ["a", "bb"],
}


async def store(session: AsyncSession, **values: Any) -> LibKinds:
    """Write a row and read it back from the database."""
    row = LibKinds(**values)
    session.add(row)
    await session.flush()
    session.expunge(row)
    return await session.get_one(LibKinds, row.id)


async def store_all(session: AsyncSession, field: str) -> list[LibKinds]:
    """Write one row for each value of a field, and read them back in this order."""
    rows = [LibKinds(**{field: value}) for value in VALUES[field]]
    session.add_all(rows)
    await session.flush()
    session.expunge_all()
    return [await session.get_one(LibKinds, row.id) for row in rows]


@pytest.mark.parametrize("field", VALUES)
async def test_values_come_back_as_they_were(db_session: AsyncSession, field: str) -> None:
    """A value is the same after a round trip, in type too."""
    found = [getattr(row, field) for row in await store_all(db_session, field)]
    assert VALUES[field] == found
    assert all(isinstance(f, type(v)) for f, v in zip(found, VALUES[field], strict=True))


@pytest.mark.parametrize("field", sorted(VALUES.keys() - {"facts", "items"}))
async def test_values_are_found_by_themselves(db_session: AsyncSession, field: str) -> None:
    """A stored value equals itself, and no other one, in a WHERE."""
    rows = await store_all(db_session, field)
    column = getattr(LibKinds, field)
    found = [
        list(await db_session.scalars(select(LibKinds.id).where(column == value)))
        for value in VALUES[field]
    ]
    assert [[row.id] for row in rows] == found


async def test_all_fields_may_be_null(db_session: AsyncSession) -> None:
    """None is NULL for every type."""
    row = await store(db_session)
    assert dict.fromkeys(VALUES) == {field: getattr(row, field) for field in VALUES}


async def test_json_none_is_null(db_session: AsyncSession) -> None:
    """None in a JSON column is NULL, not the JSON value null."""
    row = await store(db_session, facts=None)
    condition = LibKinds.facts.is_(None)
    assert [row.id] == list(await db_session.scalars(select(LibKinds.id).where(condition)))


async def test_json_paths_are_queried(db_session: AsyncSession) -> None:
    """A value inside a JSON document can be asked for."""
    row = await store(db_session, facts={"city": {"name": "Lima"}})
    condition = LibKinds.facts["city", "name"].as_string() == "Lima"
    assert [row.id] == list(await db_session.scalars(select(LibKinds.id).where(condition)))


async def test_moment_of_another_zone_comes_back_in_utc(db_session: AsyncSession) -> None:
    """A datetime of any zone names the same moment, in UTC."""
    moment = dt.datetime(2024, 5, 1, 20, 0, tzinfo=LIMA)
    found = (await store(db_session, moment=moment)).moment
    assert (moment, dt.UTC) == (found, found.tzinfo if found else None)


async def test_moments_sort_by_time_not_by_zone(db_session: AsyncSession) -> None:
    """Moments of several zones are in the order of time."""
    moments = [
        dt.datetime(2024, 5, 1, 20, 0, tzinfo=LIMA),
        dt.datetime(2024, 5, 1, 23, 0, tzinfo=dt.UTC),
    ]
    db_session.add_all(LibKinds(moment=moment) for moment in moments)
    await db_session.flush()
    found = await db_session.scalars(select(LibKinds.moment).order_by(LibKinds.moment))
    assert sorted(moments) == list(found)


async def test_naive_datetime_is_refused(db_session: AsyncSession) -> None:
    """A datetime without a zone says no moment."""
    with pytest.raises(DataError, match="without a time zone"):
        await store(db_session, moment=dt.datetime(2024, 5, 1, 20, 0))  # noqa: DTZ001


async def test_naive_datetime_is_refused_in_a_condition(db_session: AsyncSession) -> None:
    """A naive datetime is refused where it is compared, too."""
    naive = dt.datetime(2024, 5, 1, 20, 0)  # noqa: DTZ001
    with pytest.raises(DataError, match="without a time zone"):
        await db_session.scalars(select(LibKinds).where(LibKinds.moment > naive))


def test_moment_has_a_python_type() -> None:
    """The type tells other tools which Python type it holds."""
    assert dt.datetime is UTCDateTime().python_type


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("0.00005", "0.0001"),
        ("-0.00005", "-0.0001"),
        ("2.00014", "2.0001"),
        ("7", "7.0000"),
        ("1E+2", "100.0000"),
    ],
)
async def test_decimal_is_rounded_half_away_from_zero(
    db_session: AsyncSession, given: str, stored: str
) -> None:
    """More places than the column has are rounded, the same way everywhere."""
    found = (await store(db_session, price=Decimal(given))).price
    assert stored == str(found)


@pytest.mark.parametrize("field", ["price", "exact"])
async def test_decimals_are_summed_and_sorted_as_numbers(
    db_session: AsyncSession, field: str
) -> None:
    """Decimals compare as numbers, however long they are."""
    column = getattr(LibKinds, field)
    numbers = [Decimal(text) for text in ("-3", "9", "10", "100.25", "20")]
    db_session.add_all(LibKinds(**{field: number}) for number in numbers)
    await db_session.flush()
    statement = select(column).where(column > Decimal("9.5")).order_by(column.desc())
    expected = [Decimal("100.25"), Decimal(20), Decimal(10)]
    assert expected == list(await db_session.scalars(statement))


async def test_decimal_sum_is_exact(db_session: AsyncSession) -> None:
    """A sum of decimals is a decimal without the dust of floats."""
    db_session.add_all(LibKinds(price=Decimal("0.1")) for _ in range(10))
    await db_session.flush()
    assert Decimal(1) == await db_session.scalar(select(func.sum(LibKinds.price)))


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
async def test_decimal_that_is_no_number_is_refused(db_session: AsyncSession, number: str) -> None:
    """NaN and Infinity are refused, since one backend alone could store them."""
    with pytest.raises(DataError):
        await store(db_session, price=Decimal(number))


WORDS = [
    ("jose", "José"),
    ("jose", "Jose"),
    ("jose", "jose "),
    ("e\u0301", "\u00e9"),
    ("strasse", "straße"),
    ("🛫", "🛬"),
    ("", " "),
]


@pytest.mark.parametrize(("one", "other"), WORDS)
async def test_texts_that_differ_are_different(
    db_session: AsyncSession, one: str, other: str
) -> None:
    """Case, accents and trailing spaces count, in conditions and in unique keys."""
    db_session.add_all([LibWord(word=one), LibWord(word=other)])
    await db_session.flush()
    found = await db_session.scalars(select(LibWord.word).where(LibWord.word == other))
    assert [other] == list(found)


async def test_texts_that_are_equal_are_duplicates(db_session: AsyncSession) -> None:
    """The same text twice breaks a unique key."""
    db_session.add_all([LibWord(word="José 🛫"), LibWord(word="José 🛫")])
    with pytest.raises(DuplicateError):
        await db_session.flush()


async def test_texts_sort_by_code_point(db_session: AsyncSession) -> None:
    """The order of texts is the same everywhere: that of their characters' numbers."""
    words = ["b", "a", "B", "A", "é", "z", "_", "1", "🛫", "東"]
    db_session.add_all(LibWord(word=word) for word in words)
    await db_session.flush()
    found = await db_session.scalars(select(LibWord.word).order_by(LibWord.word))
    assert sorted(words) == list(found)


@pytest.mark.parametrize(("field", "name"), [("colour", "DARK_BLUE"), ("size", "LARGE")])
async def test_enum_is_stored_by_name(db_session: AsyncSession, field: str, name: str) -> None:
    """An enumeration is kept as text, by the names of its members."""
    member: Any = {"colour": LibColour.DARK_BLUE, "size": LibSize.LARGE}[field]
    await store(db_session, **{field: member})
    column = type_coerce(getattr(LibKinds, field), LibKinds.text.type)
    assert name == await db_session.scalar(select(column))


async def test_enum_refuses_what_is_no_member(db_session: AsyncSession) -> None:
    """A text that names no member is a DataError, whose message does not repeat it."""
    with pytest.raises(DataError) as caught:
        await store(db_session, colour="MAUVE")
    assert "MAUVE" not in str(caught.value)


UNFIT: list[tuple[str, Any]] = [
    ("text", "x" * 256),
    ("whole", 2**63),
    ("whole", -(2**63) - 1),
    ("whole", 10**30),
    ("whole", "abc"),
    ("whole", "12"),
    ("whole", 1.5),
    ("text", 987654),
    ("text", b"bytes"),
    ("price", Decimal(10) ** 11),
    ("price", "abc"),
    ("flag", "maybe"),
    ("day", "2024-02-29"),
    ("moment", "2024-02-29"),
    ("moment", dt.date(2024, 2, 29)),
    ("clock", "12:30"),
    ("blob", "text"),
    ("key", "no-uuid"),
    ("facts", {"key": {1, 2}}),
    ("text", "\ud800"),
]


@pytest.mark.parametrize(("field", "value"), UNFIT, ids=lambda item: ascii(item)[:16])
async def test_value_that_does_not_fit_is_a_data_error(
    db_session: AsyncSession, field: str, value: object
) -> None:
    """The wrong type, too long or out of range: one class, and the value stays out of it."""
    with pytest.raises(DataError) as caught:
        await store(db_session, **{field: value})
    assert "INSERT INTO lib_kinds" in str(caught.value.statement)
    assert repr(value) not in str(caught.value)


async def test_server_keeps_utc(engine: AndamiosEngine) -> None:
    """A moment written by the server's clock is the same moment as ours."""
    now = dt.datetime.now(dt.UTC)
    async with engine.session() as session:
        row = LibKinds(moment=func.current_timestamp())
        session.add(row)
        await session.flush()
        await session.refresh(row)
    assert row.moment is not None
    assert abs(row.moment - now) < dt.timedelta(seconds=5)


async def test_spans_are_ordered_and_summed(db_session: AsyncSession) -> None:
    """A timedelta compares by its length, negative ones included, and is summed exactly."""
    spans = [dt.timedelta(days=n, microseconds=n) for n in (10, -3, 9, 0)]
    db_session.add_all(LibKinds(span=span) for span in spans)
    await db_session.flush()

    assert sorted(spans) == list(
        await db_session.scalars(select(LibKinds.span).order_by(LibKinds.span))
    )
    assert sum(spans, dt.timedelta()) == await db_session.scalar(select(func.sum(LibKinds.span)))


@pytest.mark.parametrize("value", [5, dt.timedelta.max, dt.timedelta.min])
async def test_spans_that_do_not_fit_are_refused(db_session: AsyncSession, value: Any) -> None:
    """What is no timedelta, or too long for 64 bits, is refused before it is sent."""
    with pytest.raises(DataError, match="timedelta"):
        await store(db_session, span=value)


async def test_other_texts_than_the_literal_ones_are_refused(db_session: AsyncSession) -> None:
    """A text that the Literal does not have is refused, when written and when compared."""
    with pytest.raises(DataError):
        await store(db_session, grade="zz")
    with pytest.raises(DataError, match="one of: a, bb"):
        await QueryBuilder(LibKinds, db_session).filter_by(grade="zz").count()
