"""Moments, days and times of day."""

import datetime as dt
import zoneinfo

import pytest

from andamios import AsyncSession, DataError, GenericRepository, QueryBuilder
from harness.conformance.models import ConformanceValue
from harness.conformance.rows import labels, read_back, values

__all__ = ["TestMoments"]

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
LIMA = zoneinfo.ZoneInfo("America/Lima")
KATHMANDU = zoneinfo.ZoneInfo("Asia/Kathmandu")
MOMENT = dt.datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=dt.UTC)


class TestMoments:
    """A datetime is a moment: in UTC, whatever zone it was written in."""

    @pytest.mark.capability("time: microseconds, in UTC")
    @pytest.mark.parametrize("zone", [dt.UTC, LIMA, KATHMANDU], ids=str)
    async def test_zones(self, db_session: AsyncSession, zone: dt.tzinfo) -> None:
        """The same moment comes back, in UTC, to the microsecond."""
        value = await read_back(db_session, label="x", moment=MOMENT.astimezone(zone))

        assert MOMENT == value.moment
        assert dt.UTC is value.moment.tzinfo
        assert ["x"] == await labels(db_session, {"moment": MOMENT.astimezone(zone)})

    @pytest.mark.capability("time: far from today")
    @pytest.mark.parametrize("year", [1000, 1582, 1969, 2038, 9999])
    async def test_far(self, db_session: AsyncSession, year: int) -> None:
        """Years before the epoch, behind 32-bit time, and at the end of the calendar."""
        moment = MOMENT.replace(year=year, day=28)

        assert moment == (await read_back(db_session, moment=moment)).moment

    @pytest.mark.capability("time: clocks that are set back")
    async def test_fold(self, db_session: AsyncSession) -> None:
        """The same time on the wall twice in a night is two moments."""
        wall = dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
        first = await read_back(db_session, moment=wall)
        second = await read_back(db_session, moment=wall.replace(fold=1))

        assert first.moment is not None
        assert second.moment is not None
        assert dt.timedelta(hours=1) == second.moment - first.moment

    @pytest.mark.capability("time: order and ranges")
    async def test_order(self, db_session: AsyncSession) -> None:
        """Moments compare as moments, though their zones differ."""
        moments = {
            "second": MOMENT.astimezone(LIMA),
            "first": (MOMENT - dt.timedelta(microseconds=1)).astimezone(KATHMANDU),
        }
        await values(db_session, *({"label": k, "moment": v} for k, v in moments.items()))

        assert ["first", "second"] == await labels(db_session, None, "moment")
        assert ["second"] == await labels(db_session, {"moment__ge": MOMENT})

    @pytest.mark.capability("time: naive datetimes are refused")
    async def test_naive(self, db_session: AsyncSession) -> None:
        """A datetime without a zone says no moment, in a row or in a filter."""
        naive = MOMENT.replace(tzinfo=None)
        with pytest.raises(DataError):
            await GenericRepository[ConformanceValue](db_session).create(
                ConformanceValue(moment=naive)
            )
        with pytest.raises(DataError):
            await labels(db_session, {"moment": naive})

    @pytest.mark.capability("time: days and times of day")
    async def test_days(self, db_session: AsyncSession) -> None:
        """A day has no time, a time has microseconds, and neither has a zone."""
        day, clock = dt.date(2024, 2, 29), dt.time(23, 59, 59, 999_999)
        value = await read_back(db_session, label="x", day=day, clock=clock)

        assert (day, clock) == (value.day, value.clock)
        assert dt.date is type(value.day)
        assert ["x"] == await labels(db_session, {"day": day, "clock": clock})
        assert 1 == await QueryBuilder(ConformanceValue, db_session).count()

    @pytest.mark.capability("time: spans, to the microsecond")
    async def test_spans(self, db_session: AsyncSession) -> None:
        """A span of time is exact, may be negative, and compares by its length."""
        long, short = dt.timedelta(days=100, microseconds=1), dt.timedelta(microseconds=-1)
        await values(db_session, {"label": "short", "span": short})

        assert long == (await read_back(db_session, label="long", span=long)).span
        assert ["short", "long"] == await labels(db_session, None, "span")
        assert ["long"] == await labels(db_session, {"span__gt": dt.timedelta(days=9)})
        assert ["short"] == await labels(db_session, {"span": short})
