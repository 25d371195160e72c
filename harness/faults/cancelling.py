"""
Cancellation at every await of a piece of work, one after the other.

A task can be cancelled wherever it waits, and hardly ever is where its author thought of it.
Here the work runs again and again, struck at its first await, then at its second, until it
ends without having been struck; after each run the caller looks at what was left behind.

An await is a place where the task itself is suspended, however deep below the work: it is
seen by driving the coroutine step by step, so that it makes no difference who waits, nor which
event loop runs. It is struck at one of two moments. ``waiting``: as soon as it waits, which
is how a time-out or a client that went away is met most often. ``answered``: when what it
waited for has happened, and before it learns of it. There connections and locks get lost,
since they were handed over and nobody has them.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import types
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Iterator

__all__ = ["Strike", "StrikeMoment", "cancelled_everywhere"]

StrikeMoment: TypeAlias = Literal["waiting", "answered"]
"""When a task is struck: as soon as it waits, or when it is about to go on."""

PATIENCE = 5.0
"""Seconds for which a work that was struck, and tasks that it began, may go on."""

PLACES = 3
"""How many of the innermost functions are named in a strike's place."""


@dataclass(frozen=True, slots=True)
class Strike:
    """
    One run of a work, and how it ended.

    Args:
        number: Which await was struck, from 1; 0 for the first run, in which none is.
        moment: When it was struck.
        place: The innermost functions that waited there; empty when the work ended before
            it came to that await.
        outcome: ``cancelled``, ``finished``, or ``failed`` when something else came out.
        faults: What must not be: another error than the cancellation, tasks that go on,
            errors that nobody heard of, resources that were left to the garbage collector.
    """

    number: int
    moment: StrikeMoment
    place: str
    outcome: Literal["cancelled", "finished", "failed"]
    faults: tuple[str, ...]

    @property
    def was_struck(self) -> bool:
        """Whether the work came to that await."""
        return bool(self.place)

    def __str__(self) -> str:
        return f"await {self.number}, {self.moment}, in {self.place or 'nothing'}: {self.outcome}"


async def cancelled_everywhere(
    work: Callable[[], Coroutine[Any, Any, Any]],
    *,
    moments: Iterable[StrikeMoment] = ("waiting", "answered"),
    limit: int | None = None,
) -> AsyncGenerator[Strike, None]:
    """
    Run a work again and again, cancelled at each await in turn.

    The body of the loop looks at what is left, and puts back what the next run needs. The
    first run is not cancelled, and the last one of each moment is not either, since it ends
    before it comes to its await.

    Args:
        work: Makes the coroutine, anew for each run; it runs in a task of its own.
        moments: When it is struck.
        limit: How many awaits are struck at most, evenly spread, the first and the last
            among them; None strikes all of them.

    Yields:
        Each run, when it has ended.

    Raises:
        Exception: What the work itself raises when it is not cancelled.

    Example:
        >>> import asyncio
        >>> from harness.faults import cancelled_everywhere
        >>> async def main() -> list[str]:
        ...     seats, outcomes = [], []
        ...     async def work() -> None:
        ...         seats.append("taken")
        ...         await asyncio.sleep(0)
        ...         seats.remove("taken")  # not in a finally
        ...     async for strike in cancelled_everywhere(work, moments=["waiting"]):
        ...         outcomes.append(f"{strike.outcome}, {len(seats)} taken")
        ...         seats.clear()
        ...     return outcomes
        >>> asyncio.run(main())
        ['finished, 0 taken', 'cancelled, 1 taken', 'finished, 0 taken']
    """
    with _frozen():
        first, count = await _run(work, 0, "waiting")
        yield first
        for moment in moments:
            # Runs differ by an await or two, so that the last one is looked for.
            for number in itertools.chain(_spread(count, limit), itertools.count(count + 1)):
                strike, _ = await _run(work, number, moment)
                yield strike
                if not strike.was_struck and number >= count:
                    break


class _Steps:
    """Drives a coroutine, counts its suspensions, and strikes at one of them."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], number: int, moment: StrikeMoment
    ) -> None:
        self._coroutine = coroutine
        self._number = number
        self._moment = moment
        self.count = 0
        self.place = ""

    @types.coroutine
    def drive(self) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = self._coroutine.send
        value: Any = None
        while True:
            try:
                awaited = step(value)
            except StopIteration as end:
                return end.value
            self.count += 1
            if self.count == self._number:
                self._strike(awaited)
            try:
                value, step = (yield awaited), self._coroutine.send
            except GeneratorExit:
                self._coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001  handed on
                value, step = error, self._coroutine.throw

    def _strike(self, awaited: Any) -> None:
        self.place = _place(self._coroutine)
        task = asyncio.current_task()
        assert task is not None
        if self._moment == "answered" and asyncio.isfuture(awaited):
            # In front of what wakes the task, which is added when this returns.
            awaited.add_done_callback(lambda _: task.cancel())
        else:
            task.cancel()


async def _run(
    work: Callable[[], Coroutine[Any, Any, Any]], number: int, moment: StrikeMoment
) -> tuple[Strike, int]:
    others = asyncio.all_tasks()
    steps = _Steps(work(), number, moment)
    with _listening() as faults:
        task = asyncio.create_task(_started(steps))
        await asyncio.wait([task], timeout=PATIENCE)
        outcome = await _outcome(task, faults, was_struck=bool(steps.place))
        await _ended(asyncio.all_tasks() - others, faults)
        del task
        gc.collect()
    return Strike(number, moment, steps.place, outcome, tuple(faults)), steps.count


async def _started(steps: _Steps) -> Any:
    return await steps.drive()


async def _outcome(
    task: asyncio.Task[Any], faults: list[str], *, was_struck: bool
) -> Literal["cancelled", "finished", "failed"]:
    if not task.done():
        faults.append(f"it still ran after {PATIENCE:g} s")
        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE)
        return "failed"
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    if error is None:
        return "finished"
    if not was_struck:
        raise error
    faults.append(f"{error!r} came out in place of the cancellation")
    return "failed"


async def _ended(begun: set[asyncio.Task[Any]], faults: list[str]) -> None:
    """Wait for tasks that were begun, such as those that close a connection."""
    if begun:
        _, begun = await asyncio.wait(begun, timeout=PATIENCE)
    faults += [f"a task goes on: {task.get_name()} in {_place(task.get_coro())}" for task in begun]


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Hear what would only be logged, of this loop and of the garbage collector."""
    heard: list[str] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: heard.append(_told(context)))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            yield heard
        heard += [f"{each.category.__name__}: {each.message}" for each in caught]
    finally:
        loop.set_exception_handler(before)


def _told(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"


@contextmanager
def _frozen() -> Iterator[None]:
    """Set aside what is there already, so that collecting garbage after each run is quick."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _spread(count: int, limit: int | None) -> Iterable[int]:
    if limit is None or count <= limit:
        return range(1, count + 1)
    if limit == 1:
        return [1]
    return sorted({1 + round(each * (count - 1) / (limit - 1)) for each in range(limit)})


def _place(waiting: Any) -> str:
    """Name the innermost functions of a chain of coroutines that waits."""
    names: list[str] = []
    while waiting is not None:
        names.append(getattr(waiting, "__qualname__", ""))
        waiting = next(
            (
                inner
                for kind in ("cr_await", "gi_yieldfrom", "ag_await")
                if (inner := getattr(waiting, kind, None)) is not None
            ),
            None,
        )
    return " > ".join([name for name in names if name][-PLACES:])
