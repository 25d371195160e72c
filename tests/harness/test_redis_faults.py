"""Redis broken on purpose: what it shares with databases, and what it alone can suffer."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from harness.faults import RedisFaults
from harness.fixtures.service_faults import ServiceFaultsMaker


@pytest_asyncio.fixture
async def faults(service_faults: ServiceFaultsMaker) -> RedisFaults:
    """A server."""
    return await service_faults("redis")


def client_of(faults: RedisFaults) -> Redis:
    return Redis.from_url(faults.url, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))


async def again(client: Redis, key: str) -> object:
    """Find that the connection has ended, and ask on another one."""
    with pytest.raises(RedisConnectionError):
        await client.get(key)
    return await client.get(key)


@pytest_asyncio.fixture
async def client(faults: RedisFaults) -> AsyncIterator[Redis]:
    """A client on it, with a key."""
    async with client_of(faults) as made:
        await made.set("old", "1")
        yield made


async def test_kill_and_start(faults: RedisFaults, client: Redis) -> None:
    """Keys are there after SIGKILL."""
    await faults.kill()
    with pytest.raises(RedisConnectionError):
        await client.get("old")
    await faults.start()
    assert b"1" == await client.get("old")
    await faults.restart()
    assert b"1" == await again(client, "old")


async def test_pause_and_resume(faults: RedisFaults, client: Redis) -> None:
    """A paused server says nothing."""
    await faults.pause()
    with pytest.raises(RedisTimeoutError):
        await client.get("old")
    await faults.resume()
    assert b"1" == await client.get("old")


async def test_connections(faults: RedisFaults, client: Redis) -> None:
    """Clients that are connected stay, and nobody else gets in; then they are thrown out."""
    assert 20 < await faults.too_many_connections()
    assert b"1" == await client.get("old")
    async with client_of(faults) as late:
        with pytest.raises(RedisConnectionError, match="max number"):
            await late.get("old")
    assert 1 == await faults.terminate_connections()
    with pytest.raises(RedisConnectionError):
        await client.get("old")
    await faults.free_connections()
    assert b"1" == await client.get("old")


async def test_flush(faults: RedisFaults, client: Redis) -> None:
    """All keys are gone."""
    await faults.flush()
    assert None is await client.get("old")


@pytest.mark.parametrize("share", [0.5, 1])
async def test_evict(faults: RedisFaults, client: Redis, share: float) -> None:
    """Keys are evicted, about as many as were asked for, and then there is memory again."""
    await client.mset({f"key{number}": "x" * 1000 for number in range(999)})
    gone = await faults.evict(share)
    assert 1000 - gone == await client.dbsize()
    assert gone == 1000 if share == 1 else 500 <= gone < 900
    assert (await client.info("stats"))["evicted_keys"] >= gone
    await client.set("new", "1")


async def test_failover(faults: RedisFaults, client: Redis) -> None:
    """A replica takes over at the same URL, with the keys, and can be broken itself."""
    before = (await client.info("server"))["run_id"]
    await faults.failover()
    assert b"1" == await again(client, "old")
    assert before != (await client.info("server"))["run_id"]
    await client.set("new", "2")
    await faults.restart()
    assert b"2" == await again(client, "new")
    assert "master" == (await client.info("replication"))["role"]


async def test_the_next_test_finds_it_well(faults: RedisFaults, client: Redis) -> None:
    """Whatever was done before, it is empty and answers."""
    assert faults.is_running
    assert 1 == await client.dbsize()
