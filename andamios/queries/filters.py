"""Filters made of names and values, which a caller chose at run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import AsBoolean, BinaryExpression, BooleanClauseList, Grouping

from andamios.errors import QueryError, UnknownFieldError
from andamios.queries.comparisons import comparisons, expression_of
from andamios.queries.fields import element_of, field, mapper_of, relationship_of, unknown
from andamios.queries.operators import OPERATORS, RELATIONSHIP_OPERATORS, SYNONYMS
from andamios.queries.values import check_comparisons, is_expression

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from andamios.queries.parameters import QueryParams

__all__ = ["FilterBuilder", "Filters", "conditions_of", "expressions_of"]

Condition = sa.ColumnElement[bool]


class FilterBuilder:
    """
    Conditions on a model, by the names of its fields.

    Every method adds a condition and returns the builder itself; all of them must hold.
    A name may go along relationships, as in ``"profile.city"``; across a collection it
    asks for at least one row on the other side. Values are checked against the column
    before anything is sent.

    Unlike a query, a builder changes in place, since it is filled step by step; a query
    copies what is there when it gets one.

    Args:
        model: The mapped class.

    Raises:
        UnknownFieldError: No such field or operator; the nearest one is suggested.
        DataError: A value of the wrong type.

    Example:
        >>> from sqlalchemy import Integer, String
        >>> from sqlalchemy.orm import mapped_column
        >>> from andamios import BaseModel, FilterBuilder
        >>> class Traveller(BaseModel):
        ...     name = mapped_column(String(50))
        ...     age = mapped_column(Integer)
        >>> adults = FilterBuilder(Traveller).ge("age", 18).startswith("name", "A")
        >>> len(adults.conditions)
        2
    """

    def __init__(self, model: type[Any]) -> None:
        mapper_of(model)
        self.model = model
        self.conditions: list[Condition] = []

    def eq(self, field: str, value: Any) -> Self:
        """Equal; None means NULL."""
        return self._add(field, "eq", value)

    def ne(self, field: str, value: Any) -> Self:
        """Not equal; None means not NULL. A NULL is neither equal nor unequal to a value."""
        return self._add(field, "ne", value)

    def lt(self, field: str, value: Any) -> Self:
        """Less."""
        return self._add(field, "lt", value)

    def le(self, field: str, value: Any) -> Self:
        """Less or equal."""
        return self._add(field, "le", value)

    def gt(self, field: str, value: Any) -> Self:
        """Greater."""
        return self._add(field, "gt", value)

    def ge(self, field: str, value: Any) -> Self:
        """Greater or equal."""
        return self._add(field, "ge", value)

    def in_(self, field: str, values: Iterable[Any]) -> Self:
        """One of these; a None among them means NULL, and an empty collection fits nothing."""
        return self._add(field, "in", values)

    def not_in(self, field: str, values: Iterable[Any]) -> Self:
        """None of these; an empty collection is no condition."""
        return self._add(field, "not_in", values)

    def between(self, field: str, start: Any, end: Any) -> Self:
        """From start to end, both included."""
        return self._add(field, "between", (start, end))

    def like(self, field: str, pattern: str) -> Self:
        """Fits a pattern of SQL, in which ``%`` is any text and ``_`` any character."""
        return self._add(field, "like", pattern)

    def ilike(self, field: str, pattern: str) -> Self:
        """Fits a pattern of SQL, whatever the case."""
        return self._add(field, "ilike", pattern)

    def contains(self, field: str, text: str, *, ignore_case: bool = False) -> Self:
        """Has this text in it, ``%`` and ``_`` being ordinary characters."""
        return self._add(field, "icontains" if ignore_case else "contains", text)

    def startswith(self, field: str, text: str, *, ignore_case: bool = False) -> Self:
        """Begins with this text."""
        return self._add(field, "istartswith" if ignore_case else "startswith", text)

    def endswith(self, field: str, text: str, *, ignore_case: bool = False) -> Self:
        """Ends with this text."""
        return self._add(field, "iendswith" if ignore_case else "endswith", text)

    def is_null(self, field: str, value: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Is NULL, or with False is not; of a relationship: has nothing on the other side."""
        return self._add(field, "is_null", value)

    def and_(self, *parts: Filters) -> Self:
        """All of these."""
        return self._append(sa.and_(*(self._part(part) for part in parts)) if parts else sa.true())

    def or_(self, *parts: Filters) -> Self:
        """At least one of these; of none, nothing fits."""
        return self._append(sa.or_(*(self._part(part) for part in parts)) if parts else sa.false())

    def not_(self, part: Filters) -> Self:
        """Everything that does not fit this, rows where it is neither true nor false included."""
        return self._append(self._part(part).is_not(sa.true()))

    def from_dict(self, filters: Mapping[str, Any]) -> Self:
        """
        Add conditions by name, with the operator behind two underscores.

        Args:
            filters: For instance ``{"age__gte": 18, "profile.city": "Lima"}``.
        """
        for name, value in filters.items():
            path, operator = self._split(name)
            self._add(path, operator, value)
        return self

    def from_query_params(
        self, params: QueryParams, *names: str, ignore: Collection[str] = ()
    ) -> Self:
        """
        Add the conditions that the query string of a URL asks for.

        Args:
            params: The query string, a mapping, or pairs: texts, which are read as values of
                their columns. Several values for one name are a list, as ``in`` takes it.
            names: The filters that are offered, as in a dict: ``"age__gte"``,
                ``"profile.city"``. A client gets at no other column.
            ignore: Parameters that are for somebody else, such as ``page``.

        Raises:
            DataError: A text that is no value of its column.
            UnknownFieldError: A parameter that is neither offered nor ignored.

        Example:
            >>> from sqlalchemy import Integer
            >>> from sqlalchemy.orm import mapped_column
            >>> from andamios import BaseModel, FilterBuilder
            >>> class Sherpa(BaseModel):
            ...     age = mapped_column(Integer)
            >>> url = FilterBuilder(Sherpa).from_query_params("age__gte=18", "age__gte")
            >>> print(url.conditions[0])
            sherpa.age >= :age_1
        """
        from andamios.queries.parameters import filters_of  # noqa: PLC0415  brings pydantic

        return self.from_dict(filters_of(self.model, params, names, ignore))

    def _split(self, name: str) -> tuple[str, str]:
        path, separator, operator = name.rpartition("__")
        if not separator or not path or _has_path(self.model, name):
            return name, "eq"
        operator = SYNONYMS.get(operator, operator)
        if operator in OPERATORS:
            return path, operator
        dotted = name.replace("__", ".")
        if _has_path(self.model, dotted):
            raise UnknownFieldError(
                f"{self.model.__name__} has no field {name!r}. Did you mean {dotted!r}?"
            )
        raise unknown("operator", operator, OPERATORS, self.model)

    def _add(self, path: str, operator: str, value: Any) -> Self:
        def compare(attribute: Any) -> Condition:
            if relationship_of(attribute) is not None and operator not in RELATIONSHIP_OPERATORS:
                raise UnknownFieldError(
                    f"{attribute} is a relationship, which has no {operator!r}. Go along it: "
                    f"{path + '.id__' + operator!r}"
                )
            return OPERATORS[operator](attribute, value)

        return self._append(_reach(self.model, path, compare))

    def _append(self, condition: Condition) -> Self:
        if not _is_everything(condition):
            self.conditions.append(condition)
        return self

    def _part(self, part: Filters) -> Condition:
        conditions = expressions_of(self.model, part)
        if not conditions:
            raise QueryError("An empty filter inside and_, or_ or not_ means nothing")
        return sa.and_(*conditions)

    def __repr__(self) -> str:
        return f"FilterBuilder({self.model.__name__}, {len(self.conditions)} conditions)"


