"""Rules in annotations: what they refuse, when, and what the error says."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, literal, select, update

from andamios import AsyncSession, FieldValidationError
from tests.models.domain import LibMember

BROKEN: list[tuple[str, Any]] = [
    ("name", "x"),
    ("name", "x" * 21),
    ("name", None),
    ("name", 5),
    ("age", -1),
    ("age", 151),
    ("age", "18"),
    ("age", 1.0),
    ("nick", "UPPER"),
    ("debt", Decimal(-1)),
    ("debt", Decimal("0.001")),
    ("debt", Decimal(10_000_000)),
    ("motto", "buy spam"),
]

KEPT: list[tuple[str, Any, Any]] = [
    ("name", "xy", "xy"),
    ("age", 0, 0),
    ("age", 150, 150),
    ("nick", "  ana maria ", "ana maria"),
    ("debt", 5, Decimal(5)),
    ("debt", Decimal("0.01"), Decimal("0.01")),
    ("debt", None, None),
    ("motto", "carpe diem", "carpe diem"),
]


@pytest.mark.parametrize(("field", "value"), BROKEN, ids=str)
def test_constructor_refuses(field: str, value: object) -> None:
    """A value that breaks a rule never gets into an object."""
    with pytest.raises(FieldValidationError):
        LibMember(**{"name": "Ana", field: value})


@pytest.mark.parametrize(("field", "value"), BROKEN, ids=str)
def test_assignment_refuses_and_keeps_the_old_value(field: str, value: object) -> None:
    """An assignment that breaks a rule changes nothing."""
    member = LibMember(name="Ana", age=30, nick="ana", debt=Decimal(1), motto="ora")
    before = member.to_dict()
    with pytest.raises(FieldValidationError):
        setattr(member, field, value)
    assert before == member.to_dict()


@pytest.mark.parametrize(("field", "value", "kept"), KEPT, ids=str)
def test_value_within_the_rules_is_kept(field: str, value: object, kept: object) -> None:
    """A value at the edge passes; rules that change a value do so."""
    assert kept == getattr(LibMember(**{"name": "Ana", field: value}), field)


def test_error_tells_model_field_rule_and_value_apart_from_the_message() -> None:
    """The facts are attributes; the value stays out of the message."""
    with pytest.raises(FieldValidationError) as caught:
        LibMember(name="Ana", age=-12345)
    error = caught.value
    assert ("LibMember", "age", -12345) == (error.model, error.field, error.value)
    assert "greater than or equal to 0" in error.rule
    assert f"LibMember.age: {error.rule}" == str(error)


def test_value_in_a_rule_of_ones_own_stays_out_of_the_message() -> None:
    """A validator's own words are the rule."""
    with pytest.raises(FieldValidationError) as caught:
        LibMember(name="Ana", motto="spam spam")
    assert str(caught.value) == "LibMember.motto: Value error, must not be spam"


def test_error_is_a_value_error() -> None:
    """Code that expects a ValueError from a bad value gets one."""
    with pytest.raises(ValueError, match="greater than"):
        LibMember(name="Ana", age=-1)


EXPRESSIONS = [
    LibMember.age + 1,
    func.abs(-5),
    literal(7),
    select(func.count(LibMember.id)).scalar_subquery(),
    LibMember.age,
]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda item: type(item).__name__)
def test_sql_expressions_pass(expression: Any) -> None:
    """An expression has no value yet, so that no rule can be asked."""
    member = LibMember(name="Ana", age=30)
    member.age = expression
    assert expression is member.age


async def test_expression_is_computed_by_the_database(db_session: AsyncSession) -> None:
    """An expression that was assigned is evaluated in the UPDATE."""
    member = LibMember(name="Ana", age=30)
    db_session.add(member)
    await db_session.flush()
    member.age = LibMember.age + 1
    await db_session.flush()
    await db_session.refresh(member)
    assert 31 == member.age


async def test_defaults_and_loaded_rows_are_not_checked(db_session: AsyncSession) -> None:
    """What the database already holds can be read, also if a rule came later."""
    member = LibMember(name="Ana")
    db_session.add(member)
    await db_session.flush()
    await db_session.execute(update(LibMember).values(name="x"))
    await db_session.refresh(member)
    assert ("x", 18) == (member.name, member.age)
