"""Workloads on real databases: a weak level is found guilty, and a strong one is clean."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Mapped, mapped_column

from andamios import (
    AndamiosEngine,
    BaseModel,
    DeadlockError,
    SerializationError,
)
from harness.faults.histories import Bank, Counter, History, ListAppend, drive

WEAK, STRONG = "READ COMMITTED", "SERIALIZABLE"

PAUSE = 0.003
"""Seconds between reading and writing, in which others write."""


class HistoryNumber(BaseModel):
    """A number, and a list of elements in a text."""

    place: Mapped[int] = mapped_column(unique=True)
    number: Mapped[int]
    elements: Mapped[str] = mapped_column(default="")


class Store:
    """Numbers at some level, which are read, changed here, and written."""

    def __init__(self, engine: AndamiosEngine, isolation: str) -> None:
        self.engine = engine
        self.isolation = isolation

    async def prepare(self, count: int, number: int) -> None:
        """Make the rows."""
        async with self.engine.session() as session:
            session.add_all(HistoryNumber(place=place, number=number) for place in range(count))

    async def _write(self, session: Any, place: int, **values: Any) -> None:
        await asyncio.sleep(PAUSE)
        which = HistoryNumber.place == place
        await session.execute(update(HistoryNumber).where(which).values(**values))


class Numbers(Store):
    """A counter."""

    async def increment(self, amount: int) -> None:
        """Read the number, and write the sum."""
        async with self.engine.session(isolation=self.isolation) as session:
            found = (await session.scalars(select(HistoryNumber.number))).one()
            await self._write(session, 0, number=found + amount)

    async def read(self) -> int:
        """Give it."""
        async with self.engine.session(read_only=True) as session:
            return (await session.scalars(select(HistoryNumber.number))).one()


class Accounts(Store):
    """A bank."""

    async def transfer(self, source: int, target: int, amount: int) -> bool:
        """Read both balances, and write what they are to be."""
        async with self.engine.session(isolation=self.isolation) as session:
            rows = await session.execute(select(HistoryNumber.place, HistoryNumber.number))
            balances = {row.place: row.number for row in rows}
            if balances[source] < amount:
                return False
            for place, change in sorted(((source, -amount), (target, amount))):
                await self._write(session, place, number=balances[place] + change)
            return True

    async def read(self) -> Mapping[int, int]:
        """Give all balances."""
        async with self.engine.session(isolation=self.isolation) as session:
            rows = await session.execute(select(HistoryNumber.place, HistoryNumber.number))
            return {row.place: row.number for row in rows}


class Lists(Store):
    """Lists."""

    async def transact(self, steps: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any] | None]:
        """Do each step by a statement of its own, or by two."""
        answers: list[list[Any] | None] = []
        async with self.engine.session(isolation=self.isolation) as session:
            for name, key, element in steps:
                which = HistoryNumber.place == key
                rows = await session.scalars(select(HistoryNumber.elements).where(which))
                found = rows.one()
                elements = [int(each) for each in found.split()]
                answers.append(elements if name == "read" else None)
                if name == "append":
                    written = " ".join(map(str, [*elements, element]))
                    await self._write(session, key, elements=written)
        return answers


async def run(workload: Any, store: Any) -> History:
    """Drive a workload; transactions that were refused have not happened."""
    history = History(failed=(SerializationError, DeadlockError))
    await drive(workload, store, history, processes=4, operations=15)
    return history


@pytest.mark.isolation("committing")
async def test_lost_increments_are_found(engine: AndamiosEngine) -> None:
    """At READ COMMITTED increments get lost; at SERIALIZABLE none does."""
    counter, store = Counter(reads_first=True), Numbers(engine, WEAK)
    await store.prepare(1, 0)
    history = await run(counter, store)
    is_sqlite = engine.backend == "sqlite"
    verdict = counter.check(history, isolation=STRONG, database=engine.backend)
    assert is_sqlite is verdict.is_valid, verdict
    assert (set() if is_sqlite else {"lost increment"}) == verdict.kinds().keys()
    assert counter.check(history, isolation=WEAK, database=engine.backend).is_valid


@pytest.mark.isolation("committing")
async def test_increments_at_serializable(engine: AndamiosEngine) -> None:
    """They are as many as were acknowledged."""
    counter, store = Counter(reads_first=True), Numbers(engine, STRONG)
    await store.prepare(1, 0)
    verdict = counter.check(await run(counter, store), isolation=STRONG, database=engine.backend)
    assert verdict.is_valid, verdict
    assert {} == verdict.kinds()
    assert 5 < verdict.counts["ok"]


@pytest.mark.parametrize("isolation", [WEAK, STRONG])
@pytest.mark.isolation("committing")
async def test_money(engine: AndamiosEngine, isolation: str) -> None:
    """Money is made or lost at READ COMMITTED, and only there."""
    bank, store = Bank(reads_first=True), Accounts(engine, isolation)
    await store.prepare(bank.accounts, bank.balance)
    verdict = bank.check(await run(bank, store), isolation=STRONG, database=engine.backend)
    assert verdict.is_valid is (isolation == STRONG or engine.backend == "sqlite"), verdict


@pytest.mark.parametrize("isolation", [WEAK, STRONG])
@pytest.mark.isolation("committing")
async def test_lists(engine: AndamiosEngine, isolation: str) -> None:
    """Appends are lost at READ COMMITTED, and only there."""
    lists, store = ListAppend(), Lists(engine, isolation)
    await store.prepare(50, 0)
    verdict = lists.check(await run(lists, store), isolation=STRONG, database=engine.backend)
    if isolation == STRONG or engine.backend == "sqlite":
        assert verdict.is_valid, verdict
    else:
        assert "lost append" in verdict.kinds(), verdict
