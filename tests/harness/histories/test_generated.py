"""Histories of a database that does one transaction after the other, and what one lie changes."""

from dataclasses import dataclass
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.faults.histories import Bank, Counter, GrowingSet, History, ListAppend, Outcome

KEYS = 3
STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, KEYS - 1)), min_size=1, max_size=4)
FATES = st.sampled_from(["ok", "ok", "ok", "fail", "happened", "lost"])
GROUPS = st.lists(st.lists(st.tuples(STEPS, FATES), min_size=1, max_size=4), max_size=8)


@dataclass
class Executor:
    """
    Executes transactions serially, some of which began at the same time.

    With snapshots those see nothing of each other, and of two that append to one list the second
    fails.
    """

    lists: dict[int, list[int]]
    history: History
    has_snapshots: bool = False
    elements: int = 0

    def run(self, group: list[tuple[list[tuple[bool, int]], str]]) -> None:
        """Do transactions which all begin before any ends."""
        begun = []
        for process, (steps, fate) in enumerate(group):
            asked = [self._step(*step) for step in steps]
            begun.append((self.history.invoke(process, "transaction", asked), asked, fate))
        before = {key: list(elements) for key, elements in self.lists.items()}
        for invocation, asked, fate in begun:
            seen = before if self.has_snapshots else self.lists
            appends = [(key, element) for name, key, element in asked if name == "append"]
            if any(seen[key] != self.lists[key] for key, _ in appends):
                invocation.fail()
                continue
            answer = self._read(seen, asked)
            for key, element in appends if fate in ("ok", "happened") else ():
                self.lists[key].append(element)
            if fate == "ok":
                invocation.ok(answer)
            else:
                (invocation.fail if fate == "fail" else invocation.unknown)()

    def _step(self, is_read: bool, key: int) -> list[Any]:
        self.elements += 1
        return ["read", key, None] if is_read else ["append", key, self.elements]

    def _read(self, seen: dict[int, list[int]], asked: list[list[Any]]) -> list[Any]:
        lists = {key: list(elements) for key, elements in seen.items()}
        answer = []
        for name, key, element in asked:
            if name == "append":
                lists[key].append(element)
            answer.append(list(lists[key]) if name == "read" else None)
        return answer


def executed(groups: list[Any], *, has_snapshots: bool = False) -> History:
    """Give a serial history, at the end of which everything is read twice."""
    executor = Executor({key: [] for key in range(KEYS)}, History(), has_snapshots)
    for group in groups:
        executor.run(group)
    for _ in range(2):
        executor.run([([(True, key) for key in range(KEYS)], "ok")])
    return executor.history


@given(GROUPS)
@settings(deadline=None)
def test_serial_histories_are_clean(groups: list[Any]) -> None:
    """Nothing is found where nothing is wrong, whatever became of the unknown."""
    assert {} == ListAppend().check(executed(groups)).kinds()


@given(GROUPS)
@settings(deadline=None)
def test_snapshots_allow_write_skew_only(groups: list[Any]) -> None:
    """Under snapshot isolation there is G2, and nothing else."""
    history = executed(groups, has_snapshots=True)

    assert ListAppend().check(history).kinds().keys() <= {"G2"}


def last_list(history: History, length: int, chance: int) -> list[int]:
    """Give one of the lists that were read last and are so long."""
    lists = [each for each in history[len(history) - 1].answer if len(each) >= length]
    assume(lists)
    found: list[int] = lists[chance % len(lists)]
    return found


@given(GROUPS, st.integers(0, 100), st.integers(0, 100))
@settings(deadline=None)
def test_a_dropped_element_is_found(groups: list[Any], which: int, place: int) -> None:
    """An element that one read lacks makes an anomaly."""
    history = executed(groups)
    read = last_list(history, 1, which)
    dropped = place % len(read)
    # One that is last and unknown may have been appended after this read.
    assume(dropped < len(read) - 1 or read[-1] in appended(history, "ok"))
    del read[dropped]

    assert not ListAppend().check(history, isolation="READ COMMITTED").is_valid


