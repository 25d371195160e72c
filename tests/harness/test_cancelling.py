"""Cancellation at every await: each is struck, and what leaks is found guilty."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from harness.faults import Strike, StrikeMoment, cancelled_everywhere

MOMENTS: list[StrikeMoment] = ["waiting", "answered"]


async def strikes(
    work: Callable[[], Coroutine[Any, Any, Any]], moment: StrikeMoment = "waiting", **options: Any
) -> list[Strike]:
    """Give all runs of a work that are struck at one moment."""
    return [each async for each in cancelled_everywhere(work, moments=[moment], **options)]


async def faults(work: Callable[[], Coroutine[Any, Any, Any]]) -> list[str]:
    """Give what is wrong with a work, wherever it is struck."""
    return [fault async for strike in cancelled_everywhere(work) for fault in strike.faults]


def answer(future: asyncio.Future[str]) -> None:
    """Answer, if anybody waits for it still."""
    if not future.done():
        future.set_result("answer")


async def answered_later() -> str:
    """Wait for something that the loop brings."""
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.001, answer, future)
    return str(await future)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_every_await_is_struck(moment: StrikeMoment) -> None:
    """First none is, then each one, also deep below and inside a generator, then none again."""
    reached: list[list[int]] = []

    async def numbers() -> Any:
        for number in (2, 3):
            await answered_later()
            yield number

    async def work() -> None:
        reached.append([])
        await asyncio.sleep(0)
        reached[-1].append(1)
        async for number in numbers():
            reached[-1].append(number)
        async with asyncio.timeout(5):
            await answered_later()
        reached[-1].append(4)

    found = await strikes(work, moment)
    assert [[1, 2, 3, 4], [], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]] == reached
    outcomes = ["finished", *["cancelled"] * 4, "finished"]
    assert outcomes == [each.outcome for each in found]
    assert [False, True, True, True, True, False] == [each.was_struck for each in found]
    assert "answered_later" in found[4].place
    assert [] == [each for strike in found for each in strike.faults]


async def test_the_moments_differ() -> None:
    """A future that is waited for is cancelled; one that has its answer keeps it."""
    futures: list[asyncio.Future[str]] = []

    async def work() -> None:
        futures.append(asyncio.get_running_loop().create_future())
        asyncio.get_running_loop().call_soon(answer, futures[-1])
        await futures[-1]

    assert ["finished", "cancelled", "finished"] == [each.outcome for each in await strikes(work)]
    assert [False, True, False] == [each.cancelled() for each in futures]
    futures.clear()
    await strikes(work, "answered")
    assert ["answer"] * 3 == [each.result() for each in futures]


async def test_both_moments_by_default() -> None:
    """What was handed over and lost is found only where the answer has come."""
    free = ["connection"]

    async def take() -> str:
        future = asyncio.get_running_loop().create_future()

        def hand_over() -> None:
            if not future.done():
                future.set_result(free.pop())

        asyncio.get_running_loop().call_soon(hand_over)
        return str(await future)

    async def work() -> None:
        free.append(await take())

    left: list[tuple[str, int]] = []
    async for strike in cancelled_everywhere(work):
        left.append((strike.moment, len(free)))
        free[:] = ["connection"]
    assert ("answered", 0) in left
    assert ("waiting", 0) not in left


async def test_a_limit() -> None:
    """With more awaits than that they are spread evenly, the first and the last among them."""

    async def work() -> None:
        for _ in range(21):
            await asyncio.sleep(0)

    assert [0, 1, 6, 11, 16, 21, 22] == [each.number for each in await strikes(work, limit=5)]
    assert [0, 1, 22] == [each.number for each in await strikes(work, limit=1)]
    assert 23 == len(await strikes(work, limit=21))


async def test_what_fails_by_itself() -> None:
    """A work that raises when nobody cancels it is no finding but an error."""

    async def work() -> None:
        await asyncio.sleep(0)
        raise KeyError("by itself")

    with pytest.raises(KeyError, match="by itself"):
        await strikes(work)


async def swallow() -> None:
    """Go on as if nothing had happened."""
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        return


async def replace() -> None:
    """Raise something else."""
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        raise OSError("the connection is gone") from None


async def leave_a_task() -> None:
    """Begin what goes on."""
    task = asyncio.create_task(asyncio.sleep(60), name="the one that goes on")
    await asyncio.sleep(0)
    task.cancel()


async def leave_an_error() -> None:
    """Begin what fails when nobody listens any more."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise OSError("nobody hears")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await asyncio.gather(task, return_exceptions=True)


async def leave_a_socket() -> None:
    """Leave something for the garbage collector."""
    opened = socket.socket()
    await asyncio.sleep(0)
    opened.close()


async def hang() -> None:
    """Not end in time."""
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("work", "fault"),
    [
        (replace, "OSError('the connection is gone') came out in place of the cancellation"),
        (leave_a_task, "a task goes on: the one that goes on in leave_a_task"),
        (leave_an_error, "OSError('nobody hears')"),
        (leave_a_socket, "ResourceWarning: unclosed <socket.socket"),
        (hang, "it still ran after"),
    ],
)
async def test_the_guilty(
    work: Callable[[], Awaitable[None]], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What leaves something behind is told, once or more."""
    monkeypatch.setattr("harness.faults.cancelling.PATIENCE", 0.05)
    found = await faults(work)  # type: ignore[arg-type]
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    expected = fault.replace(" in leave_a_task", "")
    assert [] != [each for each in found if expected in each], found


async def test_who_swallows_it() -> None:
    """A cancellation that does not come out shows in the outcome, since it may be right."""
    found = await strikes(swallow)
    assert [("finished", False), ("finished", True), ("finished", False)] == [
        (each.outcome, each.was_struck) for each in found
    ]


async def test_the_innocent() -> None:
    """What cleans up behind itself is told nothing about."""

    async def work() -> None:
        opened = socket.socket()
        try:
            await answered_later()
        finally:
            opened.close()

    assert [] == await faults(work)
