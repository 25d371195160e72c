"""
The second level: a board and answers in Redis, for all processes that name the same one.

Each step is one Lua script, which Redis runs as a whole, and one round trip. Redis may be
down or slow at any time. Reading then finds nothing, after at most ``timeout`` seconds and for
some time after that at once; a writer goes by what writers met, since a reader may have given
up on a large answer. What could not be marked is remembered and made up for before anything is
read again, so that this process sees what it wrote.

Needs one Redis (not a cluster, whose scripts would need all keys in one slot).
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

from andamios.caching.board import LEASE, WRITTEN, Entry, LocalBoard, Versions
from andamios.caching.tags import everything_beside
from andamios.errors import ConfigurationError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["SharedBoard"]

PREFIX = "andamios:"
KEPT = 600.0
"""
Seconds for which a version is remembered at least; the one that comes after it is another
one. An answer that is stored keeps the versions it depends on for as long as itself.
"""

BACK_OFF = 1.0
"""Seconds for which Redis is not asked again after it failed."""

PATIENCE = 4
"""How many times as long a writer waits, for whom giving up costs more than for a reader."""

OWED = 20
"""Writers whose tags are remembered one by one; with more, all is void when Redis is back."""

log = logging.getLogger("andamios.caching")

# ARGV: a fresh version, milliseconds for which versions are kept.
VERSION = f"""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function version(tag)
  local marks = '{PREFIX}w:' .. tag
  if redis.call('EXISTS', marks) == 1 then
    redis.call('ZREMRANGEBYSCORE', marks, '-inf', now)
    if redis.call('EXISTS', marks) == 1 then return '' end
  end
  local key = '{PREFIX}v:' .. tag
  local found = redis.call('GET', key)
  if not found then
    found = ARGV[1]
    redis.call('SET', key, found, 'PX', ARGV[2])
  end
  return found
end
local function is_current(versions)
  for tag, expected in pairs(cjson.decode(versions)) do
    if version(tag) ~= expected then return false end
  end
  return true
end
"""

# … then an answer's key or '', then tags. Gives payload, its versions, versions of the tags.
LOOK = (
    VERSION
    + f"""
local found = {{false, false}}
if ARGV[3] ~= '' then
  local held = redis.call('HMGET', '{PREFIX}e:' .. ARGV[3], 'payload', 'versions')
  if held[1] and held[2] and is_current(held[2]) then found = held end
end
local answer = {{found[1], found[2]}}
for i = 4, #ARGV do answer[#answer + 1] = version(ARGV[i]) end
return answer
"""
)

# … then an answer's key, payload, versions, and milliseconds to live.
STORE = (
    VERSION
    + f"""
if not is_current(ARGV[5]) then return 0 end
local key = '{PREFIX}e:' .. ARGV[3]
redis.call('HSET', key, 'payload', ARGV[4], 'versions', ARGV[5])
redis.call('PEXPIRE', key, ARGV[6])
for tag in pairs(cjson.decode(ARGV[5])) do
  local needed = '{PREFIX}v:' .. tag
  if redis.call('PTTL', needed) < tonumber(ARGV[6]) then
    redis.call('PEXPIRE', needed, ARGV[6])
  end
end
return 1
"""
)

# … then the writer, milliseconds of its lease (0 takes the mark away), whether versions
# change, and tags.
MARK = (
    VERSION
    + f"""
for i = 6, #ARGV do
  local marks = '{PREFIX}w:' .. ARGV[i]
  if ARGV[5] == '1' then redis.call('SET', '{PREFIX}v:' .. ARGV[i], ARGV[1], 'PX', ARGV[2]) end
  if ARGV[4] == '0' then
    redis.call('ZREM', marks, ARGV[3])
  else
    redis.call('ZADD', marks, now + ARGV[4], ARGV[3])
    redis.call('PEXPIRE', marks, ARGV[4])
  end
