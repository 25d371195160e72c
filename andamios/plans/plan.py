"""
Plans: what is known of a statement once SQLAlchemy has compiled it.

A plan has the SQL, where each parameter comes from and how it is bound, and, once the database has
told the types, a generated function that makes results of rows. It serves every statement of
the same form, with its own values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import StatementError
from sqlalchemy.sql.compiler import WARN_LINTING

from andamios.core.translation import translate
from andamios.plans.builders import builder
from andamios.plans.forms import UnplannableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import ClauseElement
    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

    from andamios.plans.builders import Shape
    from andamios.plans.drivers import Driver

__all__ = ["Plan", "binding", "refusal"]


class Plan:
    """
    The plan of a SELECT.

    Args:
        statement: Any statement of the form.
        parameters: Its parameters, in the order of the form.
        shape: What rows become.
        dialect: Whose SQL.

    Raises:
        UnplannableError: Its parameters cannot be traced.
    """

    def __init__(
        self,
        statement: ClauseElement,
        parameters: Sequence[Any],
        shape: Shape,
        dialect: Dialect,
    ) -> None:
        linting = dialect.compiler_linting | WARN_LINTING  # of tables without a connection
        compiled: Any = statement.compile(dialect=dialect, linting=linting)
        if compiled.literal_execute_params:
            raise UnplannableError("it has values that are written into the SQL")
        self.sql: str = compiled.string
        self._dialect = dialect
        self.shape = shape
        self._compiled = compiled if compiled.post_compile_params else None
        constants = _constants(statement, compiled, parameters)
        self._constants = [constant.effective_value for constant in constants]
        self._keys = [parameter.key for parameter in (*parameters, *constants)]
        self._converts = _converts(compiled)
        self._places = _places(compiled, self._keys, self._converts)
        self.mapper = shape.mapper
        self._description: Any = self  # of no answer yet
        self._build: Any = None
        self._builders: dict[Any, Any] = {}

    def bind(self, values: Sequence[Any]) -> tuple[str, list[Any]]:
        """
        Give SQL and bound values for a statement of this form.

        Args:
            values: Of the form's parameters.

        Raises:
            DataError: A value does not fit its type.
        """
        if self._constants:
            values = [*values, *self._constants]
        try:
            if self._compiled is not None:
                return self._expanded(values)
            return self.sql, [
                values[place] if convert is None else convert(values[place])
                for place, convert in self._places
            ]
        except Exception as error:
            raise refusal(error, self.sql) from error

    def _expanded(self, values: Sequence[Any]) -> tuple[str, list[Any]]:
        """Write lists of values out, as SQLAlchemy does for IN."""
        compiled: Any = self._compiled
        state = compiled.construct_expanded_state(dict(zip(self._keys, values, strict=True)))
        converts, given = {**self._converts, **state.processors}, state.parameters
        return state.statement, [
            converts[name](given[name]) if name in converts else given[name]
            for name in state.positiontup
        ]

    def build(self, rows: Sequence[Any], description: Any, driver: Driver | None) -> list[Any]:
        """Make results of rows."""
        if description is not self._description:
            assert driver is not None
            codes = driver.codes(description) if description is not None else None
            if codes not in self._builders:
                self._builders[codes] = builder(self.shape, codes, self._dialect)
            self._build, self._description = self._builders[codes], description
        found: list[Any] = self._build(rows)
        return found


def refusal(error: Exception, sql: str) -> Exception:
    """Give what SQLAlchemy's refusal to bind a value is translated to."""
    return translate(StatementError(str(error), sql, None, error)) or error


def binding(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Give what makes a value of a type one that the driver takes; None leaves it as it is."""
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _converts(compiled: Any) -> dict[str, Callable[[Any], Any]]:
    """Give what binds each parameter; those of lists are bound when they are written out."""
    found = {
        name: binding(parameter.type, compiled.dialect)
        for parameter, name in compiled.bind_names.items()
        if parameter not in compiled.post_compile_params
    }
    return {name: convert for name, convert in found.items() if convert is not None}


def _constants(statement: Any, compiled: Any, parameters: Sequence[Any]) -> list[Any]:
    """Find the parameters that the compiler added, such as SQLite's ``OFFSET 0``."""
    whole = statement._generate_cache_key()  # noqa: SLF001
    known = {parameter.key for parameter in parameters}
    others = [parameter for parameter in compiled.bind_names if parameter.key not in known]
    own = {parameter.key for parameter in whole.bindparams} if whole is not None else None
    if others and (own is None or any(parameter.key in own for parameter in others)):
        raise UnplannableError("it has a parameter that is not of its form")
    if any(parameter.required or parameter.callable is not None for parameter in others):
        raise UnplannableError("it has a parameter that is another each time")
    return others


def _places(
    compiled: Any, keys: Sequence[str], converts: Mapping[str, Callable[[Any], Any]]
) -> tuple[tuple[int, Callable[[Any], Any] | None], ...]:
    """Find, for each place in the SQL, the parameter of the form that fills it."""
    known = {key: index for index, key in enumerate(keys)}
    named = {name: parameter for parameter, name in compiled.bind_names.items()}
    return tuple(
        (known[named[name].key], converts.get(name))
        for name in compiled.positiontup or ()
        if name in named
    )
