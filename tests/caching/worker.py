"""What a second process does for a test: reads a number through a cache, whenever told to."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from andamios import AndamiosEngine, QueryBuilder
from andamios.caching import CacheManager
from tests.caching.domain import CaShelf


async def main(url: str, redis_url: str) -> None:
    """Answer each line of input with the number and how many hits there were."""
    async with (
        AndamiosEngine(url, uvloop=False, pool_size=2) as engine,
        CacheManager(redis_url, timeout=5, max_staleness=600) as cache,
    ):
        cache.watch(engine)
        while await asyncio.to_thread(sys.stdin.readline):
            shelf: Any = await QueryBuilder(CaShelf, engine).cached(600).first()
            answer = f"{shelf.number if shelf else None} {cache.stats().hits}\n"
            await asyncio.to_thread(sys.stdout.write, answer)
            await asyncio.to_thread(sys.stdout.flush)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
