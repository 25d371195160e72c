"""Running a workload while something is broken, and looking at what is left afterwards."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.faults.histories.history import History, HistoryError
from harness.faults.histories.levels import level_of
from harness.faults.trials.trial import Strike, Trial

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.faults.histories.workload import Workload

__all__ = ["Plan", "try_fault"]


@dataclass(frozen=True)
class Plan:
    """
    How a trial goes.

    Args:
        failed: Errors after which nothing has happened.
        unknown: Errors after which it may have.
        processes: Tasks that work at once.
        before: Seconds of work before the fault.
        after: Seconds of work once it flows again.
        patience: Seconds to wait for that.
        pause: Seconds between two operations of a task, so that histories stay short.
        isolation: The level that the history is checked for.
        seed: What chance begins with.
    """

    failed: tuple[type[BaseException], ...] = ()
    unknown: tuple[type[BaseException], ...] = ()
    processes: int = 5
    before: float = 0.5
    after: float = 0.5
    patience: float = 30.0
    pause: float = 0.005
    isolation: str = "READ COMMITTED"
    seed: int = 0


async def try_fault(
    trial: Trial,
    workload: Workload[Any],
    store: Any,
    *,
    strike: Callable[[], Awaitable[None]],
    plan: Plan,
) -> tuple[Trial, History]:
    """
    Run a workload, break something in the middle of it, and check what is left.

    Args:
        trial: Names of the fault, the database and the workload.
        workload: What to ask.
        store: Whom to ask.
        strike: Breaks something, and mends it again before it returns.
        plan: How long, with how many, and which errors count as what.

    Returns:
        The trial with all that was seen, and the history. An error that the plan does not know
        ends the trial, and is raised. What a test records with
        ``record_property("fault_trial", json.dumps(trial.as_dict()))`` is in the run's table.

    Raises:
        HistoryError: A last read was refused, or no operation succeeded, so that nothing can be
            said about losses.
        ValueError: Nothing is known of what the level means on the database.
    """
    level_of(plan.isolation, trial.backend)  # before a server is broken for nothing
    history = History(failed=plan.failed, unknown=plan.unknown)
    clients = _Clients(workload, store, history, plan)
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(plan.processes):
            tasks.create_task(clients.work(number))
        try:
            await asyncio.sleep(plan.before)
            struck = time.monotonic()
            await strike()
            healed = time.monotonic()
            recovery = await _flows_again(history, healed, plan.patience)
            await asyncio.sleep(plan.after)
        finally:
            clients.are_done = True
    if not any(each.is_ok for each in history):
        raise HistoryError("no operation succeeded, so that there was nothing to lose")
    await clients.read_all()
    database = trial.backend
    verdict = workload.check(history, isolation=plan.isolation, database=database)
    strikes = (Strike(trial.fault, round(struck - began, 3), round(healed - began, 3)),)
    seen = trial.but(recovery=recovery, strikes=strikes)
    return seen.with_history(history, verdict, began), history


class _Clients:
    """
    Tasks that ask a store until they are done.

    Args:
        workload: What to ask.
        store: Whom to ask.
        history: Where it is recorded.
        plan: How often, and what chance begins with.
    """

    def __init__(self, workload: Workload[Any], store: Any, history: History, plan: Plan) -> None:
        self._workload, self._store = workload, store
        self._history, self._plan = history, plan
        self.are_done = False

    async def work(self, number: int) -> None:
        """Ask one thing after the other, as chance has it."""
        chance = random.Random(f"{self._plan.seed}/{number}")  # noqa: S311  chosen, not kept secret
        while not self.are_done:
            await self._ask(number, *self._workload.ask(chance))
            await asyncio.sleep(self._plan.pause)

    async def read_all(self) -> None:
        """
        Read what is there at the end.

        Raises:
            HistoryError: It was refused.
        """
        for name, asked in self._workload.last():
            await self._ask(self._plan.processes, name, asked)
            last = self._history[-1]
            if not last.is_ok:
                raise HistoryError(
                    f"the last {name} {asked} ended as {last.outcome} ({last.error}), and without "
                    "it nothing is known of losses"
                )

    async def _ask(self, process: int, name: str, asked: Any) -> None:
        with self._history.invoke(process, name, asked) as invocation:
            invocation.answer = await self._workload.perform(self._store, name, asked)


async def _flows_again(history: History, since: float, patience: float) -> float | None:
    """Wait for an operation that began and succeeded after a moment; tell how long it took."""
    seen = 0
    while time.monotonic() - since < patience:
        for each in list(history)[seen:]:
            if each.is_ok and each.began_at >= since:
                return round((each.ended_at or since) - since, 3)
        await asyncio.sleep(0.01)
    return None
