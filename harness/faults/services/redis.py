"""Breaking Redis, or Valkey."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from harness.faults.services.base import ANSWER_LIMIT, FaultError, Held, ServiceFaults, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from harness.faults.services.server import FaultServers, OwnServer
    from harness.services import ServiceDetails

__all__ = ["RedisFaults"]

EVICT_STEPS = 100
"""In how many steps memory is taken away."""

_TOO_MANY = "max number of clients reached"


class RedisFaults(ServiceFaults):
    """
    A server of Redis to be broken.

    Args:
        servers: Where servers come from.
        server: The one to break.
        seed: Of the proxy.
    """

    def __init__(self, servers: FaultServers, server: OwnServer, *, seed: int = 0) -> None:
        super().__init__(servers, server, seed=seed)
        self._clients: list[Redis] = []

    async def flush(self) -> None:
        """Lose all keys, of all databases."""
        async with self._admin() as admin:
            await admin.flushall()

    async def evict(self, share: float = 1) -> int:
        """
        Have the server evict keys for lack of memory, those first that were not used for long.

        While it does, it refuses writes too.

        Args:
            share: How much of the keys of database 0 at least, from 0 to 1.

        Returns:
            How many are gone.
        """
        async with self._admin() as admin:
            before = await admin.dbsize()
            first = await admin.info("memory")
            step = (first["used_memory"] - first["used_memory_startup"]) // EVICT_STEPS
            self._undo["evict"] = self._give_memory
            await admin.config_set("maxmemory-policy", "allkeys-lru")

            async def are_gone() -> bool:
                if before - await admin.dbsize() >= math.ceil(before * share):
                    return True
                used = (await admin.info("memory"))["used_memory"]
                # What is used changes by itself too, so that it is measured each time.
                await admin.config_set("maxmemory", used - step if share < 1 else 1)
                return False

            await until(are_gone, "keys to be evicted")
            await self._give_memory()
            return int(before - await admin.dbsize())

    async def failover(self) -> None:
        """
        Lose the server, and have a replica take its place behind the same URL.

        What the replica has not received then is lost, though it was acknowledged.
        """
        old, password = self._server, self._server.details.password
        new = await self._do(lambda: self._servers.another("redis", password=password))
        try:
            await self._replicate(old, new)
            await self.kill()
            async with self._admin(new) as replica:
                await replica.replicaof("NO", "ONE")
        except BaseException:
            await asyncio.to_thread(self._servers.remove, new)
            raise
        self._server = new
        self._lead()
        await asyncio.to_thread(self._servers.remove, old, new)

    async def _replicate(self, old: OwnServer, new: OwnServer) -> None:
        host, port = await self._do(old.inner_address)
        async with self._admin(new) as replica:
            await replica.config_set("masterauth", old.details.password)
            await replica.replicaof(host, port)

            async def is_linked() -> bool:
                found = await replica.info("replication")
                return bool(found["master_link_status"] == "up")

            await until(is_linked, "a replica to have everything")

    async def _give_memory(self) -> None:
        async with self._admin() as admin:
            await admin.config_set("maxmemory", 0)
            await admin.config_set("maxmemory-policy", "noeviction")
        self._undo.pop("evict", None)

    async def _set_up(self) -> str:
        return self._server.details.url()

    async def _tear_down(self) -> None:
        await self.flush()

    async def _hold_one(self) -> Held | None:
        from redis.exceptions import ConnectionError as RedisConnectionError  # noqa: PLC0415

        client = _client(self._server.details)
        try:
            number = await client.client_id()
        except RedisConnectionError as error:
            await client.aclose()
            # It has no code; and a server that is gone is no server that is full.
            if _TOO_MANY in str(error):
                return None
            raise
        self._clients.append(client)

        async def close() -> None:
            self._clients.remove(client)
            await client.aclose()

        return Held(number, close)

    async def _end_others(self) -> int:
        async with self._admin() as admin:
            ours = {await admin.client_id(), *(each.number for each in self._held)}
            found = {int(each["id"]) for each in await admin.client_list()} - ours
            for number in found:
                await admin.client_kill_filter(_id=str(number))
        return len(found)

    @asynccontextmanager
    async def _admin(self, server: OwnServer | None = None) -> AsyncIterator[Redis]:
        from redis.exceptions import RedisError  # noqa: PLC0415  an extra

        if server is None and self._clients:
            # No slot may be left for another one.
            yield self._clients[0]
            return
        try:
            async with _client((server or self._server).details) as client:
                yield client
        except (OSError, RedisError) as error:
            raise FaultError(f"redis did not do it: {error!r}") from error


def _client(details: ServiceDetails) -> Redis:
    from redis.asyncio import Redis  # noqa: PLC0415  an extra
    from redis.asyncio.retry import Retry  # noqa: PLC0415  an extra
    from redis.backoff import NoBackoff  # noqa: PLC0415  an extra

    options: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "driver_info": None}
    return Redis(
        host=details.host,
        port=details.port,
        password=details.password or None,
        single_connection_client=True,
        socket_timeout=ANSWER_LIMIT,
        socket_connect_timeout=ANSWER_LIMIT,
        **options,
    )
