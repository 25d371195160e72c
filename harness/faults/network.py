"""What a network does to connections: the faults of a proxy, by Toxiproxy's names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from harness.faults.line import Limit
from harness.faults.link import Ending, Link, Traffic
from harness.faults.word import Moment, WordCut

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from harness.faults.line import Direction, Line

__all__ = ["Faults"]


class Faults:
    """The faults of connections that somebody else makes; see `FaultProxy`."""

    def __init__(self) -> None:
        self._traffic = Traffic()
        self._links: set[Link] = set()

    def latency(
        self,
        latency: float,
        *,
        jitter: float = 0,
        stream: Direction = "down",
        probability: float = 1,
    ) -> None:
        """Deliver everything late: by so many seconds, more or less the jitter; order stays."""
        _check("latency", latency, "seconds", least=0)
        _check("jitter", jitter, "seconds", least=0)
        self._change("latency", stream, probability, latency=latency, jitter=jitter)

    def bandwidth(self, rate: float, *, stream: Direction = "down", probability: float = 1) -> None:
        """Deliver so many bytes a second on each connection."""
        _check("bandwidth", rate, "bytes a second", least=1)
        self._change("bandwidth", stream, probability, rate=rate)

    def slicer(
        self,
        average_size: int,
        *,
        size_variation: int = 0,
        delay: float = 0.001,
        stream: Direction = "down",
        probability: float = 1,
    ) -> None:
        """Deliver in pieces of so many bytes, more or less, each after a delay in seconds."""
        _check("slicer", average_size, "bytes", least=1)
        _check("size_variation", size_variation, "bytes", least=0)
        _check("delay", delay, "seconds", least=0)
        sizes = {"slice_size": average_size, "slice_variation": size_variation}
        self._change("slicer", stream, probability, slice_delay=delay, **sizes)

    def limit_data(self, size: int, *, stream: Direction = "down", probability: float = 1) -> None:
        """Close each connection after so many more bytes, in the middle of whatever it is."""
        _check("limit_data", size, "bytes", least=1)
        self._change("limit_data", stream, probability, limit=Limit(size))

    def slow_close(
        self, delay: float, *, stream: Direction = "down", probability: float = 1
    ) -> None:
        """Tell the other end so many seconds late that one end has closed."""
        _check("slow_close", delay, "seconds", least=0)
        self._change("slow_close", stream, probability, close_delay=delay)

    def timeout(
        self, timeout: float = 0, *, stream: Direction = "both", probability: float = 1
    ) -> None:
        """
        Lose everything: a black hole, which closes nothing, or only after some seconds.

        Connections are accepted, and no byte gets through. What is lost stays so after
        :meth:`reset`; what is sent then arrives.

        Args:
            timeout: Seconds after which connections are closed; 0 is never.
            stream: What is lost.
            probability: That it meets a connection.
        """
        _check("timeout", timeout, "seconds", least=0)
        self._change("timeout", stream, probability, is_silent=True)
        self._end("timeout", Ending(timeout, probability, is_reset=False) if timeout else None)

    def half_open(self, *, probability: float = 1) -> None:
        """
        Lose the server's end of each open connection without a word to its client.

        So it looks after a firewall has forgotten a connection, or a machine its power.
        New connections are well. :meth:`reset` tells the clients with RST.
        """
        _check_probability(probability)
        for link in self._links:
            if link.luck.is_met(probability):
                link.half_open()

    def reset_peer(self, timeout: float = 0, *, probability: float = 1) -> None:
        """
        Reset connections with RST, those that are open and those that come.

        Args:
            timeout: Seconds that each of them has before, in which all is well.
            probability: That it meets a connection.
        """
        _check("timeout", timeout, "seconds", least=0)
        _check_probability(probability)
        if not timeout:
            for link in self._links:
                if link.luck.is_met(probability):
                    link.reset()
        self._end("reset_peer", Ending(timeout, probability, is_reset=True))

    def cut(
        self, word: bytes, moment: Moment = "before", *, probability: float = 1
    ) -> asyncio.Event:
        """
        Break the next connection whose client sends this word, once.

        Args:
            word: Such as ``b"COMMIT"``; found only where nothing is encrypted.
            moment: ``before`` (the server never sees it), ``after`` (it does, and the
                connection breaks instead of its answer), or ``held`` (its answer does not
                come, and nothing breaks until :meth:`reset`).
            probability: That a connection may be the one.

        Returns:
            Set when it has happened.
        """
        if not word:
            raise ValueError("cut takes a word of at least one byte")
        _check_probability(probability)
        self._traffic.cut = WordCut(word, moment, probability)
        return self._traffic.cut.has_happened

    def reset(self) -> None:
        """Be a good proxy again; connections that cannot recover are reset."""
        self._traffic.endings.clear()
        self._traffic.cut = None
        for line in self._lines("both"):
            line.reset()
        for link in self._links:
            link.spare()
            if link.is_lost:
                link.reset()

    def _change(self, fault: str, stream: Direction, probability: float, **conditions: Any) -> None:
        _check_probability(probability)
        for line in self._lines(stream):
            line.change(fault, probability, **conditions)

    def _end(self, fault: str, ending: Ending | None) -> None:
        self._traffic.endings.pop(fault, None)
        if ending is not None:
            self._traffic.endings[fault] = ending
        for link in self._links:
            if ending is not None:
                link.end_later(fault, ending)
            else:
                link.spare(fault)

    def _lines(self, stream: Direction) -> Iterator[Line]:
        if stream not in {"up", "down", "both"}:
            raise ValueError(f"stream is 'up', 'down' or 'both', not {stream!r}")
        if stream != "down":
            yield self._traffic.up
        if stream != "up":
            yield self._traffic.down


def _check(name: str, value: float, unit: str, *, least: float) -> None:
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name} takes {unit} from {least} on, not {value!r}")


def _check_probability(value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"probability takes a number from 0 to 1, not {value!r}")
