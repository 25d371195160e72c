"""One direction of one connection: chunks come in, and leave late, in pieces, or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.faults.line import Conditions, Limit, Line
    from harness.faults.link import Link

__all__ = ["Stream"]

CHUNK = 65_536
BACKLOG = 64
"""Chunks that may be under way in one direction; then the sender has to wait."""


class Stream:
    """
    Carries what one end sends to the other.

    Args:
        link: The connection, which is asked whether a chunk may leave, and told of breaks.
        reader: Where the bytes come from.
        writer: Where they go.
        line: The conditions on the way.
    """

    def __init__(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: Line
    ) -> None:
        self._link = link
        self._reader = reader
        self._writer = writer
        self._line = line
        # When it came, and what: no bytes are the end, None is a reset.
        self._chunks: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue(BACKLOG)
        self._limit: Limit | None = None
        self._left = 0
        self._chance = link.luck.split()
        self._faults = line.faults
        self._conditions = line.conditions(link.luck)

    @property
    def _now(self) -> Conditions:
        if self._faults is not self._line.faults:
            self._faults = self._line.faults
            self._conditions = self._line.conditions(self._link.luck)
        return self._conditions

    async def run(self) -> None:
        """Carry until the sender has ended, and tell the receiver so."""
        await asyncio.gather(self._receive(), self._deliver())

    async def _receive(self) -> None:
        data: bytes | None = b"-"
        while data:
            try:
                data = await self._reader.read(CHUNK)
            except OSError:
                data = None
            await self._chunks.put((asyncio.get_running_loop().time(), data))

    async def _deliver(self) -> None:
        data: bytes | None = b"-"
        try:
            while data:
                arrived, data = await self._chunks.get()
                await self._be_late(arrived)
                if not data:
                    await self._end(arrived, is_reset=data is None)
                elif not self._now.is_silent and self._link.lets_pass(self, data):
                    await self._send(data)
        except OSError:
            self._link.reset()

    async def _be_late(self, arrived: float) -> None:
        loop, varied = asyncio.get_running_loop(), self._chance.uniform(-1, 1)
        while True:
            now = self._now
            left = arrived + now.latency + now.jitter * varied - loop.time()
            if left <= 0:
                return
            await self._line.wait(left)

    async def _end(self, arrived: float, *, is_reset: bool) -> None:
        loop = asyncio.get_running_loop()
        while self._now.is_silent:
            await self._line.wait(None)
        while (left := arrived + self._now.close_delay - loop.time()) > 0:
            await self._line.wait(left)
        if not self._link.lets_pass(self, b""):
            return
        if is_reset:
            self._link.reset()
        elif not self._writer.is_closing():
            self._writer.write_eof()

    async def _send(self, data: bytes) -> None:
        while data:
            size = self._now.piece(len(data), self._chance)
            await self._line.wait(self._now.cost(size))
            if self._now.is_silent:
                return
            if self._writer.is_closing():
                raise ConnectionResetError
            piece = data[: min(size, self._allowance())]
            self._writer.write(piece)
            await self._writer.drain()
            self._link.count(self, len(piece))
            self._left -= len(piece)
            if self._limit is not None and self._left <= 0:
                self._link.close()
                return
            data = data[size:]

    def _allowance(self) -> int:
        if self._limit is not self._now.limit:
            self._limit = self._now.limit
            self._left = self._limit.size if self._limit is not None else 0
        return self._left if self._limit is not None else CHUNK
