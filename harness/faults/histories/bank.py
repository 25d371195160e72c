"""Accounts between which many move money at once, and whether any is made or lost."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from harness.faults.histories.ends import final_reads
from harness.faults.histories.levels import Level
from harness.faults.histories.transfers import unexplained
from harness.faults.histories.verdict import Anomaly, Verdict

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping

    from harness.faults.histories.history import History
    from harness.faults.histories.operation import Operation

__all__ = ["Bank", "BankStore"]


class BankStore(Protocol):
    """Accounts in a database."""

    async def transfer(self, source: int, target: int, amount: int) -> bool:
        """Move money in one transaction, or give False where the source has too little."""

    async def read(self) -> Mapping[int, int]:
        """Give the balance of each account, in one transaction."""


class Bank:
    """
    Transfers between accounts, and reads of all of them.

    Each read has to give every account, the total of the beginning, and no balance below 0. The
    balances at the end have to be what the acknowledged transfers make of those at the
    beginning, with some or none of the unknown ones.

    Args:
        accounts: How many there are; their numbers begin at 0.
        balance: What each has in the beginning.
        highest: The most that one transfer moves.
        reads_first: Whether the store reads balances and writes what it computed, or reads them
            by several statements, so that all this fails at READ COMMITTED.

    Example:
        >>> from harness.faults.histories import History
        >>> history = History()
        >>> history.invoke(0, "transfer", [0, 1, 30]).ok(True)
        >>> history.invoke(0, "read").ok({0: 100, 1: 130})
        >>> Bank(accounts=2).check(history).kinds()
        {'lost transfer': 1, 'wrong total': 1}
    """

    def __init__(
        self,
        *,
        accounts: int = 5,
        balance: int = 100,
        highest: int = 20,
        reads_first: bool = False,
    ) -> None:
        self.accounts = accounts
        self.balance = balance
        self._highest = highest
        self._reads_first = reads_first

    def ask(self, chance: random.Random) -> tuple[str, Any]:
        """Choose: mostly to transfer."""
        if chance.random() < 0.2:  # noqa: PLR2004
            return ("read", None)
        source, target = chance.sample(range(self.accounts), 2)
        return ("transfer", [source, target, chance.randint(1, self._highest)])

    def last(self) -> list[tuple[str, Any]]:
        """Read once more."""
        return [("read", None)]

    async def perform(self, store: BankStore, name: str, asked: Any) -> Any:
        """Transfer or read."""
        return dict(await store.read()) if name == "read" else await store.transfer(*asked)

    def check(
        self, history: History, *, isolation: str = "SERIALIZABLE", database: str | None = None
    ) -> Verdict:
        """
        Find money that was made or lost.

        Args:
            history: Operations `transfer`, which asked source, target and amount and answered
                whether it was made, and `read`, which answered balances by account.
            isolation: At which level it ran.
            database: On which database; see :func:`~harness.faults.histories.levels.level_of`.

        Raises:
            HistoryError: There is no read at the end.
        """
        final = final_reads(history, "transfer")[-1]
        transfers = [each for each in history if each.name == "transfer"]
        unknown = [each.asked for each in transfers if each.is_unknown]
        made = [each for each in transfers if each.is_ok and each.answer is not False]
        found = [anomaly for read in _reads(history) for anomaly in self._look_at(read)]
        found += self._compare(final, made, unknown)
        facts = {"made": len(made), "unknown": len(unknown)}
        return Verdict.of("bank", history, found, at=(isolation, database), facts=facts)

    def _look_at(self, read: Operation) -> Iterator[Anomaly]:
        balances = _balances(read)
        expected, total = self.accounts * self.balance, sum(balances.values())
        said = f"operation {read.index} read"
        names = {str(account) for account in range(self.accounts)}
        if wrong := sorted(names ^ balances.keys()):
            words = f"{said} accounts that are missing or too many: {', '.join(wrong)}"
            yield self._anomaly("wrong accounts", words, read)
        elif total != expected:
            words = f"{said} a total of {total}, which is {expected} at all times"
            yield self._anomaly("wrong total", words, read)
        for account, balance in balances.items():
            if balance < 0:
                words = f"{said} that account {account} has {balance}"
                yield self._anomaly("negative balance", words, read)

    def _compare(
        self, final: Operation, made: list[Operation], unknown: list[Any]
    ) -> Iterator[Anomaly]:
        left = Counter({str(account): -self.balance for account in range(self.accounts)})
        left.update(_balances(final))
        for source, target, amount in (each.asked for each in made):
            left[str(source)] += amount
            left[str(target)] -= amount
        if wrong := unexplained(left, unknown):
            found = ", ".join(f"account {name} is off by {by}" for name, by in wrong.items())
            words = (
                f"operation {final.index} read at the end what acknowledged transfers and any of "
                f"{len(unknown)} unknown ones do not make: {found} (without unknown ones)"
            )
            # What is too little on one account may be a transfer that is lost, or another twice.
            yield self._anomaly("lost transfer", words, final)

    def _anomaly(self, kind: str, words: str, read: Operation) -> Anomaly:
        # One statement that reads a whole table sees what is committed, and of a transfer all.
        level = Level.SNAPSHOT if self._reads_first else Level.READ_COMMITTED
        return Anomaly(kind, words, (read.index,), level)


def _reads(history: History) -> Iterator[Operation]:
    return (each for each in history if each.name == "read" and each.is_ok)


def _balances(read: Operation) -> dict[str, int]:
    # JSON makes texts of the numbers of accounts.
    return {str(account): balance for account, balance in read.answer.items()}
