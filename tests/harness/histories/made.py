"""Histories made by hand, in a few characters."""

from harness.faults.histories import History, ListAppend, Outcome, Verdict


def steps_of(text: str) -> tuple[list[list[object]], list[object]]:
    """
    Read a transaction such as `x+1 y:12`: append 1 to x, read 1 and 2 from y.

    Keys and elements are single letters and digits.
    """
    asked: list[list[object]] = []
    answer: list[object] = []
    for word in text.split():
        key, what, rest = word[0], word[1], word[2:]
        asked.append(["append", key, int(rest)] if what == "+" else ["read", key, None])
        answer.append(None if what == "+" else [int(digit) for digit in rest])
    return asked, answer


def together(*transactions: str) -> History:
    """
    Record transactions that all run at once.

    Those that begin with `!` fail, those with `?` are unknown.
    """
    history = History()
    begun = []
    for process, text in enumerate(transactions):
        asked, answer = steps_of(text.lstrip("!?"))
        begun.append((history.invoke(process, "transaction", asked), text[:1], answer))
    for invocation, mark, answer in begun:
        if mark == "!":
            invocation.fail()
        elif mark == "?":
            invocation.unknown()
        else:
            invocation.ok(answer)
    return history


def then(history: History, *transactions: str) -> History:
    """Record transactions that run one after the other, behind all others."""
    for text in transactions:
        asked, answer = steps_of(text)
        history.invoke(0, "transaction", asked).ok(answer)
    return history


def kinds(history: History) -> dict[str, int]:
    """Count the anomalies of lists."""
    return ListAppend().check(history).kinds()


def record(*events: tuple[str, object, Outcome, object]) -> History:
    """Record operations one after the other: name, what was asked, outcome, answer."""
    history = History()
    for name, asked, outcome, answer in events:
        invocation = history.invoke(len(history), name, asked)
        if outcome == "ok":
            invocation.ok(answer)
        else:
            getattr(invocation, outcome)()
    return history


def seen(verdict: Verdict) -> set[str]:
    """Give the kinds of what the level forbids."""
    return {each.kind for each in verdict.forbidden}
