"""One connection through a proxy: the client's end, the server's end, and what ends both."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.faults.line import Line
from harness.faults.stream import Stream

if TYPE_CHECKING:
    from harness.faults.luck import Luck
    from harness.faults.word import WordCut

__all__ = ["End", "Ending", "Link", "Traffic", "reset"]

LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: what is closed then is reset, and says so with RST."""


@dataclass
class End:
    """One end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass(frozen=True)
class Ending:
    """
    What ends connections after some time.

    Args:
        seconds: How long after it was set, or after the connection came.
        probability: That it meets a connection.
        is_reset: Whether they end with RST.
    """

    seconds: float
    probability: float
    is_reset: bool


@dataclass
class Traffic:
    """What all connections of a proxy share: conditions each way, counts, and what ends them."""

    up: Line = field(default_factory=Line)
    down: Line = field(default_factory=Line)
    endings: dict[str, Ending] = field(default_factory=dict)
    bytes_up: int = 0
    bytes_down: int = 0
    cuts: int = 0
    cut: WordCut | None = None


class Link:
    """
    A client and its server, with a stream each way between them.

    Args:
        client: The client's end.
        server: The server's end.
        traffic: What happens between.
        luck: Which faults meet it.
    """

    def __init__(self, client: End, server: End, traffic: Traffic, luck: Luck) -> None:
        self.luck = luck
        self._client = client
        self._server = server
        self._traffic = traffic
        self._up = Stream(self, client.reader, server.writer, traffic.up)
        self._down = Stream(self, server.reader, client.writer, traffic.down)
        self._work: asyncio.Future[Any] | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tail = b""
        self._cut: WordCut | None = None
        self.is_half_open = False

    @property
    def is_lost(self) -> bool:
        """Whether no answer can come any more, though the client's end is open."""
        return self.is_half_open or self._cut is not None

    async def run(self) -> None:
        """Carry until both ends have ended, or something ends them."""
        self._work = asyncio.gather(self._up.run(), self._down.run())
        with suppress(asyncio.CancelledError):
            await self._work
        self.spare()
        for end in (self._client, self._server):
            end.writer.close()
            with suppress(OSError):
                await end.writer.wait_closed()

    def lets_pass(self, stream: Stream, data: bytes) -> bool:
        """Whether a chunk may leave; sees the word that breaks the connection."""
        if self.is_half_open:
            return False
        if stream is self._up:
            return self._lets_up(data)
        if self._cut is not None and data:
            self._cut_now(self._cut)
        return self._cut is None

    def _lets_up(self, data: bytes) -> bool:
        cut = self._traffic.cut
        if cut is not None and self._breaks(cut, self._tail + data):
            self._cut = cut
            if cut.moment == "before":
                self._cut_now(cut)
                return False
        self._tail = cut.tail_of(self._tail + data) if cut is not None else b""
        return True

    def _breaks(self, cut: WordCut, sent: bytes) -> bool:
        return self.luck.is_met(cut.probability) and cut.looks_at(sent)

    def _cut_now(self, cut: WordCut) -> None:
        if not cut.has_happened.is_set():
            cut.has_happened.set()
            self._traffic.cuts += 1
        if cut.moment != "held":
            self.abort()

    def count(self, stream: Stream, size: int) -> None:
        """Count bytes that were passed on."""
        if stream is self._up:
            self._traffic.bytes_up += size
        else:
            self._traffic.bytes_down += size

    def end_later(self, fault: str, ending: Ending) -> None:
        """End after some time, unless it is spared before."""
        self.spare(fault)
        if self.luck.is_met(ending.probability):
            end = self.reset if ending.is_reset else self.close
            loop = asyncio.get_running_loop()
            self._timers[fault] = loop.call_later(ending.seconds, end)

    def spare(self, *faults: str) -> None:
        """Forget what would end this later; without names all."""
        for fault in faults or tuple(self._timers):
            if fault in self._timers:
                self._timers.pop(fault).cancel()

    def half_open(self) -> None:
        """Lose the server's end without a word to the client."""
        self.is_half_open = True
        self._server.writer.transport.abort()

    def reset(self) -> None:
        """End with RST, on both sides."""
        if not self.is_half_open:
            reset(self._server.writer)
        reset(self._client.writer)
        self._stop()

    def abort(self) -> None:
        """End at once, as the kernel does for a process that died."""
        self._client.writer.transport.abort()
        self._server.writer.transport.abort()
        self._stop()

    def close(self) -> None:
        """End when what was passed on has been sent."""
        self._client.writer.close()
        self._server.writer.close()
        self._stop()

    def _stop(self) -> None:
        if self._work is not None:
            self._work.cancel()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a socket with RST."""
    found = writer.get_extra_info("socket")
    if found is not None and not writer.is_closing():
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    writer.transport.abort()