Filters = Mapping[str, Any] | FilterBuilder | Condition | Sequence[Any] | None
"""What a repository takes: a dict, a builder, SQL expressions, or nothing."""


def conditions_of(model: type[Any], filters: Any) -> tuple[Any, ...]:
    """
    Give the conditions that filters stand for; the caller keeps what it gave.

    Raises:
        QueryError: It is nothing that can be a condition.
    """
    if filters is None:
        return ()
    if isinstance(filters, FilterBuilder):
        if not (issubclass(model, filters.model) or issubclass(filters.model, model)):
            raise QueryError(
                f"This FilterBuilder is for {filters.model.__name__}, and the query for "
                f"{model.__name__}. Name fields along a relationship, as in 'profile.city'."
            )
        return tuple(filters.conditions)
    if isinstance(filters, Mapping):
        return tuple(found for pair in filters.items() for found in _named(model, *pair))
    if isinstance(filters, list | tuple):
        return tuple(found for part in filters for found in conditions_of(model, part))
    if is_expression(filters):
        check_comparisons(element_of(filters))
        return () if _is_everything(filters) else (sa.and_(filters),)
    hint = (
        " (comparing with 'is' gives a bool; SQL has .is_())" if isinstance(filters, bool) else ""
    )
    raise QueryError(
        "A condition is an SQL expression, a dict or a FilterBuilder, not "
        f"{type(filters).__name__}{hint}"
    )


def expressions_of(model: type[Any], filters: Any) -> tuple[Condition, ...]:
    """Give the conditions that filters stand for as expressions of SQLAlchemy."""
    return tuple(map(expression_of, conditions_of(model, filters)))


def _named(model: type[Any], name: str, value: Any) -> Iterable[Any]:
    found = comparisons(model, name, value)
    return FilterBuilder(model).from_dict({name: value}).conditions if found is None else found


def _is_everything(condition: Any) -> bool:
    """Whether a condition is none: a write that has only this one is unscoped."""
    while isinstance(condition, AsBoolean | Grouping):
        condition = condition.element
    if isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        return all(map(_is_everything, condition.clauses))
    if isinstance(condition, BinaryExpression):
        is_negated = condition.operator is operators.is_not and _is_everything(condition.right)
        if is_negated and _has_empty_list(condition.left, operators.in_op):
            return True
    return isinstance(condition, sa.True_) or _has_empty_list(condition, operators.not_in_op)


def _has_empty_list(condition: Any, operator: Any) -> bool:
    """Whether a condition is IN, or NOT IN, a list of nothing."""
    while isinstance(condition, Grouping):
        condition = condition.element
    if not isinstance(condition, BinaryExpression) or condition.operator is not operator:
        return False
    right = condition.right
    return isinstance(right, sa.BindParameter) and right.expanding and not right.value


def _reach(model: type[Any], path: str, compare: Callable[[Any], Condition]) -> Condition:
    name, _, rest = path.partition(".")
    attribute = field(model, name)
    if not rest:
        return compare(attribute)
    relationship = relationship_of(attribute)
    if relationship is None:
        raise UnknownFieldError(
            f"{model.__name__}.{name} is no relationship, so that there is no {rest!r} behind it"
        )
    condition = _reach(relationship.mapper.class_, rest, compare)
    if isinstance(condition, sa.True_):
        return condition
    found: Condition = (attribute.any if relationship.uselist else attribute.has)(condition)
    return found


def _has_path(model: type[Any], path: str) -> bool:
    name, _, rest = path.partition(".")
    if name not in mapper_of(model).all_orm_descriptors:
        return False
    if not rest:
        return True
    relationship = relationship_of(getattr(model, name))
    return relationship is not None and _has_path(relationship.mapper.class_, rest)
