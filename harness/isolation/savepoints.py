"""
Savepoints in the place of transactions: a stack, where transactions of a server are not.

Overlapping transactions are kept apart as far as a stack can: one that lies under others is
released when they are, and one that wrote nothing takes nothing back. Where a rollback takes
the rows of others along nevertheless, that is a breach, which is remembered.
"""

from __future__ import annotations

import itertools
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    Send: TypeAlias = Callable[[str], Any]

__all__ = ["Savepoint", "Savepoints"]


@dataclass(eq=False)
class Savepoint:
    """
    One transaction, or one savepoint inside it.

    Args:
        name: What the server knows it by.
        owner: A weak reference to the check-out of the connection.
        label: What SQLAlchemy calls it; None for the transaction itself.
    """

    name: str
    owner: Callable[[], Any]
    label: str | None
    has_ended: bool = False
    wrote: bool = False
    failed: bool = False
    holds_others: bool = False
    """Whether it lies under or around rows of others, which its rollback would take back."""

    @property
    def holds_rows(self) -> bool:
        """Whether a rollback to before it takes rows of somebody back."""
        return self.wrote or self.holds_others


class Savepoints:
    """
    The savepoints of all check-outs of one connection, the oldest first.

    What changes them is given what sends a statement to the server.
    """

    def __init__(self) -> None:
        self.overlaps = 0
        """How many rollbacks took rows of others along."""
        self._stack: list[Savepoint] = []
        self._numbers = itertools.count(1)

    def push(self, send: Send, owner: Any, label: str | None = None) -> None:
        """Begin a transaction, or a savepoint in it."""
        made = Savepoint(f"andamios_{next(self._numbers)}", weakref.ref(owner), label)
        # Before the server knows it: what others write from now on is above it, or may be.
        self._stack.append(made)
        try:
            send(f"SAVEPOINT {made.name}")
        except BaseException:
            self._stack.remove(made)
            raise

    def of(self, owner: Any) -> list[Savepoint]:
        """Give what a check-out has open: its transaction and the savepoints in it."""
        return [each for each in self._stack if not each.has_ended and each.owner() is owner]

    def note_write(self, owner: Any) -> None:
        """Remember that a check-out is about to write."""
        mine = self.of(owner)
        if mine:
            mine[-1].wrote = True
            for above in self._above(mine[-1]):
                above.holds_others = True

    def release(self, send: Send, ended: Savepoint) -> None:
        """Keep what was written since, for as long as what lies below is kept."""
        for each in self._family(ended):
            each.has_ended = True
            ended.wrote |= each.wrote
            ended.holds_others |= each.holds_others
        mine = self.of(ended.owner())
        below = self._stack[: self._stack.index(ended)]
        if mine:
            parent = mine[-1]
            parent.wrote |= ended.wrote
            parent.holds_others |= ended.holds_others
            below = below[self._stack.index(parent) + 1 :]
        for each in below:
            each.holds_others |= ended.holds_rows
        self._release_top(send)

    def roll_back(self, send: Send, ended: Savepoint) -> None:
        """Take back what was written since, if there can be anything."""
        family = self._family(ended)
        if not any(each.wrote or each.failed for each in family) and self._has_others(family):
            # Nothing to take back, but what others wrote meanwhile.
            self.release(send, ended)
            return
        send(f"ROLLBACK TO SAVEPOINT {ended.name}")
        # Looked at now: somebody may have written while the server was asked.
        above = self._others_above(ended)
        holds_rows = any(each.holds_rows for each in above)
        self.overlaps += holds_rows or any(each.holds_others for each in family)
        del self._stack[self._stack.index(ended) + 1 :]
        ended.has_ended = True
        for each in above:
            if not each.has_ended:
                self._renew(send, each)
        self._release_top(send)

    def clear(self) -> None:
        """Forget all of them."""
        self._stack.clear()

    def _above(self, lower: Savepoint) -> list[Savepoint]:
        return self._stack[self._stack.index(lower) + 1 :]

    def _others_above(self, lower: Savepoint) -> list[Savepoint]:
        owner = lower.owner()
        return [each for each in self._above(lower) if each.owner() is not owner]

    def _has_others(self, family: list[Savepoint]) -> bool:
        return bool(self._others_above(family[0])) or any(each.holds_others for each in family)

    def _family(self, eldest: Savepoint) -> list[Savepoint]:
        """Give a savepoint and those of the same check-out in it, which end with it."""
        open_ones = self.of(eldest.owner())
        return open_ones[open_ones.index(eldest) :]

    def _renew(self, send: Send, lost: Savepoint) -> None:
        """Begin again what a rollback below it ended though others own it."""
        lost.wrote = lost.holds_others = False
        self._stack.append(lost)
        send(f"SAVEPOINT {lost.name}")

    def _release_top(self, send: Send) -> None:
        # One that lies under others waits for them: its release would end them too.
        while self._stack and self._stack[-1].has_ended:
            send(f"RELEASE SAVEPOINT {self._stack.pop().name}")
