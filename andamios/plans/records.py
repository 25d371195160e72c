"""
Generated functions that make a driver's records of rows: values bound, defaults filled in.

What SQLAlchemy does for each row when it inserts many is written out for each column once. Rows
are dicts, or what objects hold; of both the function may also make what comes back to the caller.
"""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import ClauseElement

from andamios.core.strict import AS_IT_IS
from andamios.plans.builders import a_dict, steps_of_object
from andamios.plans.forms import UnplannableError
from andamios.plans.plan import binding, refusal
from andamios.plans.states import STATE, names_of, state_maker
from andamios.plans.writes import is_made, maker_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Column
    from sqlalchemy.engine import Dialect

__all__ = ["Kept", "Records", "binder", "is_sql_type", "picked"]

Kept = Literal["nothing", "keys", "entities", "changes"]
"""
What of new rows comes back: keys, objects, or what objects do not have yet.

With nothing, a None is NULL, as in SQLAlchemy's bulk inserts. Otherwise it stands for the
column's default, as in SQLAlchemy's unit of work.
"""


class Records:
    """
    Makes records of rows that have the same fields.

    Args:
        mapper: Of the model.
        fields: What rows have, by attribute: all of it in the order of their values; or, if
            they are mixed, what any of them has.
        kept: What is made besides.
        dialect: Whose types.

    Raises:
        UnplannableError: SQLAlchemy has to do it.
    """

    def __init__(
        self, mapper: Any, fields: Sequence[str] | frozenset[str], kept: Kept, dialect: Dialect
    ) -> None:
        self._mapper, self._fields, self._kept, self._dialect = mapper, fields, kept, dialect
        self._is_mixed = isinstance(fields, frozenset)
        self._names: dict[str, Any] = {}
        self._values: dict[Column[Any], str] = {}
        self._changed: set[Column[Any]] = set()
        self._filled: list[str] = []
        """Fields that the database fills in where they are None."""
        self._present: list[str] = []
        """Fields of which a None is a value."""
        self.made: list[Column[Any]] = []
        """Columns whose values the database makes, and is asked for before."""
        self._steps = [*self._given(), *self._missing()]
        if self._is_mixed:
            gets = [f"c{index} = row.get({field!r})" for index, field in enumerate(fields)]
            self._steps = gets + self._steps
        self.columns: list[Column[Any]] = list(self._values)
        """What is written, in the order of a record."""
        self._build = self._generate()

    def values(self, rows: Sequence[Any]) -> Sequence[Any]:
        """
        Give what :meth:`bind` takes of rows.

        Raises:
            UnplannableError: They have other fields, or the database would make a value for
                some of them.
        """
        for field in self._filled:
            if any(row.get(field) is None for row in rows):
                raise UnplannableError("the database makes a value for some of the rows")
        for field in self._present:
            if any(field not in row for row in rows):
                raise UnplannableError("some of the rows have a document, if only null")
        if self._is_mixed or not self._fields:
            values: Iterable[Any] = chain.from_iterable(row.values() for row in rows)
        else:
            rows = picked(rows, self._fields)
            values = chain.from_iterable(rows) if len(self._fields) > 1 else rows
        if self._kept != "nothing" and any(map(is_sql_type, {*map(type, values)})):
            raise UnplannableError("a value is an expression of SQL")
        return rows

    def bind(self, rows: Sequence[Any], made: Sequence[Any], sql: str) -> tuple[list[Any], Any]:
        """
        Make records of rows.

        Args:
            rows: As :meth:`values` gives them.
            made: For each row, the values that the database makes.
            sql: The statement that they are for.

        Returns:
            The records, and what is kept of each row.

        Raises:
            DataError: A value does not fit its type.
        """
        try:
            found: tuple[list[Any], Any] = self._build(rows, made)
        except Exception as error:
            raise refusal(error, sql) from error
        return found

    def numbered(self, kept: list[Any], keys: Sequence[int]) -> list[Any]:
        """Put keys into what was kept of rows that were bound without them."""
        (column,) = self.made
        name = self._attributes[column]
        if self._kept == "keys":
            return [*keys]
        if self._kept == "changes":
            for changes, key in zip(kept, keys, strict=True):
                changes[name] = key
            return kept
        make_state = state_maker(self._mapper)
        for entity, key in zip(kept, keys, strict=True):
            entity.__dict__[name] = key
            if STATE in entity.__dict__:
                make_state(entity)
        return kept

    def _given(self) -> Iterator[str]:
        """Take what rows have, and give the steps that it takes."""
        for index, field in enumerate(self._fields):
            if field not in self._mapper.column_attrs:
                raise UnplannableError("there is no such column")
            (column,) = self._mapper.column_attrs[field].columns
            if column is self._mapper.version_id_col:
                continue
            if column.computed is not None:
                raise UnplannableError("the database computes a column that was given")
            self._values[column] = f"c{index}"
            if self._kept == "nothing":
                continue
            if column.type.should_evaluate_none:
                if self._is_mixed:
                    self._present.append(field)
            elif column.default is not None:
                self._changed.add(column)
                yield f"if c{index} is None: c{index} = {self._made_by(column)}"
            elif is_made(self._mapper, column):
                self._filled.append(field)

    def _missing(self) -> Iterator[str]:
        """Take what rows do not have, and give the steps that it takes."""
        for index, column in enumerate(self._mapper.local_table.c):
            if column in self._values:
                continue
            if column is self._mapper.version_id_col:
                generator = self._mapper.version_id_generator
                if not callable(generator):
                    raise UnplannableError("the database counts versions")
                yield f"d{index} = {self._named('version', generator)}(None)"
            elif column.default is not None:
                yield f"d{index} = {self._made_by(column)}"
            else:
                self._fill(column)
                continue
            self._changed.add(column)
            self._values[column] = f"d{index}"

    def _fill(self, column: Column[Any]) -> None:
        """Take what nobody on this side has a value for."""
        if is_made(self._mapper, column):
            if self._kept == "nothing" or (self._kept == "keys" and not column.primary_key):
                return
            if column.computed is not None:
                raise UnplannableError("the database computes a column")
            self._changed.add(column)
            self._values[column] = f"m{len(self.made)}"
            self.made.append(column)
        elif column.primary_key:
            raise UnplannableError("nobody makes the key")
        elif self._kept == "nothing":
            return
        elif column in self._attributes and not column.type.should_evaluate_none:
            self._values[column] = "None"

    @property
    def _attributes(self) -> dict[Column[Any], str]:
        return {item.columns[0]: item.key for item in self._mapper.column_attrs}

    def _made_by(self, column: Column[Any]) -> str:
        """Name what makes the default of a column."""
        default: Any = column.default
        if default.is_scalar:
            return self._named("default", default.arg)
        return self._named("default", maker_of(default)) + "()"

    def _named(self, kind: str, thing: Any) -> str:
        name = f"{kind}{len(self._names)}"
        self._names[name] = thing
        return name

    def _generate(self) -> Any:
        record = "".join(f"{self._bound(*item)}, " for item in self._values.items())
        lines = [*self._steps, f"add(({record}))", *self._keep()]
        source = "def build(rows, made):\n    records, kept = [], []\n"
        source += "    add, keep = records.append, kept.append\n"
        source += f"    for {self._loop()}:\n"
        source += "".join(f"        {line}\n" for line in lines)
        source += "    return records, kept\n"
        exec(compile(source, "<andamios records>", "exec"), self._names)  # noqa: S102  our own
        return self._names["build"]

    def _loop(self) -> str:
        row = "row"
        if not self._is_mixed and self._fields:
            parts = [f"c{index}" for index in range(len(self._fields))]
            row = parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
        if not self.made:
            return f"{row} in rows"
        places = "".join(f"m{place}, " for place in range(len(self.made)))
        return f"{row}, ({places}) in zip(rows, made, strict=True)"

    def _bound(self, column: Column[Any], value: str) -> str:
        convert = binder(column.type, self._dialect)
        if convert is None:
            return value
        bound = f"{self._named('bind', convert)}({value})"
        as_it_is = AS_IT_IS.get(convert)
        return bound if as_it_is is None else f"{value} if {as_it_is.format(value)} else {bound}"

    def _keep(self) -> Iterator[str]:
        """Give the steps that make what is kept."""
        values = {
            name: self._values[column]
            for column, name in self._attributes.items()
            if self._values.get(column, "None") != "None"
        }
        if self._kept == "keys":
            key = names_of(self._mapper)[1]
            parts = ", ".join(values[name] for name in key)
            yield f"keep({parts})" if len(key) == 1 else f"keep(({parts}))"
        elif self._kept == "changes":
            changed = {self._attributes.get(column) for column in self._changed}
            yield f"keep({a_dict((name, v) for name, v in values.items() if name in changed)})"
        elif self._kept == "entities":
            yield from steps_of_object(self._mapper, values, self._names)
            yield "keep(entity)"


def binder(kind: Any, dialect: Any) -> Callable[[Any], Any] | None:
    """Give what binds a value; documents that the server keeps no text of are written quickly."""
    from andamios.core.json import dumps, dumps_quickly  # noqa: PLC0415  msgspec comes along

    bind = binding(kind, dialect)
    is_ours = dialect._json_serializer is dumps  # noqa: SLF001
    is_document = getattr(kind.dialect_impl(dialect), "__visit_name__", None) == "JSONB"
    if bind is None or not (is_ours and is_document):
        return bind

    def quickly(value: Any) -> Any:
        return dumps_quickly(value) if type(value) in {dict, list} else bind(value)

    return quickly


def picked(rows: Sequence[Any], fields: Any) -> list[Any]:
    """
    Give the values of dicts: tuples, or of one field the values alone.

    Raises:
        UnplannableError: They have other fields.
    """
    try:
        if {*map(len, rows)} == {len(fields)}:
            return [*map(itemgetter(*fields), rows)]
    except KeyError:
        pass
    raise UnplannableError("rows have different fields")


def is_sql_type(kind: type[Any]) -> bool:
    """Whether values of a type are expressions of SQL."""
    return issubclass(kind, ClauseElement) or hasattr(kind, "__clause_element__")
