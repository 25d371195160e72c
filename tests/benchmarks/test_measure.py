"""How rounds take turns, and what becomes of a system that cannot, or does something else."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from benchmarks.speed import checks
from benchmarks.speed.measure import Bench, Limits
from benchmarks.speed.operations import Operation
from benchmarks.speed.results import Figure
from benchmarks.speed.workload import Workload


class Counting:
    """A floor, or a system, without a database: it counts what is there already."""

    def __init__(self, name: str, said: list[str], answer: int = 7) -> None:
        self._name = name
        self._said = said
        self._answer = answer

    async def count(self, *_: Any) -> int:
        self._said.append(self._name)
        return self._answer


class Unable(Counting):
    """A system that has no way to do it on this backend."""

    async def count(self, *_: Any) -> int:
        raise NotImplementedError


async def twice(_work: Workload) -> list[tuple[Any, ...]]:
    return [(1,), (2,)]


COUNT = Operation("count", "count", "count", twice, checks.equal)


@contextlib.asynccontextmanager
async def bench(**systems: Any) -> AsyncIterator[Bench]:
    """Make a bench whose first system is the floor."""
    floor = systems["floor"]
    limits = Limits(rounds=3, least=3, seconds=60)
    yield Bench("postgresql", systems, floor, Workload(floor, 200), limits)


async def test_order_of_rounds_rotates() -> None:
    """Nobody is always first, and so nobody always finds the caches of another."""
    said: list[str] = []
    systems = {name: Counting(name, said) for name in ("floor", "a", "b")}
    async with bench(**systems) as opened:
        await opened.measure(COUNT)
    rounds = [said[-18:][place] for place in range(0, 18, 2)]
    assert ["floor", "a", "b", "a", "b", "floor", "b", "floor", "a"] == rounds


async def test_who_answers_otherwise_is_not_measured() -> None:
    """A system that gives another answer than the floor has a failure and no figure."""
    said: list[str] = []
    systems = {"floor": Counting("floor", said), "wrong": Counting("wrong", said, 8)}
    async with bench(**systems) as opened:
        measured = await opened.measure(COUNT)
    assert ["floor"] == list(measured.figures)
    assert {"wrong": "AssertionError: Counting: count: expected 7, got 8"} == measured.failures


async def test_who_cannot_is_left_out() -> None:
    """What a system has no way to do is no failure."""
    systems = {"floor": Counting("floor", []), "unable": Unable("unable", [])}
    async with bench(**systems) as opened:
        measured = await opened.measure(COUNT)
    assert (["floor"], {}) == (list(measured.figures), measured.failures)


async def test_floor_that_fails_ends_the_run() -> None:
    """Without a floor there is nothing to compare with."""
    async with bench(floor=Counting("floor", []), other=Counting("other", [])) as opened:
        broken = Operation("gone", "gone", "count", twice, checks.done)
        with pytest.raises(TypeError):
            await opened.measure(broken)


def test_figure_is_a_median_with_quartiles() -> None:
    """One slow round moves neither."""
    figure = Figure.of([1.0, 1.1, 1.2, 1.3, 9.0], [1e-3] * 5)
    assert Figure(1.2, 1.1, 1.3, 1000.0, 5) == figure


@pytest.mark.parametrize(
    ("rounds", "seconds", "is_over"),
    [(30, 0, True), (29, 7, False), (5, 8, True), (4, 8, False), (3, 30, True), (2, 99, False)],
)
def test_end_of_rounds(rounds: int, seconds: float, *, is_over: bool) -> None:
    """Slow operations have fewer rounds, and never too few for quartiles."""
    limits = Limits(rounds=30, least=5, seconds=8, patience=30)
    assert is_over == limits.is_over(rounds, seconds)
