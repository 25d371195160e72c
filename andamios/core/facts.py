"""
What core announces: facts, in the past tense, that nobody can change.

Core knows nothing of metrics or caches. It says what happened, and who wants to know
listens: ``engine.hooks.listen(QueryFinished, listener)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from andamios.core.pool import PoolStats

__all__ = [
    "CommitSettled",
    "CommitStarted",
    "ConnectionReturned",
    "ConnectionTaken",
    "Fact",
    "Outcome",
    "PoolMeasured",
    "QueryFinished",
    "TransactionEnded",
]

Outcome: TypeAlias = Literal["committed", "rolled back", "unknown"]
"""How a transaction ended; unknown is a COMMIT that was cancelled or lost its connection."""


@dataclass(frozen=True, slots=True)
class QueryFinished:
    """
    A statement was executed, or refused.

    Args:
        statement: The SQL as it was sent, with placeholders and without values.
        duration: Seconds from handing it to the driver until its answer.
        rows: Rows that a write touched, where the driver tells; None for a read.
        error: Name of the error's class, None when all went well.
    """

    statement: str
    duration: float
    rows: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectionTaken:
    """
    A connection was taken out of the pool.

    Args:
        waited: Seconds until it was there, connecting and pinging included.
    """

    waited: float


@dataclass(frozen=True, slots=True)
class ConnectionReturned:
    """
    A connection came back to the pool.

    Args:
        held: Seconds for which somebody had it.
    """

    held: float


@dataclass(frozen=True, slots=True)
class CommitStarted:
    """
    COMMIT is about to be sent; listeners run before it is.

    Args:
        transaction: Its number, as ``engine.hooks.transaction_of(connection)`` gives it.
    """

    transaction: int


@dataclass(frozen=True, slots=True)
class TransactionEnded:
    """
    A transaction is over; listeners run before the caller goes on.

    Args:
        transaction: Its number.
        outcome: ``committed``, ``rolled back``, or ``unknown``.
        duration: Seconds since it began.
    """

    transaction: int
    outcome: Outcome
    duration: float


@dataclass(frozen=True, slots=True)
class CommitSettled:
    """
    Somebody looked for a transaction whose COMMIT had lost its answer.

    Args:
        outcome: What was found: ``committed``, ``rolled back``, or ``unknown`` still.
        duration: Seconds for which it was looked for.
        transaction: Its number, of which :class:`TransactionEnded` said ``unknown``; None where
            nobody listens to transactions.
    """

    outcome: Outcome
    duration: float
    transaction: int | None = None


@dataclass(frozen=True, slots=True)
class PoolMeasured:
    """
    The engine's health monitor counted the connections, as it does now and then.

    Args:
        stats: The counts.
    """

    stats: PoolStats


Fact: TypeAlias = (
    QueryFinished
    | ConnectionTaken
    | ConnectionReturned
    | CommitStarted
    | TransactionEnded
    | CommitSettled
    | PoolMeasured
)
