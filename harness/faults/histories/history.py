"""A recorder of what concurrent clients asked of a database, and what they were told."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from harness.faults.histories.operation import Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from harness.faults.histories.operation import Outcome

__all__ = ["History", "HistoryError", "Invocation"]

Errors = tuple[type[BaseException], ...]


class HistoryError(ValueError):
    """A history that cannot be: broken lines, two operations at once, or no final read."""


class Invocation:
    """
    An operation that is under way; leaving its block ends it.

    Args:
        history: Where it is recorded.
        operation: What was asked.
    """

    def __init__(self, history: History, operation: Operation) -> None:
        self._history = history
        self.operation = operation
        self.answer: Any = None

    def ok(self, answer: Any = None) -> None:
        """End it: it happened, and gave this."""
        self._history.end(self.operation, "ok", answer=answer)

    def fail(self, error: BaseException | None = None) -> None:
        """End it: it did not happen, and never will."""
        self._history.end(self.operation, "fail", error=error)

    def unknown(self, error: BaseException | None = None) -> None:
        """End it: nobody knows whether it happened."""
        self._history.end(self.operation, "unknown", error=error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if self.operation.ended is not None:
            return False
        if error is None:
            self.ok(self.answer)
            return False
        is_unknown = isinstance(error, self._history.unknown)
        is_failed = isinstance(error, self._history.failed) and not is_unknown
        (self.fail if is_failed else self.unknown)(error)
        return is_failed or is_unknown


class History:
    """
    Operations in the order in which they began, for many tasks of one loop.

    A block that raises an error of `failed` or `unknown` ends the operation so, and the task
    goes on behind the block. Any other error, a cancellation included, is recorded as unknown
    and raised.

    Args:
        failed: Errors after which nothing has happened, and never will.
        unknown: Errors after which it may have; they win over those that failed.

    Example:
        >>> history = History(failed=(PermissionError,), unknown=(TimeoutError,))
        >>> with history.invoke(0, "increment", 1):
        ...     pass
        >>> with history.invoke(1, "increment", 1):
        ...     raise TimeoutError
        >>> with history.invoke(0, "read") as read:
        ...     read.answer = 2
        >>> [(each.name, each.outcome, each.answer) for each in history]
        [('increment', 'ok', None), ('increment', 'unknown', None), ('read', 'ok', 2)]
        >>> [each.outcome for each in History.from_lines(history.lines())]
        ['ok', 'unknown', 'ok']
    """

    def __init__(self, *, failed: Errors = (), unknown: Errors = ()) -> None:
        self.failed = failed
        self.unknown = unknown
        self._operations: list[Operation] = []
        self._events: list[tuple[Operation, bool]] = []
        self._open: dict[int, Operation] = {}

    def invoke(self, process: int, name: str, asked: Any = None) -> Invocation:
        """
        Begin an operation.

        Args:
            process: The number of the process; a task that does one after the other is one.
            name: What kind of operation.
            asked: Its arguments, as JSON has them.

        Returns:
            What ends it: a block, whose `answer` can be set, or its methods.

        Raises:
            HistoryError: The process has an operation that has not ended.
        """
        return Invocation(self, self._begin(process, name, asked, time.monotonic()))

    def _begin(self, process: int, name: str, asked: Any, at: float) -> Operation:
        if process in self._open:
            raise HistoryError(
                f"process {process} asks for {name!r} while its {self._open[process].name!r} "
                "has not ended; give each task a number of its own"
            )
        operation = Operation(len(self._operations), process, name, asked, len(self._events), at)
        self._open[process] = operation
        self._operations.append(operation)
        self._events.append((operation, True))
        return operation

    def end(
        self,
        operation: Operation,
        outcome: Outcome,
        *,
        answer: Any = None,
        error: BaseException | None = None,
        at: float | None = None,
    ) -> None:
        """
        End an operation; an :class:`Invocation` does it.

        Args:
            operation: Which.
            outcome: How it ended.
            answer: What it gave.
            error: What ended it.
            at: When, in seconds; by default now.

        Raises:
            HistoryError: It has ended before.
        """
        if operation.ended is not None:
            raise HistoryError(f"operation {operation.index} ends twice")
        operation.outcome = outcome
        operation.answer = answer
        operation.error = type(error).__name__ if error is not None else None
        operation.ended = len(self._events)
        operation.ended_at = time.monotonic() if at is None else at
        self._events.append((operation, False))
        self._open.pop(operation.process, None)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations)

    def __len__(self) -> int:
        return len(self._operations)

    def __getitem__(self, index: int) -> Operation:
        return self._operations[index]

    def counts(self) -> dict[Outcome, int]:
        """Count operations by how they ended."""
        counted = Counter(operation.outcome for operation in self)
        return {"ok": counted["ok"], "fail": counted["fail"], "unknown": counted["unknown"]}

    def lines(self) -> Iterator[str]:
        """Give each beginning and end as a line of JSON, in the order in which they happened."""
        for operation, is_beginning in self._events:
            record = _beginning(operation) if is_beginning else _end(operation)
            yield json.dumps(record, separators=(",", ":"))

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> Self:
        """
        Build a history from its lines.

        Args:
            lines: What :meth:`lines` gave; operations without an end are unknown.

        Raises:
            HistoryError: A line is broken, or does not fit those before it.
        """
        history = cls()
        for number, line in enumerate(lines, 1):
            try:
                history._add(json.loads(line))
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise HistoryError(f"line {number} is no line of a history: {error}") from error
        return history

    def _add(self, record: dict[str, Any]) -> None:
        if record["type"] == "invoke":
            self._begin(record["process"], record["name"], record["asked"], record["time"])
            return
        operation = self._operations[record["index"]]
        if record["type"] not in ("ok", "fail", "unknown"):
            raise HistoryError(f"nothing ends as {record['type']!r}")
        self.end(operation, record["type"], answer=record["answer"], at=record["time"])
        operation.error = record["error"]


def _beginning(operation: Operation) -> dict[str, Any]:
    return {
        "type": "invoke",
        "index": operation.index,
        "process": operation.process,
        "name": operation.name,
        "asked": operation.asked,
        "time": operation.began_at,
    }


def _end(operation: Operation) -> dict[str, Any]:
    return {
        "type": operation.outcome,
        "index": operation.index,
        "process": operation.process,
        "answer": operation.answer,
        "error": operation.error,
        "time": operation.ended_at,
    }