end
return 1
"""
)


class SharedBoard:
    """
    A board in Redis.

    Args:
        url: ``redis://host:6379/0``, ``rediss://…`` or ``unix://…``.
        timeout: Seconds after which a reader gives up on Redis.
        failed: Called for each failure.

    Raises:
        ConfigurationError: The URL cannot be read.
        MissingDependencyError: redis is not installed.

    Example:
        >>> from andamios.caching.shared import SharedBoard
        >>> SharedBoard("redis://localhost", timeout=0.2, failed=lambda: None)
        SharedBoard(up)
    """

    def __init__(self, url: str, *, timeout: float, failed: Callable[[], object]) -> None:
        self._client = _client(url)
        self._look = self._client.register_script(LOOK)
        self._store = self._client.register_script(STORE)
        self._mark = self._client.register_script(MARK)
        self._timeout = timeout
        self._failed = failed
        self._local = LocalBoard()
        self._owed: dict[str, set[str]] = {}
        self._silent_until = {1: 0.0, PATIENCE: 0.0}
        self._is_down = False

    async def versions(self, tags: Collection[str]) -> Versions:
        """Give the version of each tag; ``WRITTEN`` where it is unknown."""
        _, versions = await self.fetch("", tags)
        return versions

    async def fetch(self, key: str, tags: Collection[str]) -> tuple[Entry | None, Versions]:
        """Give an answer that is current, and versions of tags."""
        tags = list(tags)
        unknown = dict.fromkeys(tags, WRITTEN)
        if not await self._pay():
            return None, unknown
        found = await self._run(self._look, key, *tags)
        if found is None:
            return None, unknown
        payload, versions, *now = found
        # A mark that did not reach Redis counts here all the same.
        known = {
            tag: WRITTEN if self._local.is_marked(tag) else value.decode()
            for tag, value in zip(tags, now, strict=True)
        }
        entry = Entry(payload.decode(), json.loads(versions)) if payload is not None else None
        if entry is not None and any(map(self._local.is_marked, entry.versions)):
            entry = None
        return entry, known

    async def store(self, key: str, entry: Entry, ttl: float) -> bool:
        """Keep an answer, if it is current; say whether it was."""
        if self._owed or any(map(self._local.is_marked, entry.versions)):
            return False
        versions = json.dumps(dict(entry.versions))
        milliseconds = max(int(ttl * 1000), 1)
        return bool(await self._run(self._store, key, entry.payload, versions, milliseconds))

    async def mark(self, writer: str, tags: Collection[str]) -> None:
        """Change versions and put a writer's mark on them."""
        await self._local.mark(writer, tags)
        await self._pay(PATIENCE)
        await self._put(writer, tags, lease=LEASE, changed=True)

    async def unmark(self, writer: str, tags: Collection[str], *, changed: bool) -> None:
        """Take a writer's mark away."""
        is_done = False
        try:
            is_done = await self._put(writer, tags, lease=0, changed=changed)
        finally:
            # Cancelled or refused: it is made up for before anything is read here.
            if not is_done:
                self._owe(writer, tags)
            await self._local.unmark(writer, tags, changed=changed)

    async def close(self) -> None:
        """Close the connections to Redis, all of them, even if who asks is cancelled."""
        await asyncio.shield(asyncio.ensure_future(self._client.aclose()))

    def __repr__(self) -> str:
        return f"SharedBoard({'down' if self._is_down else 'up'})"

    def _owe(self, writer: str, tags: Collection[str]) -> None:
        self._owed[writer] = set(tags)
        if len(self._owed) > OWED:
            # Answers live for seconds, so that little is lost.
            all_tags = {everything_beside(tag) for owed in self._owed.values() for tag in owed}
            self._owed = {writer: all_tags}

    async def _pay(self, patience: int = 1) -> bool:
        """Make up for marks that could not be taken away; say whether none is left."""
        for writer, tags in list(self._owed.items()):
            if not await self._put(writer, tags, lease=0, changed=True, patience=patience):
                return False
            if self._owed.get(writer) is tags:
                del self._owed[writer]
        return not self._owed

    async def _put(
        self,
        writer: str,
        tags: Collection[str],
        *,
        lease: float,
        changed: bool,
        patience: int = PATIENCE,
    ) -> bool:
        arguments = (writer, int(lease * 1000), int(changed), *tags)
        return await self._run(self._mark, *arguments, patience=patience) is not None

    async def _run(self, script: Any, *arguments: Any, patience: int = 1) -> Any:
        """Run a script; None when Redis does not answer."""
        if time.monotonic() < self._silent_until[patience]:
            return None
        values = [secrets.token_hex(8), int(KEPT * 1000), *arguments]
        try:
            async with asyncio.timeout(self._timeout * patience):
                answer = await script(args=values)
        except Exception as error:  # noqa: BLE001  whatever Redis does, the database has the answer
            self._fail(error, patience)
            return None
        if self._is_down:
            self._is_down = False
            log.warning("Redis answers again")
        return answer

    def _fail(self, error: Exception, patience: int) -> None:
        for other in self._silent_until:
            if other <= patience:
                self._silent_until[other] = time.monotonic() + BACK_OFF
        self._failed()
        if not self._is_down:
            self._is_down = True
            # Its text may name a user or a host; its class says what happened.
            log.warning(
                "Redis does not answer (%s): reading without it until it does",
                type(error).__name__,
            )


def _client(url: str) -> Any:
    if importlib.util.find_spec("redis") is None:
        raise MissingDependencyError("redis", "redis")
    asynchronous = importlib.import_module("redis.asyncio")
    retry = importlib.import_module("redis.asyncio.retry").Retry
    backoff = importlib.import_module("redis.backoff").NoBackoff
    try:
        # Trying again takes time that a reader would rather spend on the database.
        return asynchronous.Redis.from_url(url, retry=retry(backoff(), 0))
    except ValueError:
        # The text is not repeated: it may hold a password.
        message = "The Redis URL cannot be read. It looks like redis://host:6379/0."
        raise ConfigurationError(message) from None
