"""Banks, counters and sets: each anomaly beside a good history, and the unknown either way."""

import json

import pytest

from harness.faults.histories import Bank, Counter, GrowingSet, History, HistoryError, level_of
from tests.harness.histories.made import record, seen

BANK = Bank(accounts=2)
MOVE = ("transfer", [0, 1, 30], "ok", True)
MAYBE = ("transfer", [0, 1, 5], "unknown", None)


def balances(first: int, second: int) -> tuple[str, None, str, dict[int, int]]:
    """Read a bank."""
    return ("read", None, "ok", {0: first, 1: second})


@pytest.mark.parametrize(
    ("events", "kinds"),
    [
        ([MOVE, balances(70, 130)], {}),
        ([balances(100, 100), MOVE, balances(70, 130)], {}),
        ([balances(70, 100), MOVE, balances(70, 130)], {"wrong total": 1}),
        ([MOVE, balances(100, 100)], {"lost transfer": 1}),
        ([MOVE, balances(40, 160)], {"lost transfer": 1}),
        ([("transfer", [0, 1, 120], "ok", True), balances(-20, 220)], {"negative balance": 1}),
        ([("transfer", [0, 1, 120], "ok", False), balances(100, 100)], {}),
        ([("transfer", [0, 1, 20], "fail", None), balances(100, 100)], {}),
        ([("transfer", [0, 1, 20], "fail", None), balances(80, 120)], {"lost transfer": 1}),
        ([MOVE, MAYBE, balances(70, 130)], {}),
        ([MOVE, MAYBE, balances(65, 135)], {}),
        ([MOVE, MAYBE, balances(60, 140)], {"lost transfer": 1}),
        ([MOVE, MAYBE, balances(68, 132)], {"lost transfer": 1}),
        ([MOVE, MAYBE, MAYBE, balances(60, 140)], {}),
        ([("read", None, "ok", {0: 200}), balances(100, 100)], {"wrong accounts": 1}),
    ],
)
def test_banks(events: list[tuple[str, object, str, object]], kinds: dict[str, int]) -> None:
    """Money is neither made nor lost, except by what is unknown."""
    history = record(*events)  # type: ignore[arg-type]

    assert kinds == BANK.check(history).kinds()
    assert kinds == BANK.check(History.from_lines(history.lines())).kinds()


def test_many_unknown_transfers_bound_each_account() -> None:
    """With too many unknown transfers to try, an account can have changed by their sum."""
    unknown = [("transfer", [0, 1, 1 << number], "unknown", None) for number in range(20)]
    most = (1 << 20) - 1
    bank = Bank(accounts=2, balance=most)

    for read, kinds in (
        (balances(0, 2 * most), {}),
        (balances(most + 1, most - 1), {"lost transfer": 1}),
        (balances(0, 2 * most + 1), {"lost transfer": 1, "wrong total": 1}),
    ):
        history = record(*unknown, read)  # type: ignore[arg-type]
        assert kinds == bank.check(history).kinds()


def test_a_bank_that_reads_first_may_fail_at_read_committed() -> None:
    """Of a store that computes balances itself, a lost update is allowed there."""
    history = record(MOVE, balances(100, 100))  # type: ignore[arg-type]
    reading = Bank(accounts=2, reads_first=True)

    assert {"lost transfer"} == seen(BANK.check(history, isolation="READ COMMITTED"))
    assert set() == seen(reading.check(history, isolation="READ COMMITTED"))
    assert {"lost transfer"} == seen(
        reading.check(history, isolation="REPEATABLE READ", database="postgresql")
    )


ADD = ("increment", 1, "ok", None)
PERHAPS = ("increment", 1, "unknown", None)
NEVER = ("increment", 1, "fail", None)


@pytest.mark.parametrize(
    ("events", "answer", "kinds"),
    [
        ([ADD, ADD], 2, {}),
        ([ADD, ADD], 1, {"lost increment": 1}),
        ([ADD, ADD], 3, {"doubled increment": 1}),
        ([ADD, PERHAPS], 1, {}),
        ([ADD, PERHAPS], 2, {}),
        ([ADD, PERHAPS], 3, {"doubled increment": 1}),
        ([ADD, PERHAPS], 0, {"lost increment": 1}),
        ([ADD, NEVER], 2, {"doubled increment": 1}),
    ],
)
def test_counters(
    events: list[tuple[str, object, str, object]], answer: int, kinds: dict[str, int]
) -> None:
    """A counter counts each increment once, except what is unknown."""
    history = record(*events, ("read", None, "ok", answer))  # type: ignore[arg-type]

    assert kinds == Counter().check(history).kinds()


