"""
Settling a lost COMMIT: looking for the transaction until it can be told, or the time is up.

The looks go over connections of the pool, which replaces those that broke along with the one
that was lost. A server that is away for the moment is asked again after short pauses.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.util.concurrency import greenlet_spawn
from tenacity import AsyncRetrying, retry_if_result, wait_random_exponential

from andamios.core.facts import CommitSettled, Outcome
from andamios.errors import AndamiosError, CommitOutcomeUnknownError
from andamios.resilience.settling.markers import markers_of
from andamios.resilience.settling.mysql import MarkerWitness
from andamios.resilience.settling.postgresql import PostgreSQLWitness
from andamios.resilience.settling.witness import Finding, Witness

if TYPE_CHECKING:
    from andamios.core.engine import AndamiosEngine

__all__ = ["GRACE", "LONGEST", "Settler", "witness_of"]

LONGEST = 30.0
"""Seconds for which a settler looks, where there is no deadline."""

GRACE = 2.0
"""Seconds that it has at least, also when the deadline is up."""

ONE_LOOK = 5.0
"""Seconds for one look; a connection on which nobody answers is then given up."""

OUTCOMES: dict[bool | None, Outcome] = {True: "committed", False: "rolled back", None: "unknown"}

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5


def witness_of(engine: AndamiosEngine, *, read_only: bool) -> Witness:
    """Give who can tell afterwards what became of a transaction, where anybody can."""
    if not read_only and engine.backend == "postgresql":
        return PostgreSQLWitness(engine.async_engine.dialect)
    markers = None if read_only else markers_of(engine)
    return Witness() if markers is None else MarkerWitness(markers)


class Settler:
    """
    Looks for one transaction.

    Args:
        engine: Where the looks go.
        witness: Who knows the transaction.
        number: Its number among the facts of the engine, if it has one.
    """

    def __init__(self, engine: AndamiosEngine, witness: Witness, number: int | None = None) -> None:
        self._engine = engine
        self._witness = witness
        self._number = number
        self._last = Finding.not_yet("nobody answered")

    async def settle(self, seconds: float) -> bool:
        """
        Find out whether the transaction was committed.

        Args:
            seconds: How long to look for it.

        Returns:
            Whether it was; if not, it never will be.

        Raises:
            CommitOutcomeUnknownError: Nobody can tell, or not in this time.
        """
        began = time.monotonic()
        retrying = AsyncRetrying(
            retry=retry_if_result(lambda found: not found.is_final),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
        )
        try:
            async with asyncio.timeout(seconds) as scope:
                await retrying(self._look)
        except TimeoutError:
            if not scope.expired():
                raise
        took, is_committed = time.monotonic() - began, self._last.is_committed
        fact = CommitSettled(OUTCOMES[is_committed], took, self._number)
        await greenlet_spawn(self._engine.hooks.announce, fact)  # listeners may wait
        if is_committed is None:
            raise self._unknown(took)
        return is_committed

    async def _look(self) -> Finding:
        try:
            async with (
                asyncio.timeout(ONE_LOOK),
                self._engine.connections.acquire() as connection,
            ):
                self._last = await self._witness.look(connection)
        except (AndamiosError, SQLAlchemyError, OSError) as error:  # a TimeoutError is an OSError
            self._last = Finding.not_yet(f"nobody answered ({type(error).__name__})")
        return self._last

    def _unknown(self, took: float) -> CommitOutcomeUnknownError:
        transaction = self._witness.transaction
        known = f"transaction {transaction}" if transaction else "the transaction"
        return CommitOutcomeUnknownError(
            f"The connection was lost during COMMIT, which may have happened or not. {took:.1f} s "
            f"were spent looking for {known} on {self._engine.backend}; the last look found that "
            f"{self._last.seen}. Look whether the changes are there before you make them again.",
            transaction=transaction,
            seen=self._last.seen,
        )
