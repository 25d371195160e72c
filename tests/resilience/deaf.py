"""A way to a server that breaks at a word, without the server noticing."""

from __future__ import annotations

import asyncio
from typing import Self

__all__ = ["Deaf"]


class Deaf:
    """
    Passes bytes on until a client sends a word, and then loses that client alone.

    The server waits for the rest, as it does after a firewall has forgotten a connection.
    """

    def __init__(self, host: str | None, port: int | None, word: bytes) -> None:
        self._upstream = (host, port)
        self._word = word
        self._kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.listens_for_word = False
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for _, writer in self._kept:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def is_ended(self) -> bool:
        """Whether the server ends the connection that was lost, in two seconds."""
        reader, _ = self._kept[0]
        async with asyncio.timeout(2):
            await reader.read()
        return reader.at_eof()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await asyncio.open_connection(*self._upstream)
        down = asyncio.create_task(self._carry(server[0], writer, None))
        up = asyncio.create_task(self._carry(reader, server[1], (writer, server)))
        self._tasks |= {up, down}
        await up
        down.cancel()
        await asyncio.gather(down, return_exceptions=True)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, tuple[asyncio.StreamReader, asyncio.StreamWriter]] | None,
    ) -> None:
        try:
            while data := await reader.read(65_536):
                if ends is not None and self.listens_for_word and self._word in data:
                    self.listens_for_word = False
                    self._kept.append(ends[1])
                    ends[0].transport.abort()
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            if not any(writer is kept for _, kept in self._kept):
                writer.close()