def test_a_counter_may_hold_what_is_under_way() -> None:
    """A read during an increment may see it or not; one that ended before it began may not."""
    for answer, kinds in ((0, {}), (1, {}), (2, {"doubled increment": 1})):
        history = History()
        adding, reading = history.invoke(0, "increment", 1), history.invoke(1, "read")
        reading.ok(answer)
        adding.ok()
        history.invoke(0, "increment", 1).ok()
        history.invoke(0, "read").ok(2)
        assert kinds == Counter().check(history).kinds()


@pytest.mark.parametrize(
    ("elements", "kinds"),
    [
        ([1], {}),
        ([2, 1], {}),
        ([2], {"lost element": 1}),
        ([1, 1], {"doubled element": 1}),
        ([1, 2, 2], {"doubled element": 1}),
        ([1, 3], {"aborted element": 1}),
        ([1, 9], {"unasked element": 1}),
    ],
)
def test_sets(elements: list[int], kinds: dict[str, int]) -> None:
    """Of 1 acknowledged, 2 unknown and 3 failed: 1 has to be there once, 2 may, 3 may not."""
    history = record(
        ("add", 1, "ok", None),
        ("add", 2, "unknown", None),
        ("add", 3, "fail", None),
        ("read", None, "ok", elements),
    )
    verdict = GrowingSet().check(history)

    assert kinds == verdict.kinds()
    assert {"acknowledged": 1, "unknown": 1, "recovered": int(2 in elements)} == verdict.facts


@pytest.mark.parametrize(
    ("workload", "write"),
    [(Bank(), "transfer"), (Counter(), "increment"), (GrowingSet(), "add")],
)
def test_without_a_last_read_nothing_can_be_said(
    workload: Bank | Counter | GrowingSet, write: str
) -> None:
    """A history that does not end with a read is refused, rather than called clean."""
    history = record(("read", None, "ok", {}), (write, 1, "ok", None))
    with pytest.raises(HistoryError, match="read once at the end"):
        workload.check(history)


def test_a_verdict_is_short() -> None:
    """A text has three of each kind and counts the others; a record has all of them."""
    history = record(
        *[("add", number, "ok", None) for number in range(9)], ("read", None, "ok", [])
    )
    verdict = GrowingSet().check(history)

    assert [
        "set at SERIALIZABLE: 9 forbidden anomalies in 10 operations (10 ok, 0 fail, 0 unknown)",
        "  acknowledged: 9, unknown: 0, recovered: 0",
        "  lost element (forbidden by every level): operation 0 added 0, and operation 9 lacks it",
        "  lost element (forbidden by every level): operation 1 added 1, and operation 9 lacks it",
        "  lost element (forbidden by every level): operation 2 added 2, and operation 9 lacks it",
        "  and 6 more lost element",
    ] == str(verdict).splitlines()
    assert 9 == len(json.loads(json.dumps(verdict.to_dict()))["anomalies"])


@pytest.mark.parametrize(("isolation", "database"), [("CHAOS", None), ("SERIALIZABLE", "oracle")])
def test_other_levels_are_refused(isolation: str, database: str | None) -> None:
    """A level or a database that is not known is told, with those that are."""
    with pytest.raises(ValueError, match=r"SNAPSHOT|postgresql"):
        level_of(isolation, database)


def test_a_dirty_read_is_no_doubled_increment() -> None:
    """At READ UNCOMMITTED what is rolled back later may be read, but not when all has ended."""
    history = History()
    increment = history.invoke(0, "increment", 1)
    history.invoke(1, "read").ok(1)
    increment.fail()
    history.invoke(1, "read").ok(0)

    assert Counter().check(history, isolation="READ UNCOMMITTED").is_valid
    assert {"doubled increment"} == seen(Counter().check(history, isolation="READ COMMITTED"))
    history.invoke(1, "read").ok(1)
    assert not Counter().check(history, isolation="READ UNCOMMITTED").is_valid
