"""What workloads ask of a database, done with Andamios: every write is one function in run()."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import select, update

from andamios import AndamiosEngine, AsyncSession
from andamios.resilience import TransactionManager
from tests.faults.models import FaultBase, FltAccount, FltElement, FltList, FltNumber

__all__ = ["Store", "prepare"]

ACCOUNTS = 5
BALANCE = 100
LISTS = 200
DEADLINE = 5.0


async def prepare(engine: AndamiosEngine) -> None:
    """Make the tables, and the rows that workloads begin with."""
    await engine.drop_all(FaultBase)
    await engine.create_all(FaultBase)
    await TransactionManager(engine).prepare()
    async with engine.session() as session:
        session.add(FltNumber(id=1, value=0))
        session.add_all(FltAccount(id=number + 1, balance=BALANCE) for number in range(ACCOUNTS))
        session.add_all(FltList(id=number + 1, elements="") for number in range(LISTS))


class Store:
    """
    All four kinds of stores in one.

    Args:
        engine: Where it writes.
        isolation: At which level.
    """

    def __init__(self, engine: AndamiosEngine, isolation: str | None = None) -> None:
        self._manager = TransactionManager(engine)
        self._isolation = isolation

    async def _run(self, work: Callable[[AsyncSession], Awaitable[Any]]) -> Any:
        return await self._manager.run(work, isolation=self._isolation, deadline=DEADLINE)

    async def add(self, element: int) -> None:
        async def work(session: AsyncSession) -> None:
            session.add(FltElement(element=element))

        await self._run(work)

    async def increment(self, amount: int) -> None:
        async def work(session: AsyncSession) -> None:
            await session.execute(update(FltNumber).values(value=FltNumber.value + amount))

        await self._run(work)

    async def transfer(self, source: int, target: int, amount: int) -> bool:
        async def work(session: AsyncSession) -> bool:
            rows = select(FltAccount).order_by(FltAccount.id).with_for_update()
            accounts = {each.id: each for each in await session.scalars(rows)}
            if accounts[source + 1].balance < amount:
                return False
            accounts[source + 1].balance -= amount
            accounts[target + 1].balance += amount
            return True

        done: bool = await self._run(work)
        return done

    async def transact(self, steps: Sequence[Sequence[Any]]) -> list[list[int] | None]:
        async def work(session: AsyncSession) -> list[list[int] | None]:
            return [await _step(session, *step) for step in steps]

        answers: list[list[int] | None] = await self._run(work)
        return answers


class SetStore(Store):
    async def read(self) -> list[int]:
        return list(await self._run(lambda session: _all(session, FltElement.element)))


class CounterStore(Store):
    async def read(self) -> int:
        found: int = (await self._run(lambda session: _all(session, FltNumber.value)))[0]
        return found


class BankStore(Store):
    async def read(self) -> Mapping[int, int]:
        rows = await self._run(lambda session: _all(session, FltAccount))
        return {each.id - 1: each.balance for each in rows}


async def _all(session: AsyncSession, what: Any) -> list[Any]:
    return list(await session.scalars(select(what)))


async def _step(session: AsyncSession, kind: str, key: int, element: int) -> list[int] | None:
    row = FltList.id == key + 1
    if kind == "append":
        longer = FltList.elements + f"{element},"
        await session.execute(update(FltList).where(row).values(elements=longer))
        return None
    text = await session.scalar(select(FltList.elements).where(row))
    return [int(each) for each in (text or "").split(",") if each]
