"""
Who knows afterwards what became of a transaction, and what a look at the database found.

A witness goes along with one attempt. Before COMMIT it leaves, or notes, what the
transaction can be found by; if the answer is lost, it looks for that on another connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.core.facts import Outcome

__all__ = ["Finding", "Witness"]


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What one look found.

    Args:
        is_committed: None when it cannot be told, or not yet.
        seen: What was seen, as the end of "the last look found that …".
        is_final: Whether another look would find the same.
    """

    is_committed: bool | None
    seen: str
    is_final: bool = True

    @classmethod
    def not_yet(cls, seen: str) -> Finding:
        """Make one after which it is worth looking again."""
        return cls(None, seen, is_final=False)


class Witness:
    """
    Watches one COMMIT (``andamios.core.commits.CommitWatcher``), and can tell nothing later.

    That is enough for SQLite, whose COMMIT has no way to be lost on, and for transactions
    that only read. The subclasses can tell. ``outcome`` is None as long as no COMMIT was sent.
    """

    can_tell = False

    def __init__(self) -> None:
        self.outcome: Outcome | None = None

    @property
    def transaction(self) -> str | None:
        """What the database knows the transaction by."""
        return None

    def before(self, connection: Any) -> None:
        """Take note of what the transaction can be found by; the default has nothing to note."""

    def ended(self, outcome: Outcome) -> None:
        """Learn what came of the COMMIT."""
        self.outcome = outcome

    async def look(self, _connection: AsyncConnection) -> Finding:
        """Look for the transaction on another connection."""
        return Finding(None, "this database cannot be asked")
