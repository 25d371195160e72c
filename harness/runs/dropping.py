"""
Dropping databases of runs that are over, on servers that may be gone by now.

Each server gets some seconds, whatever it does with them; one that doesn't answer holds up
neither the others nor the run that cleans up.
"""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias
from urllib.parse import urlsplit

__all__ = ["Address", "address_of", "drop_databases"]

Address: TypeAlias = tuple[str | None, int | None]
_Drop: TypeAlias = Callable[[str], Awaitable[None]]

_LIMIT = 8.0
_GRACE = 2.0

_log = logging.getLogger("andamios.harness")


def address_of(url: str) -> Address:
    """Give host and port of a database; both None for a file."""
    parts = urlsplit(url)
    return parts.hostname, parts.port


def drop_databases(urls: Iterable[str]) -> list[str]:
    """
    Drop databases, those of different servers at the same time. Blocks.

    What fails is logged, one line a server.

    Args:
        urls: Their addresses, with passwords.

    Returns:
        Those that could not be dropped.
    """
    by_server: dict[Address, list[str]] = defaultdict(list)
    for url in urls:
        by_server[address_of(url)].append(url)
    threads = {server: _Dropping(found) for server, found in by_server.items()}
    for thread in threads.values():
        thread.start()
    for server, thread in threads.items():
        thread.join(_LIMIT + _GRACE)
        if thread.left:
            _log.warning("%s", _complaint(server, thread))
    return [url for thread in threads.values() for url in thread.left]


class _Dropping(threading.Thread):
    """A thread, since the caller may sit inside a loop, and may not wait for ever."""

    def __init__(self, urls: list[str]) -> None:
        super().__init__(name="harness-dropping", daemon=True)
        self.left = list(urls)
        self.reason = f"no answer within {_LIMIT:.0f} s"
        self._urls = urls

    def run(self) -> None:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(self._drop_all())

    async def _drop_all(self) -> None:
        # Its import brings SQLAlchemy along, which a run without databases has no use for.
        from harness.databases import drop_database  # noqa: PLC0415

        try:
            async with asyncio.timeout(_LIMIT):
                for url in self._urls:
                    await self._drop(drop_database, url)
        except TimeoutError:
            return

    async def _drop(self, drop_database: _Drop, url: str) -> None:
        try:
            await drop_database(url)
        except Exception as error:  # noqa: BLE001 - drivers raise anything
            self.reason = " ".join(str(error).split())[:300] or type(error).__name__
        else:
            self.left.remove(url)


def _complaint(server: Address, dropping: _Dropping) -> str:
    where = f"{server[0]}:{server[1]}" if server[0] else "files"
    return f"harness: {len(dropping.left)} database(s) left at {where}: {dropping.reason}"
