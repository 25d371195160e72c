"""
Generated functions that make results of a driver's rows.

A loop over columns for each row is what SQLAlchemy's results cost. Here the loop is unrolled when
the plan is made: one function for the statement, in which every column has its place, and
conversions are called only where a type has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.engine import result_tuple

from andamios.plans.states import has_late_state, names_of, state_maker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.engine import Dialect
    from sqlalchemy.orm import Mapper
    from sqlalchemy.types import TypeEngine

__all__ = ["NOTHING", "Kind", "Shape", "a_dict", "builder", "objects_shape", "steps_of_object"]

Kind = Literal["objects", "members", "dicts", "rows", "tuples", "scalars"]
"""
What rows become: objects of no session; dicts, from which a session makes its members, or
which are wanted as such; rows of SQLAlchemy; tuples; or the first column alone.
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """
    What a row becomes.

    Args:
        kind: Which of these.
        names: Of the columns; of objects, of their attributes.
        types: Of the columns.
        mapper: Of objects.
        aliases: What else finds a column in a row: expressions and attributes.
        is_shared: Whether rows may have the same object, or none.
        parts: What else a row has of these, one behind the other.
    """

    kind: Kind
    names: tuple[str, ...]
    types: tuple[TypeEngine[Any], ...]
    mapper: Mapper[Any] | None = None
    aliases: tuple[tuple[Any, ...], ...] = ()
    is_shared: bool = False
    parts: tuple[Shape, ...] = ()


NOTHING = Shape("tuples", (), ())


def objects_shape(mapper: Any, kind: Kind = "objects", *, is_shared: bool = False) -> Shape:
    """Give the shape of rows that have all columns of a mapper, in its order."""
    types = {each.key: each.columns[0].type for each in mapper.column_attrs}
    return Shape(kind, tuple(types), tuple(types.values()), mapper, is_shared=is_shared)


def builder(
    shape: Shape, codes: Sequence[Any] | None, dialect: Dialect, *, around: tuple[int, int] = (0, 0)
) -> Any:
    """
    Generate the function that makes a list of results of a list of rows.

    Args:
        shape: What a row becomes.
        codes: The database's codes of the columns' types, if it tells them.
        dialect: Whose conversions.
        around: How many columns of rows before and behind these belong to others.

    Returns:
        The function; of a shape with parts, it makes a list for each of them.
    """
    if shape.parts:
        split = _parted(shape.parts, codes, dialect)
        return split if shape.kind == "objects" else _joined(shape, split)
    if not shape.names:
        return lambda rows: [()] * len(rows)
    values, names = _converted(shape, codes, dialect)
    own = [f"c{index}" for index in range(len(shape.names))]
    columns = ", ".join(["_"] * around[0] + own + ["_"] * around[1])
    if shape.kind == "objects":
        steps = steps_of_object(shape.mapper, dict(zip(shape.names, values, strict=True)), names)
        lines = ["found = []", "add = found.append", f"for {columns}, in rows:"]
        lines += [*(f"    {step}" for step in steps), "    add(entity)", "return found"]
    else:
        lines = [f"return [{_made(shape, values, names)} for {columns}, in rows]"]
    source = "\n    ".join(["def build(rows):", *lines])
    exec(compile(source, "<andamios plan>", "exec"), names)  # noqa: S102  our own source
    return names["build"]


def _joined(shape: Shape, split: Any) -> Any:
    """Make the function that puts the parts of each row into one row or dict."""
    names = shape.names
    if shape.kind == "tuples":
        return lambda rows: [*zip(*split(rows), strict=True)]
    if shape.kind == "dicts":
        return lambda rows: [
            dict(zip(names, parts, strict=True)) for parts in zip(*split(rows), strict=True)
        ]
    row = result_tuple(names, shape.aliases)
    return lambda rows: list(map(row, zip(*split(rows), strict=True)))


def _parted(parts: Sequence[Shape], codes: Sequence[Any] | None, dialect: Dialect) -> Any:
    """Make the function that takes rows apart."""
    builds, end, width = [], 0, sum(len(part.names) for part in parts)
    for part in parts:
        start, end = end, end + len(part.names)
        around = (0, 0) if part.is_shared else (start, width - end)
        known = None if codes is None else codes[start:end]
        build = builder(part, known, dialect, around=around)
        builds.append(_shared(part, build, slice(start, end)) if part.is_shared else build)
    return lambda rows: [build(rows) for build in builds]


def _shared(part: Shape, build: Any, place: slice) -> Any:
    """Make the function that makes the same object of all rows that have it, and None of none."""
    names = names_of(part.mapper)[1]
    key = itemgetter(*(place.start + part.names.index(name) for name in names))
    missing = None if len(names) == 1 else (None,) * len(names)

    def shared(rows: Sequence[Any]) -> list[Any]:
        keys = list(map(key, rows))
        first = dict(zip(keys, rows, strict=True))
        first.pop(missing, None)
        found = build([row[place] for row in first.values()])
        return list(map(dict(zip(first, found, strict=True)).get, keys))

    return shared


def _converted(
    shape: Shape, codes: Sequence[Any] | None, dialect: Dialect
) -> tuple[list[str], dict[str, Any]]:
    """Write the expression for each column, and name the conversions that it calls."""
    values, names = [], {}
    for index, kind in enumerate(shape.types):
        code = codes[index] if codes is not None else None
        convert = kind.dialect_impl(dialect).result_processor(dialect, code)
        if convert is None:
            values.append(f"c{index}")
        else:
            names[f"convert{index}"] = convert
            values.append(f"convert{index}(c{index})")
    return values, names


def a_dict(values: Iterable[tuple[str, str]]) -> str:
    """Write a dict of expressions."""
    return "{" + ", ".join(f"{name!r}: {value}" for name, value in values) + "}"


def _made(shape: Shape, values: list[str], names: dict[str, Any]) -> str:
    """Write the expression for a row that is no object."""
    if shape.kind in {"dicts", "members"}:
        return a_dict(zip(shape.names, values, strict=True))
    if shape.kind == "scalars":
        return values[0]
    row = f"({', '.join(values)},)"
    if shape.kind == "rows":
        names["row"] = result_tuple(shape.names, shape.aliases or None)
        return f"row({row})"
    return row


def steps_of_object(mapper: Any, values: Mapping[str, str], names: dict[str, Any]) -> list[str]:
    """
    Write the steps that make an ``entity``, which belongs to no session.

    Args:
        mapper: Of the object.
        values: Expressions by attribute.
        names: Those that the steps use are put here.
    """
    model = mapper.class_
    names |= {"model": model, "new": model.__new__, "make_state": state_maker(mapper)}
    steps = ["entity = new(model)", f"entity.__dict__ = {a_dict(values.items())}"]
    if not has_late_state(model) or values.keys() < names_of(mapper)[0]:
        steps.append("make_state(entity)")
    return steps
