"""The recorder: what became of operations, of many tasks, through lines and back."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from harness.faults.histories import (
    Bank,
    Counter,
    GrowingSet,
    History,
    HistoryError,
    ListAppend,
    Workload,
    drive,
)


class RefusedError(Exception):
    """Nothing has happened."""


class LostError(RefusedError):
    """Nobody knows."""


def recorder() -> History:
    """Give a recorder that knows both."""
    return History(failed=(RefusedError,), unknown=(LostError,))


def test_errors_say_how_it_ended() -> None:
    """An error of either kind ends an operation, and the task goes on."""
    history = recorder()
    for error in (RefusedError, LostError):
        with history.invoke(0, "add", 1):
            raise error

    assert [("fail", "RefusedError"), ("unknown", "LostError")] == [
        (each.outcome, each.error) for each in history
    ]


@pytest.mark.parametrize("error", [KeyError, asyncio.CancelledError])
def test_other_errors_are_raised(error: type[BaseException]) -> None:
    """What nobody named may have happened, and is not held back."""
    history = recorder()
    with pytest.raises(error), history.invoke(0, "add", 1):
        raise error

    assert {"ok": 0, "fail": 0, "unknown": 1} == history.counts()


def test_what_was_said_in_the_block_holds() -> None:
    """A block that ends its operation by itself is not ended again."""
    history = recorder()
    with history.invoke(0, "add", 1) as adding:
        adding.fail()
    with pytest.raises(LostError), history.invoke(0, "add", 1) as adding:  # noqa: PT012
        adding.ok()
        raise LostError

    assert ["fail", "ok"] == [each.outcome for each in history]
    with pytest.raises(HistoryError, match="operation 1 ends twice"):
        adding.ok()


def test_a_process_does_one_after_the_other() -> None:
    """Two operations at once under one number are a mistake of the test."""
    history = recorder()
    history.invoke(0, "add", 1)
    with pytest.raises(HistoryError, match="process 0 asks for 'read'"):
        history.invoke(0, "read")


def test_what_never_ended_is_unknown() -> None:
    """An operation whose process died is unknown, also from lines."""
    history = recorder()
    history.invoke(0, "add", 1)

    assert ["unknown"] == [each.outcome for each in History.from_lines(history.lines())]


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", '{"type":"ok","index":3}', '{"type":"invoke"}', '{"type":"?","index":0}'],
)
def test_broken_lines_are_told(line: str) -> None:
    """A line that is none is named by its number."""
    history = recorder()
    history.invoke(0, "add", 1)
    with pytest.raises(HistoryError, match="line 2 is no line of a history"):
        History.from_lines([*history.lines(), line])


class Memory:
    """Every store at once, in memory, with pauses between reading and writing."""

    def __init__(self, *, is_locked: bool = True) -> None:
        self.number = 0
        self.elements: list[int] = []
        self.lists: dict[Any, list[Any]] = {}
        self.accounts = dict.fromkeys(range(5), 100)
        self.is_locked = is_locked
        self._lock = asyncio.Lock()
        self._chance = random.Random(0)

    async def transaction(self) -> None:
        """Let others run, as a statement does."""
        for _ in range(self._chance.randrange(3)):
            await asyncio.sleep(0)


class Numbers(Memory):
    """A counter."""

    async def increment(self, amount: int) -> None:
        """Read, wait and write; alone if it is locked."""
        if self.is_locked:
            async with self._lock:
                await self._add(amount)
        else:
            await self._add(amount)

    async def _add(self, amount: int) -> None:
        number = self.number
        await self.transaction()
        self.number = number + amount

    async def read(self) -> int:
        """Give the number."""
        return self.number


class Elements(Memory):
    """A set."""

    async def add(self, element: int) -> None:
        """Add, and sometimes lose the answer."""
        await self.transaction()
        is_lost = self._chance.random() < 0.2
        if not is_lost or self._chance.random() < 0.5:
            self.elements.append(element)
        if is_lost:
            raise LostError

    async def read(self) -> Sequence[int]:
        """Give all."""
        return self.elements


class Accounts(Memory):
    """A bank."""

    async def transfer(self, source: int, target: int, amount: int) -> bool:
        """Move at once, or refuse."""
        await self.transaction()
        if self.accounts[source] < amount:
            return False
        self.accounts[source] -= amount
        self.accounts[target] += amount
        return True

    async def read(self) -> Mapping[int, int]:
        """Give all balances."""
        return self.accounts


class Lists(Memory):
    """Lists."""

    async def transact(self, steps: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any] | None]:
        """Do the steps, alone if it is locked."""
        if self.is_locked:
            async with self._lock:
                return [await self._step(*step) for step in steps]
        return [await self._step(*step) for step in steps]

    async def _step(self, name: str, key: int, element: int) -> list[int] | None:
        await self.transaction()
        found = self.lists.get(key, [])
        if name == "read":
            return list(found)
        await self.transaction()
        self.lists[key] = [*found, element]
        return None


async def test_workloads_run_on_stores() -> None:
    """Each workload runs on its store, by many tasks, and is clean."""
    pairs: list[tuple[Workload[Any], Any]] = [
        (Counter(), Numbers()),
        (GrowingSet(), Elements()),
        (Bank(), Accounts()),
        (ListAppend(), Lists()),
    ]
    for workload, store in pairs:
        history = recorder()
        await drive(workload, store, history, seed=3)
        verdict = workload.check(history)
        assert verdict.is_valid, verdict
        assert 500 < sum(verdict.counts.values())


async def test_workloads_find_what_locks_prevent() -> None:
    """Without the lock a counter loses increments, and lists show anomalies."""
    counted, listed = History(), History()
    await drive(Counter(), Numbers(is_locked=False), counted)
    await drive(ListAppend(), Lists(is_locked=False), listed)

    assert {"lost increment"} == Counter().check(counted).kinds().keys()
    found = ListAppend().check(listed).kinds()
    assert {"G-single", "lost update", "lost append"} <= found.keys()


async def test_a_seed_asks_the_same() -> None:
    """Each process asks the same again with the same seed, and something else with another."""
    asked = []
    for seed in (1, 1, 2):
        history = History()
        await drive(Bank(), Accounts(), history, operations=20, seed=seed)
        asked.append([[each.asked for each in history if each.process == n] for n in range(5)])

    assert asked[0] == asked[1] != asked[2]
