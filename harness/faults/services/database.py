"""Breaking a database: what can be done to PostgreSQL, MySQL and MariaDB alike."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from harness.faults.services.base import ServiceFaults, fresh_name

if TYPE_CHECKING:
    from harness.faults.services.server import FaultServers, OwnServer

__all__ = ["DatabaseFaults"]


class DatabaseFaults(ServiceFaults):
    """
    A database server to be broken; its user is no administrator, so that limits hold for it.

    Args:
        servers: Where servers come from.
        server: The one to break.
        seed: Of the proxy.
    """

    def __init__(self, servers: FaultServers, server: OwnServer, *, seed: int = 0) -> None:
        super().__init__(servers, server, seed=seed)
        self._name = fresh_name()

    async def read_only(self) -> None:
        """Refuse all writes, as a server does that was a primary and is a replica now."""
        self._undo["read_only"] = self.read_write
        await self._set_read_only(is_read_only=True)

    async def read_write(self) -> None:
        """Accept writes again."""
        await self._set_read_only(is_read_only=False)
        self._undo.pop("read_only", None)

    async def fill_disk(self) -> None:
        """
        Fill the disk that the test's tables are on; the server itself goes on.

        Rows that find place in pages which are there already can still be written.
        """
        self._undo["fill_disk"] = self.free_disk
        await self._fill()

    async def free_disk(self) -> None:
        """Free the disk again."""
        await self._free()
        self._undo.pop("fill_disk", None)

    @abstractmethod
    async def _set_read_only(self, *, is_read_only: bool) -> None: ...

    @abstractmethod
    async def _fill(self) -> None: ...

    @abstractmethod
    async def _free(self) -> None: ...
