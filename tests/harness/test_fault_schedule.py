"""Schedules of faults: drawn by a seed, played, recorded, and printed when a test fails."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from harness.faults import FAULTS, FaultProxy, FaultSchedule
from tests.harness.inner import run_pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from harness.faults.named import Target
    from harness.fixtures.service_faults import ScheduleMaker, ServiceFaultsMaker

NETWORK = ("bandwidth", "down", "half_open", "latency", "reset_peer", "slicer", "timeout")


def test_a_seed_draws_the_same() -> None:
    """The same seed gives the same schedule, whatever order names come in; another does not."""
    one, same, other = (FaultSchedule(seed, NETWORK) for seed in (1, 1, 2))
    assert list(one) == list(same) == list(FaultSchedule(1, NETWORK[::-1]))
    assert list(one) != list(other)
    assert str(one) == str(same)
    assert "faults of seed 1:" in str(one)


def test_faults_do_not_overlap() -> None:
    """One ends before the next begins, all end in time, and each comes as often as others."""
    schedule = FaultSchedule(3, NETWORK, seconds=40, length=(0.5, 1), pause=(0.1, 0.2))
    end = 0.0
    for planned in schedule:
        assert 0.1 <= round(planned.at - end, 2) <= 0.21
        assert 0.5 <= planned.length <= 1
        end = planned.at + planned.length
    assert end <= 40
    names = [planned.name for planned in schedule]
    assert set(NETWORK) == set(names[: len(NETWORK)])


@pytest.mark.parametrize("faults", [(), {}, ("earthquake",)])
def test_unknown_faults(faults: Any) -> None:
    """A name that nobody knows is refused, with those that are known."""
    with pytest.raises(ValueError, match=r"known: bandwidth, down, evict"):
        FaultSchedule(0, faults)


class Rain:
    """A fault of one's own, which can fail."""

    def __init__(self) -> None:
        self.falls = 0
        self.has_failed = False

    @asynccontextmanager
    async def __call__(self, _target: Target) -> AsyncIterator[None]:
        if self.has_failed:
            raise OSError("no clouds")
        self.falls += 1
        yield
        self.falls -= 1


@pytest.mark.parametrize(
    "times", [{"length": (0, 0), "pause": (0, 0)}, {"length": (-1, 1)}, {"pause": (2, 1)}]
)
def test_times_that_never_end(times: dict[str, Any]) -> None:
    """A schedule of no time at all would never be drawn; it is refused, as is less than none."""
    with pytest.raises(ValueError, match=r"^length .* and pause .* are each least and most"):
        FaultSchedule(1, ("kill",), **times)


async def test_play() -> None:
    """Faults are made in their time, and it is recorded when each began and ended."""
    rain, proxy = Rain(), FaultProxy("127.0.0.1", 1)
    schedule = FaultSchedule(1, {"rain": rain}, seconds=1, length=(0.1, 0.2), pause=(0.1, 0.2))
    record = await schedule.play(proxy)
    assert [planned.name for planned in schedule] == [entry["fault"] for entry in record]
    assert 0 == rain.falls
    for planned, entry in zip(schedule, record, strict=True):
        assert planned.at == entry["planned"] <= entry["began"]
        assert planned.length <= entry["ended"] - entry["began"] < planned.length + 0.2
        assert entry["error"] is None

    rain.has_failed = True
    with pytest.raises(OSError, match="no clouds"):
        await schedule.play(proxy)
    assert ["OSError: no clouds"] == [entry["error"] for entry in schedule.record]


async def test_a_cancelled_play_mends() -> None:
    """The fault that is under way is undone, and its end recorded."""
    async with FaultProxy("127.0.0.1", 1) as proxy:
        schedule = FaultSchedule(1, ("down",), pause=(0, 0), length=(20, 20))
        playing = asyncio.create_task(schedule.play(proxy))
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(proxy.host, proxy.port)
        playing.cancel()
        await asyncio.wait([playing])
        _, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.transport.abort()
        assert 0.05 < schedule.record[0]["ended"] < 5


@pytest.mark.parametrize(
    "names",
    [
        ("kill", "terminate_connections", "too_many_connections", "latency", "timeout"),
        ("restart", "pause", "read_only", "fill_disk", "reset_peer", "half_open"),
    ],
)
async def test_a_server_survives_a_schedule(
    service_faults: ServiceFaultsMaker, fault_schedule: ScheduleMaker, names: tuple[str, ...]
) -> None:
    """Every fault of a database by its name, one after the other."""
    faults = await service_faults("postgresql")
    schedule = fault_schedule(names, length=(0.05, 0.1), pause=(0.05, 0.1), seconds=1.2)
    record = await schedule.play(faults)
    assert set(names) == {entry["fault"] for entry in record}
    assert faults.is_running


async def test_redis_survives_a_schedule(
    service_faults: ServiceFaultsMaker, fault_schedule: ScheduleMaker
) -> None:
    """Those of Redis too."""
    faults = await service_faults("redis")
    names = ("evict", "flush", "failover", "slow_close", "slicer", "bandwidth", "limit_data")
    await fault_schedule(names, length=(0.02, 0.05), pause=(0.02, 0.05), seconds=1).play(faults)
    assert {*names, *NETWORK} <= FAULTS.keys()


FAILING = """
import pytest

async def test_faults(fault_schedule):
    print(list(fault_schedule(("kill", "pause"), seconds=4)))
    assert False

def test_seed(fault_seed):
    assert fault_seed == 42
"""


def test_the_seed_is_printed_and_taken(pytester: pytest.Pytester) -> None:
    """The header names the seed; a test that fails prints it, with what it drew."""
    result = run_pytest(pytester, FAILING, "--harness-seed=42", "-oasyncio_mode=auto", "-n1")
    result.assert_outcomes(passed=1, failed=1)
    drawn = str(FaultSchedule(42, ("kill", "pause"), seconds=4)).splitlines()
    result.stdout.fnmatch_lines(["harness: *, seed 42", "*--harness-seed=42 draws*", *drawn])
