"""What a workload is, and the tasks that run one against a database."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from harness.faults.histories.history import History
    from harness.faults.histories.verdict import Verdict

__all__ = ["Workload", "drive"]

StoreT = TypeVar("StoreT")
StoreT_contra = TypeVar("StoreT_contra", contravariant=True)


class Workload(Protocol[StoreT_contra]):
    """Operations to ask of a store, and how their history is checked."""

    def ask(self, chance: random.Random) -> tuple[str, Any]:
        """Choose the next operation: its name, and its arguments as JSON has them."""

    def last(self) -> list[tuple[str, Any]]:
        """Name the operations that read everything, once all others have ended."""

    async def perform(self, store: StoreT_contra, name: str, asked: Any) -> Any:
        """Do an operation on a store, and give its answer as JSON has it."""

    def check(
        self, history: History, *, isolation: str = ..., database: str | None = ...
    ) -> Verdict:
        """Say what is wrong with a history."""


async def drive(
    workload: Workload[StoreT],
    store: StoreT,
    history: History,
    *,
    processes: int = 5,
    operations: int = 100,
    seed: int = 0,
) -> None:
    """
    Run a workload: some processes at once, and then the reads that come last.

    The same seed asks the same of each process; in which order they come is up to the database.

    Args:
        workload: What to ask.
        store: Whom to ask.
        history: Where it is recorded; which errors a process survives is said there.
        processes: How many tasks.
        operations: How many operations each of them asks.
        seed: What chance begins with.
    """

    async def process(number: int) -> None:
        chance = random.Random(f"{seed}/{number}")  # noqa: S311  chosen, not kept secret
        for _ in range(operations):
            await _ask(workload, store, history, number, workload.ask(chance))

    async with asyncio.TaskGroup() as tasks:
        for number in range(processes):
            tasks.create_task(process(number))
    for operation in workload.last():
        await _ask(workload, store, history, processes, operation)


async def _ask(
    workload: Workload[StoreT],
    store: StoreT,
    history: History,
    process: int,
    operation: tuple[str, Any],
) -> None:
    with history.invoke(process, *operation) as invocation:
        invocation.answer = await workload.perform(store, *operation)
