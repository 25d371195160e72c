"""Trials: what is counted of a workload under a fault, on stores that lie as they are told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from harness.faults.histories import Counter, GrowingSet, HistoryError, ListAppend
from harness.faults.trials import Plan, Trial, try_fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.faults.histories import Workload


class Lists:
    """Lists in memory, which are broken from some moment on."""

    def __init__(self) -> None:
        self.lists: dict[int, list[int]] = {}
        self.times = 1
        self.is_gone = False

    async def transact(self, steps: Sequence[Any]) -> list[list[int] | None]:
        if self.is_gone:
            raise PermissionError
        return [self._step(*step) for step in steps]

    def _step(self, name: str, key: int, element: int) -> list[int] | None:
        if name == "read":
            return list(self.lists.get(key, ()))
        self.lists.setdefault(key, []).extend([element] * self.times)
        return None


class Elements:
    """Elements in memory, each so many times as it is said."""

    def __init__(self) -> None:
        self.elements: list[int] = []
        self.times = 1

    async def add(self, element: int) -> None:
        self.elements += [element] * self.times

    async def read(self) -> list[int]:
        return self.elements


class Number:
    """A number in memory, to which is added so many times as it is said."""

    def __init__(self) -> None:
        self.value = 0
        self.times = 1

    async def increment(self, amount: int) -> None:
        self.value += amount * self.times

    async def read(self) -> int:
        return self.value


STORES: dict[str, tuple[Workload[Any], type[Any]]] = {
    "set": (GrowingSet(), Elements),
    "counter": (Counter(), Number),
    "list-append": (ListAppend(), Lists),
}


async def tried(workload: Workload[Any], store: Any, *, times: int = 1) -> Trial:
    """Run a trial in whose middle each write begins to happen so many times."""

    async def strike() -> None:
        store.times = times
        await asyncio.sleep(0.02)

    named = Trial("a fault", "postgresql", "a workload")
    plan = Plan(processes=2, before=0.05, after=0.05, patience=1.0)
    trial, _ = await try_fault(named, workload, store, strike=strike, plan=plan)
    return trial


@pytest.mark.parametrize("workload", STORES)
async def test_what_is_twice_is_counted_as_doubled(workload: str) -> None:
    """Whatever its checker calls it, a write that happened twice is in the table as one."""
    checker, store = STORES[workload]
    trial = await tried(checker, store(), times=2)

    assert trial.doubled > 0
    assert (0, trial.doubled) == (trial.lost, trial.forbidden)


@pytest.mark.parametrize("workload", STORES)
async def test_what_is_gone_is_counted_as_lost(workload: str) -> None:
    """Whatever its checker calls it, a write that was acknowledged and is gone counts as lost."""
    checker, store = STORES[workload]
    trial = await tried(checker, store(), times=0)

    assert trial.lost > 0
    assert trial.doubled == 0
    assert trial.forbidden >= trial.lost


@pytest.mark.parametrize("workload", STORES)
async def test_all_is_well(workload: str) -> None:
    """A store that does what it says has nothing lost and nothing doubled."""
    checker, store = STORES[workload]
    trial = await tried(checker, store())

    assert (0, 0, 0) == (trial.lost, trial.doubled, trial.forbidden)
    assert trial.recovery is not None


async def test_a_plan_serves_many_trials() -> None:
    """What one trial did leaves nothing in its plan."""
    plan = Plan(processes=2, before=0.05, after=0.05, patience=1.0)
    for _ in range(2):
        checker, store = STORES["set"]
        named = Trial("a fault", "postgresql", "a workload")
        trial, _ = await try_fault(named, checker, store(), strike=nothing, plan=plan)
        assert trial.counts["ok"] > 2
        assert trial.recovery is not None


async def test_a_workload_of_which_nothing_succeeds_is_no_proof() -> None:
    """A store that refuses everything lost nothing, and proves nothing."""
    store = Lists()
    store.is_gone = True
    plan = Plan(failed=(PermissionError,), processes=1, before=0.01, after=0.01, patience=0.1)
    with pytest.raises(HistoryError, match="no operation succeeded"):
        await try_fault(Trial("f", "sqlite", "l"), ListAppend(), store, strike=nothing, plan=plan)


async def test_an_unknown_database_is_refused_at_once() -> None:
    """Nothing is broken for a history that nobody could judge."""
    struck = False

    async def strike() -> None:
        nonlocal struck
        struck = True

    with pytest.raises(ValueError, match="no levels are known of 'x'"):
        await try_fault(Trial("f", "x", "l"), ListAppend(), Lists(), strike=strike, plan=Plan())
    assert not struck


async def nothing() -> None:
    """Break nothing."""


async def test_a_last_read_that_fails_is_no_proof() -> None:
    """A trial whose last reads are refused says nothing about losses, and fails."""
    store = Lists()

    async def strike() -> None:
        asyncio.get_running_loop().call_later(0.1, lambda: setattr(store, "is_gone", True))

    plan = Plan(failed=(PermissionError,), processes=1, before=0.01, after=0.2)
    with pytest.raises(HistoryError, match=r"last .*transaction.* ended as fail \(PermissionError"):
        await try_fault(Trial("f", "sqlite", "l"), ListAppend(), store, strike=strike, plan=plan)
