"""Fitting a decimal into NUMERIC(precision, scale), the way the servers do it."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

from andamios.errors import DataError

__all__ = ["fit"]

# Wide enough for every NUMERIC that a server has; the process's own context stays alone.
_CONTEXT = Context(prec=1000)


def fit(number: Decimal, precision: int, scale: int) -> Decimal:
    """
    Round to the scale and check the precision.

    Args:
        number: The value.
        precision: Digits in all.
        scale: Digits behind the point.

    Returns:
        The value, rounded half away from zero as PostgreSQL and MySQL round.

    Raises:
        DataError: More digits before the point than the column has.
    """
    if not number.is_finite():
        raise DataError("NaN and Infinity are not numbers that every backend can store")
    rounded = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, _CONTEXT)
    if rounded and rounded.adjusted() >= precision - scale:
        raise DataError(f"The number does not fit NUMERIC({precision}, {scale})")
    return rounded
