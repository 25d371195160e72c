"""Get by key, list 1,000, insert one: the repository on an engine against the raw driver."""

from collections.abc import Callable
from typing import Any

from floors import Floor
from tables import BenchRow, make_rows

from andamios import AndamiosEngine, GenericRepository


def test_get_by_key(
    compare: Callable[..., None], bench_engine: AndamiosEngine, floor: Floor
) -> None:
    """One row by its key."""
    rows = GenericRepository[BenchRow](bench_engine)
    compare("get by key", lambda: floor.get(77), lambda: rows.get_by_id(77), times=50)


def test_list_1000(
    compare: Callable[..., None], bench_engine: AndamiosEngine, floor: Floor
) -> None:
    """A thousand rows as objects."""
    query = GenericRepository[BenchRow](bench_engine).query().order_by(BenchRow.id).limit(1000)
    compare("list 1,000", lambda: floor.list_rows(1000), query.execute)


def test_insert(compare: Callable[..., None], bench_engine: AndamiosEngine, floor: Floor) -> None:
    """One row, its key back."""
    rows = GenericRepository[BenchRow](bench_engine)
    values: dict[str, Any] = next(make_rows(1))
    compare(
        "insert one",
        lambda: floor.insert(values),
        lambda: rows.create(BenchRow(**values)),
        times=20,
    )
