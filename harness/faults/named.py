"""Faults by their names, each with usual values, as a schedule draws them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

from harness.faults.proxy import FaultProxy
from harness.faults.services.base import ServiceFaults

__all__ = ["FAULTS", "Fault", "Target", "network", "service"]

Target: TypeAlias = FaultProxy | ServiceFaults

Fault: TypeAlias = Callable[[Target], AbstractAsyncContextManager[None]]
"""A fault that begins with a block, and is undone behind it."""


def network(begin: Callable[[FaultProxy], object]) -> Fault:
    """
    Make a fault of a proxy, which is reset at its end.

    Args:
        begin: Such as ``lambda proxy: proxy.latency(0.2)``.
    """

    @asynccontextmanager
    async def fault(target: Target) -> AsyncIterator[None]:
        proxy = _proxy(target)
        try:
            begin(proxy)
            yield
        finally:
            proxy.reset()

    return fault


def service(begin: str, end: str | None = None) -> Fault:
    """
    Make a fault of a server.

    Args:
        begin: The method that makes it, such as ``pause``.
        end: The one that undoes it, such as ``resume``.
    """

    @asynccontextmanager
    async def fault(target: Target) -> AsyncIterator[None]:
        try:
            await getattr(target, begin)()
            yield
        finally:
            if end is not None:
                await getattr(target, end)()

    return fault


@asynccontextmanager
async def _down(target: Target) -> AsyncIterator[None]:
    proxy = _proxy(target)
    try:
        await proxy.down()
        yield
    finally:
        await proxy.up()


def _proxy(target: Target) -> FaultProxy:
    return target if isinstance(target, FaultProxy) else target.proxy


FAULTS: dict[str, Fault] = {
    "latency": network(lambda proxy: proxy.latency(0.05, jitter=0.04, stream="both")),
    "bandwidth": network(lambda proxy: proxy.bandwidth(20_000)),
    "slicer": network(lambda proxy: proxy.slicer(20, size_variation=15)),
    "limit_data": network(lambda proxy: proxy.limit_data(2_000)),
    "slow_close": network(lambda proxy: proxy.slow_close(0.5, stream="both")),
    "timeout": network(lambda proxy: proxy.timeout()),
    "half_open": network(lambda proxy: proxy.half_open()),
    "reset_peer": network(lambda proxy: proxy.reset_peer()),
    "down": _down,
    "kill": service("kill", "start"),
    "restart": service("restart"),
    "pause": service("pause", "resume"),
    "too_many_connections": service("too_many_connections", "free_connections"),
    "terminate_connections": service("terminate_connections"),
    "read_only": service("read_only", "read_write"),
    "fill_disk": service("fill_disk", "free_disk"),
    "evict": service("evict"),
    "flush": service("flush"),
    "failover": service("failover"),
}
"""Of databases all but the last three, of Redis all but ``read_only`` and ``fill_disk``."""
