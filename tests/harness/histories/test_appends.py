"""Lists that were appended to: each anomaly beside the history that differs in one read."""

import time

import pytest

from harness.faults.histories import History, HistoryError, Level, ListAppend
from tests.harness.histories.made import kinds, seen, then, together

READ_COMMITTED, SNAPSHOT = Level.READ_COMMITTED, Level.SNAPSHOT
ALWAYS, REPEATABLE_READ = Level.READ_UNCOMMITTED, Level.REPEATABLE_READ

CASES = {
    "G0": (
        ALWAYS,
        together("x+1 y+1", "x+2 y+2", "x:12", "y:21"),
        together("x+1 y+1", "x+2 y+2", "x:12", "y:12"),
    ),
    "G1a": (READ_COMMITTED, together("!x+1", "x:1"), together("!x+1", "x:")),
    "G1b": (READ_COMMITTED, together("x+1 x+2", "x:1"), together("x+1 x+2", "x:12")),
    "G1c": (READ_COMMITTED, together("x+1 y:2", "y+2 x:1"), together("x+1 y:", "y+2 x:1")),
    "G-single": (
        SNAPSHOT,
        then(together("x: y:1", "x+1 y+1"), "x:1"),
        then(together("x:1 y:1", "x+1 y+1"), "x:1"),
    ),
    "G2": (
        REPEATABLE_READ,
        then(together("x: y+1", "y: x+1"), "x:1 y:1"),
        then(together("x: y+1", "y:1 x+1"), "x:1 y:1"),
    ),
    "G-nonadjacent": (
        SNAPSHOT,
        together("x+1", "y+1", "x:1 y:", "x: y:1"),
        together("x+1", "y+1", "x:1 y:", "x:1 y:1"),
    ),
    "lost update": (
        SNAPSHOT,
        together("x: x+1", "x: x+2"),
        together("x: x+1", "x:1 x+2"),
    ),
    "lost append": (ALWAYS, then(together("x+1"), "x:"), then(together("x+1"), "x:1")),
    "duplicate": (ALWAYS, together("x+1", "x:11"), together("x+1", "x:1")),
    "unasked": (ALWAYS, together("x+1", "x:19"), together("x+1", "x:1")),
    "internal": (ALWAYS, together("x+1 x:"), together("x+1 x:1")),
    "incompatible order": (
        READ_COMMITTED,
        together("x+1", "x+2", "x:12", "x:2"),
        together("x+1", "x+2", "x:12", "x:1"),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_an_anomaly_is_found(kind: str) -> None:
    """What is wrong is found, at the weakest level that forbids it, and nothing else is."""
    level, bad, good = CASES[kind]

    assert {kind: 1} == kinds(bad)
    assert {} == kinds(good)
    assert [level] == [each.level for each in ListAppend().check(bad).anomalies]


@pytest.mark.parametrize("kind", CASES)
def test_a_level_forbids_it_or_allows_it(kind: str) -> None:
    """A verdict fails at the level that forbids an anomaly, and reports it one below."""
    level, bad, _ = CASES[kind]
    for each in Level:
        verdict = ListAppend().check(bad, isolation=str(each))
        assert (each < level) == verdict.is_valid
        assert {kind} == {found.kind for found in verdict.forbidden + verdict.allowed}


@pytest.mark.parametrize(
    ("kind", "database", "isolation", "is_valid"),
    [
        ("G2", "postgresql", "REPEATABLE READ", True),
        ("G2", "postgresql+asyncpg", "SERIALIZABLE", False),
        ("G-single", "postgresql", "REPEATABLE READ", False),
        ("G-nonadjacent", "postgresql", "REPEATABLE READ", False),
        ("G-single", "postgresql", "READ COMMITTED", True),
        ("G1a", "postgresql", "READ UNCOMMITTED", False),
        ("lost update", "mysql", "REPEATABLE READ", True),
        ("lost update", "mysql", "SERIALIZABLE", False),
        ("G1a", "mysql", "READ UNCOMMITTED", True),
        ("lost update", "mariadb", "SNAPSHOT", False),
        ("G2", "sqlite", "REPEATABLE READ", False),
    ],
)
def test_databases_mean_their_own(kind: str, database: str, isolation: str, is_valid: bool) -> None:
    """REPEATABLE READ is snapshots on PostgreSQL, and less than that on MySQL."""
    bad = CASES[kind][1]

    assert is_valid == ListAppend().check(bad, isolation=isolation, database=database).is_valid


def test_words_name_the_operations() -> None:
    """A cycle says who comes before whom, and why."""
    [anomaly] = ListAppend().check(CASES["G-single"][1]).anomalies

    assert (0, 1) == anomaly.operations
    assert "T0 < T1 < T0: T0 read 'x' before T1 appended 1; T0 read 1 of T1 in 'y'" == anomaly.words


@pytest.mark.parametrize(
    "history",
    [
        together("?x+1", "x:1"),
        together("?x+1", "x:"),
        then(together("?x+1", "x+2"), "x:2"),
        then(together("?x+1", "x+2"), "x:12"),
        together("?x: x+1", "x: x+2", "x:2"),
        then(together("x: y+1", "?y: x+1"), "x:1 y:1"),
    ],
)
def test_the_unknown_may_have_happened_or_not(history: History) -> None:
    """An append that is unknown may be there or be missing, and what it read is not known."""
    assert {} == kinds(history)


def test_own_appends_hide_no_intermediate_read() -> None:
    """What a transaction appends itself behind the work of another does not make that whole."""
    assert {"G1b": 1} == kinds(together("x+1 x+2", "x+3 x:13"))
    assert {} == kinds(together("x+1 x+2", "x+3 x:123"))


def test_what_was_seen_has_happened() -> None:
    """An unknown transaction that somebody read is in cycles as any other."""
    history = together("?x+1 y+1", "x+2 y+2", "x:12", "y:21")

    assert {"G0": 1} == kinds(history)
    assert 1 == ListAppend().check(history).facts["recovered"]


def test_an_aborted_append_orders_nothing() -> None:
    """Between two appends, one that failed is only an aborted read."""
    assert {"G1a": 1} == kinds(together("x+1", "!x+5", "x+2", "x:152"))


def test_reads_first_lose_appends_where_updates_get_lost() -> None:
    """Of a store that reads and writes, a lost append is allowed at READ COMMITTED."""
    history = then(together("x: x+1", "x: x+2"), "x:2")
    atomic = ListAppend().check(history, isolation="READ COMMITTED")
    reading = ListAppend(reads_first=True).check(history, isolation="READ COMMITTED")

    assert {"lost append"} == seen(atomic)
    assert set() == seen(reading)
    assert {"lost append": 1, "lost update": 1} == reading.kinds()


def test_two_reads_of_one_transaction_may_not_differ() -> None:
    """A read that is not repeatable is a cycle with one rw."""
    assert {"G-single": 1} == kinds(together("x: x:1", "x+1"))


def test_components_are_found_by_themselves() -> None:
    """Two cycles that have nothing in common are two anomalies, and a shorter one is shown."""
    history = then(
        together("a: b+1", "b: a+1", "c: d+1", "d: e+1", "e: c+1"), "a:1 b:1 c:1 d:1 e:1"
    )
    sizes = [len(each.operations) for each in ListAppend().check(history).anomalies]

    assert [2, 3] == sorted(sizes)


def test_elements_are_appended_once() -> None:
    """A history in which an element does not tell who appended it is refused."""
    with pytest.raises(HistoryError, match="operation 1 appends 1 to 'x'"):
        kinds(together("x+1", "x+1"))


def test_an_answer_has_each_step() -> None:
    """A transaction has to answer each of its steps."""
    history = History()
    history.invoke(0, "transaction", [["read", "x", None], ["read", "y", None]]).ok([[]])
    with pytest.raises(HistoryError, match="one answer for each step"):
        kinds(history)


def test_an_unknown_step_is_refused() -> None:
    """A step that is neither a read nor an append is a mistake."""
    history = History()
    history.invoke(0, "transaction", [["write", "x", 1]]).ok([None])
    with pytest.raises(HistoryError, match="a step 'write'"):
        kinds(history)


def test_long_chains_need_no_long_stack() -> None:
    """A cycle through thousands of transactions is found, in seconds."""
    history, count = History(), 5_000
    steps = [[["read", index, None], ["append", (index + 1) % count, 1]] for index in range(count)]
    begun = [history.invoke(index, "transaction", each) for index, each in enumerate(steps)]
    for each in begun:
        each.ok([[], None])
    everything = [["read", index, None] for index in range(count)]
    history.invoke(0, "transaction", everything).ok([[1]] * count)
    began = time.monotonic()
    verdict = ListAppend().check(history)

    assert {"G2": 1} == verdict.kinds()
    assert count == len(verdict.anomalies[0].operations)
    assert time.monotonic() - began < 20
