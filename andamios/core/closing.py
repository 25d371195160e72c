"""Giving a connection back, though whoever does so is cancelled, and though no answer comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["finish"]

LIMIT = 3.0
"""Seconds for the answer to a rollback for which nobody waits any longer."""


async def finish(closing: Coroutine[object, object, None]) -> None:
    """
    Wait for what gives a connection back.

    A cancellation does not stop it halfway. But then nobody waits for it, and a server that does
    not answer would keep the connection for ever: after a while it is given up.

    Args:
        closing: What rolls back and returns it.
    """
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        asyncio.get_running_loop().call_later(LIMIT, task.cancel)
        raise
