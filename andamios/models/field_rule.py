"""The rule of a field, which pydantic checks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import pydantic
from sqlalchemy.sql import ClauseElement

from andamios.errors import FieldValidationError

__all__ = ["FieldRule"]

PLAIN = {bool, bytes, float, int, str, type(None)}
"""Types that are surely no SQL expressions."""


class FieldRule:
    """
    The rule of one field.

    Args:
        model: The model class's name.
        field: The field's name.
        annotation: What stands inside ``Mapped[…]``.
    """

    def __init__(self, model: str, field: str, annotation: Any) -> None:
        self.model = model
        self.field = field
        # The adapter's own method adds a microsecond, which bulk writes pay for every value.
        self._validate = pydantic.TypeAdapter[Any](annotation).validator.validate_python
        self._is_decimal = Decimal in _plain_types(annotation)

    def check(self, value: Any) -> Any:
        """
        Check a value.

        Returns:
            The value, as a rule that changes it (such as one that strips white space)
            leaves it. SQL expressions pass unchecked.

        Raises:
            FieldValidationError: The rule does not hold.
        """
        if type(value) not in PLAIN and _is_expression(value):
            return value
        if self._is_decimal and type(value) is int:
            value = Decimal(value)
        try:
            return self._validate(value, strict=True)
        except pydantic.ValidationError as error:
            rule = error.errors(include_input=False, include_url=False)[0]["msg"]
            raise FieldValidationError(self.model, self.field, rule, value) from None


def _is_expression(value: object) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


def _plain_types(annotation: Any) -> set[Any]:
    arguments = get_args(annotation)
    if not arguments:
        return {annotation}
    return {found for argument in arguments for found in _plain_types(argument)}
