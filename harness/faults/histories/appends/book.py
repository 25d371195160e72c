"""Who appended what, who committed, and in which order the elements of each list came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.faults.histories.appends.transaction import transactions_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.faults.histories.appends.transaction import Element, Key, Read, Transaction
    from harness.faults.histories.history import History

__all__ = ["Book"]


class Book:
    """
    What a history says of its lists.

    The order of a list is that of its longest read: as lists only grow, any other is a part of
    it from the beginning (Kingsbury and Alvaro, *Elle: Inferring Isolation Anomalies from
    Experimental Observations*, VLDB 2020, section 4). A transaction with an unknown outcome
    has committed if somebody read what it appended.

    Args:
        history: Operations named `transaction`.
    """

    def __init__(self, history: History) -> None:
        self.transactions = transactions_of(history)
        self.writers: dict[tuple[Key, Element], Transaction] = {
            (key, element): each
            for each in self.transactions
            for key, elements in each.appends.items()
            for element in elements
        }
        self.orders: dict[Key, list[Element]] = {}
        self.seen: dict[tuple[Key, Element], list[Transaction]] = {}
        for transaction, read in self.reads():
            if len(read.value) >= len(self.orders.get(read.key, ())):
                # A list that holds an element twice is another finding.
                self.orders[read.key] = list(dict.fromkeys(read.value))
            for element in dict.fromkeys(read.value):
                self.seen.setdefault((read.key, element), []).append(transaction)
        self.committed = {each.index for each in self.transactions if self._has_committed(each)}

    def reads(self) -> Iterator[tuple[Transaction, Read]]:
        """Give each read of a transaction that is known to have committed."""
        return ((each, read) for each in self.transactions for read in each.reads)

    def writer(self, key: Key, element: Element) -> Transaction | None:
        """Give the committed transaction that appended an element, if there is one."""
        found = self.writers.get((key, element))
        return found if found is not None and found.index in self.committed else None

    def _has_committed(self, transaction: Transaction) -> bool:
        if transaction.operation.is_unknown:
            return any(
                any(reader is not transaction for reader in self.seen.get((key, element), ()))
                for key, elements in transaction.appends.items()
                for element in elements
            )
        return transaction.operation.is_ok
