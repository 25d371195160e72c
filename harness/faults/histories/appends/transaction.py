"""A transaction of reads and appends, with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.faults.histories.history import HistoryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.faults.histories.history import History
    from harness.faults.histories.operation import Operation

__all__ = ["Element", "Key", "Read", "Step", "Transaction", "transactions_of"]

Key: TypeAlias = int | str
Element: TypeAlias = int | str
Step: TypeAlias = "Sequence[Any]"
"""`["append", key, element]` or `["read", key, None]`."""


@dataclass(frozen=True)
class Read:
    """
    One read.

    Args:
        key: Of which list.
        value: What it gave.
        own: What the transaction itself had appended to the list before.
        is_before_append: Whether the transaction appends to the list afterwards, and has not
            read it again in between.
    """

    key: Key
    value: tuple[Element, ...]
    own: tuple[Element, ...]
    is_before_append: bool


class Transaction:
    """
    What one operation appended and read.

    Args:
        operation: The operation; reads count only if it is ok.
    """

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.appends: dict[Key, list[Element]] = {}
        self.reads: list[Read] = []
        answers = operation.answer if operation.is_ok else [None] * len(operation.asked)
        if len(answers) != len(operation.asked):
            raise HistoryError(f"operation {operation.index} has not one answer for each step")
        for place, ((name, key, element), answer) in enumerate(
            zip(operation.asked, answers, strict=True)
        ):
            if name == "append":
                self.appends.setdefault(key, []).append(element)
            elif name != "read":
                raise HistoryError(f"operation {operation.index} has a step {name!r}")
            elif operation.is_ok:
                self.reads.append(self._read(key, answer, operation.asked[place + 1 :]))

    def _read(self, key: Key, answer: Any, following: Sequence[Step]) -> Read:
        next_step = next((step[0] for step in following if step[1] == key), None)
        own = tuple(self.appends.get(key, ()))
        return Read(key, tuple(answer or ()), own, next_step == "append" and not own)

    @property
    def index(self) -> int:
        """The index of the operation."""
        return self.operation.index

    def __repr__(self) -> str:
        return f"T{self.index}"


def transactions_of(history: History) -> list[Transaction]:
    """
    Read the transactions of a history.

    Raises:
        HistoryError: A step is none, or an element is appended to a list twice, so that it
            would not tell who appended it.
    """
    found = [Transaction(each) for each in history if each.name == "transaction"]
    seen: set[tuple[Key, Element]] = set()
    for each in found:
        for key, elements in each.appends.items():
            for element in elements:
                if (key, element) in seen:
                    raise HistoryError(
                        f"operation {each.index} appends {element!r} to {key!r}, as another does; "
                        "each element has to be another"
                    )
                seen.add((key, element))
    return found