@given(GROUPS, st.integers(0, 100))
@settings(deadline=None)
def test_another_order_is_found(groups: list[Any], which: int) -> None:
    """A list that one read gives in another order makes an anomaly."""
    history = executed(groups)
    last_list(history, 2, which).reverse()

    assert not ListAppend().check(history, isolation="READ COMMITTED").is_valid


@given(GROUPS, st.integers(0, 100))
@settings(deadline=None)
def test_a_read_of_an_aborted_append_is_found(groups: list[Any], which: int) -> None:
    """An element of a failed transaction makes G1a."""
    history = executed(groups)
    failed = sorted(appended(history, "fail").items())
    assume(failed)
    element, key = failed[which % len(failed)]
    history[len(history) - 1].answer[key].append(element)

    assert "G1a" in ListAppend().check(history).kinds()


def appended(history: History, outcome: Outcome) -> dict[int, int]:
    """Give the list of each element that was asked with this outcome."""
    return {
        element: key
        for each in history
        if each.outcome == outcome
        for name, key, element in each.asked
        if name == "append"
    }


@given(GROUPS)
@settings(deadline=None, max_examples=30)
def test_lines_keep_a_history(groups: list[Any]) -> None:
    """A history that was written and read again is the same."""
    history = executed(groups)
    again = History.from_lines(history.lines())

    assert list(history) == list(again)
    assert list(history.lines()) == list(again.lines())


@given(st.lists(FATES, max_size=30))
@settings(deadline=None)
def test_counters_and_sets_of_serial_histories_are_clean(
    fates: list[str],
) -> None:
    """A counter and a set are clean, and are not with one less than was acknowledged."""
    for workload, write in ((Counter(), "increment"), (GrowingSet(), "add")):
        history, elements = History(), []
        for number, fate in enumerate(fates):
            invocation = history.invoke(number, write, 1 if write == "increment" else number)
            if fate == "ok":
                invocation.ok()
            else:
                (invocation.fail if fate == "fail" else invocation.unknown)()
            if fate in ("ok", "happened"):
                elements.append(number)
        is_set = write == "add"
        read = history.invoke(0, "read")
        read.ok(elements if is_set else len(elements))
        assert {} == workload.check(history).kinds()
        kept = [number for number in elements if fates[number] != "ok"]
        if len(kept) < len(elements):
            read.operation.answer = kept[1:] if is_set else fates.count("ok") - 1
            assert not workload.check(history).is_valid


TRANSFERS = st.tuples(st.permutations(range(3)), st.integers(1, 60), FATES)


@given(st.lists(TRANSFERS, max_size=40))
@settings(deadline=None)
def test_banks_of_serial_histories_are_clean(transfers: list[Any]) -> None:
    """A bank is clean, whichever unknown transfers were made, and is not with one unit moved."""
    history, balances = History(), [100, 100, 100]
    for number, ((source, target, _), amount, fate) in enumerate(transfers):
        invocation = history.invoke(number, "transfer", [source, target, amount])
        is_enough = balances[source] >= amount
        if fate in ("ok", "happened") and is_enough:
            balances[source] -= amount
            balances[target] += amount
        if fate == "ok":
            invocation.ok(is_enough)
        else:
            (invocation.fail if fate == "fail" else invocation.unknown)()
    read = history.invoke(0, "read")
    read.ok(dict(enumerate(balances)))
    assert {} == Bank(accounts=3).check(history).kinds()

    if all(fate in ("ok", "fail") for *_, fate in transfers):
        balances[0], balances[1] = balances[0] + 1, balances[1] - 1
        read.operation.answer = dict(enumerate(balances))
        assert "lost transfer" in Bank(accounts=3).check(history).kinds()
