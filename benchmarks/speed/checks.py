"""
Whether a system did what it was asked to do, before its speed is of interest.

What is read has to equal what the floor reads; what is written has to be there when the floor
looks. Each check gives what was expected and what there is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.speed.schema import CHILD_COLUMNS, COLUMNS, DATA, plain

if TYPE_CHECKING:
    from benchmarks.speed.floors import Floor
    from benchmarks.speed.operations import Operation

__all__ = [
    "Check",
    "all_stored",
    "all_updated",
    "changed",
    "done",
    "equal",
    "every_row",
    "families",
    "gone",
    "instances_stored",
    "keys_stored",
    "pairs",
    "row",
    "rows",
    "stored",
    "verify",
]

Found = tuple[Any, Any]
Check = Callable[["Operation", "Floor", tuple[Any, ...], Any], Awaitable[Found]]


async def verify(
    operation: Operation, system: Any, floor: Floor, arguments: tuple[Any, ...], result: Any
) -> None:
    """
    Check the result of one call.

    Raises:
        AssertionError: The system did something else than the floor.
    """
    expected, actual = await operation.check(operation, floor, arguments, result)
    if expected != actual:
        name = type(system).__name__
        raise AssertionError(
            f"{name}: {operation.title}: expected {expected!r:.400}, got {actual!r:.400}"
        )


async def _on_floor(operation: Operation, floor: Floor, arguments: tuple[Any, ...]) -> Any:
    return await getattr(floor, operation.method_for(is_floor=True))(*arguments)


async def row(operation: Operation, floor: Floor, arguments: Any, result: Any) -> Found:
    """Compare one row."""
    return plain(await _on_floor(operation, floor, arguments)), plain(result)


in_session = row


async def rows(operation: Operation, floor: Floor, arguments: Any, result: Any) -> Found:
    """Compare rows in order."""
    expected = await _on_floor(operation, floor, arguments)
    return [plain(each) for each in expected], [plain(each) for each in result]


async def pairs(operation: Operation, floor: Floor, arguments: Any, result: Any) -> Found:
    """Compare children with the names of their rows."""
    expected = await _on_floor(operation, floor, arguments)
    return [*map(_with_name, expected)], [*map(_with_name, result)]


def _with_name(item: Any) -> Any:
    if hasattr(item, "keys"):
        return plain(item, CHILD_COLUMNS), item["row_name"]
    if not isinstance(item, Sequence):
        return plain(item, CHILD_COLUMNS), item.row_name
    *child, name = item
    return plain(child[0] if len(child) == 1 else tuple(child), CHILD_COLUMNS), name


async def families(operation: Operation, floor: Floor, arguments: Any, result: Any) -> Found:
    """Compare rows with their children."""
    expected = await _on_floor(operation, floor, arguments)
    return [*map(_family, expected)], [*map(_family, result)]


def _family(item: Any) -> Any:
    parent, children = item if isinstance(item, tuple) else (item, item.children)
    if not hasattr(children, "__iter__"):  # Django's manager of what was loaded
        children = children.all()
    return plain(parent), sorted(plain(child, CHILD_COLUMNS) for child in children)


async def equal(operation: Operation, floor: Floor, arguments: Any, result: Any) -> Found:
    """Compare values."""
    return await _on_floor(operation, floor, arguments), result


async def stored(_operation: Operation, floor: Floor, arguments: Any, result: Any) -> Found:
    """Read the row that was written."""
    return plain(arguments[0], DATA), plain(await floor.get(result))[1:]


async def changed(_operation: Operation, floor: Floor, arguments: Any, _result: Any) -> Found:
    """Read the value that was set, and one that was not."""
    key, visits = arguments
    found = plain(await floor.get(key))
    actual = found[COLUMNS.index("visits")], found[COLUMNS.index("email")]
    return (visits, f"user{key - 1}@example.org"), actual


async def gone(_operation: Operation, floor: Floor, arguments: Any, _result: Any) -> Found:
    """Look for the row that was deleted."""
    return None, await floor.get(arguments[0])


async def all_stored(_operation: Operation, floor: Floor, arguments: Any, _result: Any) -> Found:
    """Read the rows that were written, by email."""
    sample = arguments[0][::97]
    found = [plain(await floor.get_by_email(values["email"]))[1:] for values in sample]
    return [plain(values, DATA) for values in sample], found


async def keys_stored(_operation: Operation, floor: Floor, arguments: Any, result: Any) -> Found:
    """Read rows by the keys that came back, in the order of what was given."""
    rows = arguments[0]
    expected = [plain(values, DATA) for values in rows[::97]]
    found = [plain(await floor.get(key))[1:] for key in list(result)[::97]]
    return (len(rows), expected), (len(set(result)), found)


async def instances_stored(
    operation: Operation, floor: Floor, arguments: Any, result: Any
) -> Found:
    """Compare objects with the rows of their keys."""
    expected, found = await keys_stored(
        operation, floor, arguments, [entity.id for entity in result]
    )
    objects = [plain(entity)[1:] for entity in list(result)[::97]]
    return (expected, expected[1]), (found, objects)


async def all_updated(_operation: Operation, floor: Floor, arguments: Any, _result: Any) -> Found:
    """Read the values that were set."""
    columns = [COLUMNS.index(name) for name in ("id", "visits", "note")]
    sample = arguments[0][::97]
    found = [plain(await floor.get(values["id"])) for values in sample]
    return [tuple(values.values()) for values in sample], [
        tuple(each[column] for column in columns) for each in found
    ]


async def every_row(_operation: Operation, floor: Floor, _arguments: Any, result: Any) -> Found:
    """Compare how many there were, and the last one."""
    count, last = result
    values = plain(last)
    return (await floor.total(), plain(await floor.get(values[0]))), (count, values)


async def done(_operation: Operation, _floor: Floor, arguments: Any, result: Any) -> Found:
    """Count the rows that were got."""
    return sum(map(len, arguments[0])), result
