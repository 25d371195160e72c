"""
Databases of Redis, which have numbers and no names.

Each worker takes one that is empty and that no other run on this machine has written down.
Where there are not enough, a prefix for its keys is what is left.
"""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urldefrag

from filelock import FileLock

from andamios import ConfigurationError
from harness.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from redis.asyncio import Redis
    from sqlalchemy.engine import URL

__all__ = ["empty", "prefix_of", "take"]

BATCH = 1000

CLAIM_LIMIT = 60.0
"""Seconds to wait for other workers that take a database."""


def prefix_of(address: str) -> str:
    """Give what keys have to begin with: nothing in a database of one's own."""
    return urldefrag(address).fragment


async def take(server: URL, owner: str, ledger: Ledger | None, taken: set[str]) -> str:
    """
    Take an empty database, from the number in the server's URL on, or a prefix.

    Args:
        server: The server.
        owner: The prefix, if it comes to that; it says whose it is.
        ledger: Where it is written down.
        taken: Addresses that the caller has already.

    Returns:
        The address of a database, or one with the prefix behind ``#``.

    Raises:
        ConfigurationError: The server has not even the database that its URL names.
    """
    with _claiming(ledger) as others:
        address = await _free(server, taken | others)
        if address is None:
            first = server.set(database=str(int(server.database or 0)))
            address = f"{first.render_as_string(hide_password=False)}#{owner}"
        if ledger is not None:
            ledger.add(address, owner)
    return address


@contextlib.contextmanager
def _claiming(ledger: Ledger | None) -> Iterator[set[str]]:
    """Keep other runs of this machine from choosing, and give what they have written down."""
    if ledger is None:
        yield set()
        return
    runs = ledger.folder.parent
    with FileLock(runs / "numbers.lock", timeout=CLAIM_LIMIT):
        ledgers = [Ledger(folder) for folder in runs.iterdir() if folder.is_dir()]
        yield {entry.url for each in ledgers for entry in each.databases()}


async def _free(server: URL, taken: set[str]) -> str | None:
    from redis.exceptions import ResponseError  # noqa: PLC0415  slow: most runs need none

    first = int(server.database or 0)
    for number in range(first, 1 << 16):
        address = server.set(database=str(number)).render_as_string(hide_password=False)
        if address in taken:
            continue
        try:
            async with _client(address) as client:
                if not await client.dbsize():
                    return address
        except ResponseError as error:
            if number == first:
                raise ConfigurationError(
                    f"Redis has no database {number}, which its URL names. Name one that it has."
                ) from error
            return None
    return None


async def empty(address: str) -> None:
    """Remove what is in a database, or what begins with the prefix of an address."""
    prefix = prefix_of(address)
    async with _client(address) as client:
        if not prefix:
            await client.flushdb()
            return
        batch: list[bytes] = []
        async for key in client.scan_iter(match=f"{_literal(prefix)}*", count=BATCH):
            batch.append(key)
            if len(batch) == BATCH:
                await client.unlink(*batch)
                batch.clear()
        if batch:
            await client.unlink(*batch)


def _literal(prefix: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\^-" else letter for letter in prefix)


@asynccontextmanager
async def _client(address: str) -> AsyncIterator[Redis]:
    from redis.asyncio import Redis  # noqa: PLC0415  slow: most runs need none

    async with Redis.from_url(urldefrag(address).url) as client:
        yield client
