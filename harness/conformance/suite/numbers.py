"""Numbers: whole, exact and floating, at their limits."""

import decimal
import math

import pytest
from sqlalchemy import func

from andamios import AsyncSession, QueryBuilder
from harness.conformance.models import ConformanceValue
from harness.conformance.rows import labels, read_back, values

__all__ = ["TestDecimals", "TestNumbers"]

D = decimal.Decimal


class TestNumbers:
    """Whole numbers, floats and booleans."""

    @pytest.mark.capability("numbers: 64-bit integers")
    @pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 2**53 + 1, 0, -1])
    async def test_integers(self, db_session: AsyncSession, number: int) -> None:
        """The largest and the smallest number, as a value and in a filter."""
        assert number == (await read_back(db_session, whole=number, label="x")).whole
        assert ["x"] == await labels(db_session, {"whole": number})
        assert [] == await labels(db_session, {"whole__ne": number})

    @pytest.mark.capability("numbers: sums of large integers")
    async def test_sum(self, db_session: AsyncSession) -> None:
        """A sum may be larger than any of its parts."""
        await values(db_session, *({"whole": 2**61} for _ in range(3)))
        query = QueryBuilder(ConformanceValue, db_session)

        assert 3 * 2**61 == await query.aggregate(s=func.sum(ConformanceValue.whole)).scalar()

    @pytest.mark.capability("numbers: floats to the last bit")
    @pytest.mark.parametrize("number", [0.1 + 0.2, math.pi, -1e-300, 1.7976931348623157e308, 0.0])
    async def test_floats(self, db_session: AsyncSession, number: float) -> None:
        """A float comes back as the same float."""
        assert number == (await read_back(db_session, ratio=number)).ratio

    @pytest.mark.capability("numbers: booleans")
    async def test_booleans(self, db_session: AsyncSession) -> None:
        """True, False and NULL are three values, and come back as bool."""
        flags = {"yes": True, "no": False, "unknown": None}
        await values(db_session, *({"label": key, "flag": flag} for key, flag in flags.items()))
        found = await QueryBuilder(ConformanceValue, db_session).order_by("-id").execute()

        assert [None, False, True] == [value.flag for value in found]
        assert [type(None), bool, bool] == [type(value.flag) for value in found]
        assert ["no"] == await labels(db_session, {"flag": False})
        assert ["yes"] == await labels(db_session, ConformanceValue.flag)


class TestDecimals:
    """Decimals: exact, or refused."""

    @pytest.mark.capability("decimals: exact, with 30 digits")
    @pytest.mark.parametrize(
        "number",
        ["12345678901234567890.0123456789", "-0.0000000001", "99999999999999999999.9999999999"],
    )
    async def test_long(self, db_session: AsyncSession, number: str) -> None:
        """Every digit comes back, as a value and in a filter."""
        value = await read_back(db_session, label="x", exact=D(number))

        assert D(number) == value.exact
        assert isinstance(value.exact, D)
        assert ["x"] == await labels(db_session, {"exact": D(number)})

    @pytest.mark.capability("decimals: exact, with 15 digits")
    async def test_short(self, db_session: AsyncSession) -> None:
        """What floats get wrong: tenths, and their scale."""
        value = await read_back(db_session, label="x", amount=D("0.1"))

        assert "0.1000" == str(value.amount)
        assert ["x"] == await labels(db_session, {"amount": D("0.1")})

    @pytest.mark.capability("decimals: compared as numbers")
    async def test_order(self, db_session: AsyncSession) -> None:
        """Negative ones first, 9 before 10, whatever they are stored as."""
        numbers = ["-10.5", "-9", "0", "0.0000000001", "9", "10", "12345678901234567890"]
        await values(db_session, *({"label": text, "exact": D(text)} for text in reversed(numbers)))

        assert numbers == await labels(db_session, None, "exact")
        assert numbers[4:] == await labels(db_session, {"exact__gt": D(1)}, "exact")
        assert numbers[:3] == await labels(db_session, {"exact__le": 0}, "exact")

    @pytest.mark.capability("decimals: rounded half away from zero")
    async def test_rounding(self, db_session: AsyncSession) -> None:
        """Digits beyond the scale are rounded the same way."""
        up = await read_back(db_session, amount=D("2.00005"))
        down = await read_back(db_session, amount=D("-2.00005"))

        assert (D("2.0001"), D("-2.0001")) == (up.amount, down.amount)

    @pytest.mark.capability("decimals: exact sums of 15 digits")
    async def test_short_sum(self, db_session: AsyncSession) -> None:
        """Ten tenths are one."""
        await values(db_session, *({"amount": D("0.1")} for _ in range(10)))
        query = QueryBuilder(ConformanceValue, db_session)

        assert D(1) == await query.aggregate(total=func.sum(ConformanceValue.amount)).scalar()

    @pytest.mark.capability("decimals: exact sums of 30 digits")
    async def test_long_sum(self, db_session: AsyncSession) -> None:
        """No digit is lost in a sum, a minimum or a maximum."""
        large, small = D("12345678901234567890.0000000001"), D("0.0000000001")
        await values(db_session, {"exact": large}, {"exact": small})
        column = ConformanceValue.exact
        query = QueryBuilder(ConformanceValue, db_session).aggregate(
            total=func.sum(column), least=func.min(column), most=func.max(column)
        )

        assert (D("12345678901234567890.0000000002"), small, large) == tuple(await query.one())
