"""The proxy that breaks connections: each fault as a plain socket meets it, and as drivers do."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy import text

from andamios import AndamiosEngine, ConnectionFailedError
from harness.faults import FaultProxy, Moment
from harness.faults.line import Conditions
from harness.faults.luck import Luck
from harness.fixtures.faults import FaultProxyMaker

SOON = 10.0
"""What a busy machine may add, in seconds."""


class Client:
    """A plain socket through the proxy to a server that says everything back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def of(cls, proxy: FaultProxy) -> "Client":
        return cls(*await asyncio.open_connection(proxy.host, proxy.port))

    async def echo(self, data: bytes) -> bytes:
        self.writer.write(data)
        async with asyncio.timeout(SOON):
            return await self.reader.readexactly(len(data))

    async def hears_nothing(self, data: bytes) -> bool:
        self.writer.write(data)
        try:
            async with asyncio.timeout(0.1):
                return not await self.reader.read(1)
        except TimeoutError:
            return True

    async def close(self) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)


class Echo:
    """A server that says everything back, and remembers what it heard and how it ended."""

    def __init__(self) -> None:
        self.heard = b""
        self.ends: list[str] = []
        self.has_end = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                self.heard += data
                writer.write(data)
                await writer.drain()
            self.ends.append("end")
        except ConnectionResetError:
            self.ends.append("reset")
        writer.close()
        self.has_end.set()


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[Echo]:
    made = Echo()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", echo.port) as opened:
        yield opened


@pytest_asyncio.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[Client]:
    made = await Client.of(proxy)
    yield made
    await made.close()


async def listen(proxy: FaultProxy) -> None:
    fresh = await Client.of(proxy)
    await fresh.reader.read(1)
    await fresh.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110  counts have no events
            await asyncio.sleep(0.005)


async def took(work: Awaitable[Any]) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began


async def test_everything_passes(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """Without faults all bytes pass, also many, and are counted; the end is told."""
    data = os.urandom(1_000_000)
    assert data == await client.echo(data)
    assert (1, 1) == (proxy.connections, proxy.open_connections)
    await until(lambda: proxy.bytes_down == len(data))
    assert len(data) == proxy.bytes_up

    client.writer.write_eof()
    assert b"" == await client.reader.read()
    assert ["end"] == echo.ends
    client.writer.close()
    await until(lambda: proxy.open_connections == 0)


async def test_latency(client: Client, proxy: FaultProxy) -> None:
    """What is sent is late by what was asked for, each way; chunks are late together."""
    proxy.latency(0.1, stream="both")
    assert 0.2 <= await took(client.echo(b"a")) < SOON

    proxy.reset()
    proxy.latency(0.2)
    began = time.monotonic()
    for _ in range(5):
        client.writer.write(b"a")
        await asyncio.sleep(0.02)
    await client.reader.readexactly(5)
    assert 0.28 <= time.monotonic() - began < 0.9
    proxy.reset()
    assert await took(client.echo(b"a")) < 0.19


async def test_jitter_keeps_the_order(client: Client, proxy: FaultProxy) -> None:
    """Delays vary, and no byte overtakes another."""
    proxy.latency(0.02, jitter=0.02)
    delays = [await took(client.echo(b"a")) for _ in range(5)]
    assert max(delays) - min(delays) > 0.005

    for number in range(20):
        client.writer.write(bytes([number]))
        await asyncio.sleep(0.001)
    assert bytes(range(20)) == await client.reader.readexactly(20)


async def test_a_change_wakes_what_waits(client: Client, proxy: FaultProxy) -> None:
    """A byte that is a minute late arrives when the fault is over."""
    proxy.latency(60)
    assert await client.hears_nothing(b"a")
    proxy.reset()
    async with asyncio.timeout(SOON):
        assert b"a" == await client.reader.read(1)


@pytest.mark.parametrize("stream", ["up", "down"])
async def test_bandwidth(client: Client, proxy: FaultProxy, stream: Any) -> None:
    """So many bytes a second pass, and no more."""
    proxy.bandwidth(100_000, stream=stream)
    assert 0.3 <= await took(client.echo(b"a" * 30_000)) < SOON


async def test_slicer(client: Client, proxy: FaultProxy) -> None:
    """An answer arrives in pieces, none longer than asked for."""
    proxy.slicer(10, delay=0.02)
    client.writer.write(b"0123456789" * 5)
    pieces: list[bytes] = []
    while sum(len(piece) for piece in pieces) < 50:
        pieces.append(await client.reader.read(1000))
    assert b"0123456789" * 5 == b"".join(pieces)
    assert [10] * 5 == [len(piece) for piece in pieces]


async def test_slices_vary(client: Client, proxy: FaultProxy) -> None:
    """Pieces can be of sizes that differ, and each is within what was asked for."""
    proxy.slicer(10, size_variation=6, delay=0.03)
    client.writer.write(b"0123456789" * 10)
    sizes: list[int] = []
    while sum(sizes) < 100:
        sizes.append(len(await client.reader.read(1000)))
    assert 3 <= len(set(sizes))
    assert all(4 <= size <= 16 for size in sizes[:-1])


@pytest.mark.parametrize("stream", ["up", "down"])
async def test_slow_close(client: Client, proxy: FaultProxy, echo: Echo, stream: Any) -> None:
    """The other end hears late that one has closed; what was sent before is not late."""
    proxy.slow_close(0.3, stream=stream)
    assert b"a" == await client.echo(b"a")
    began = time.monotonic()
    client.writer.write_eof()
    await echo.has_end.wait()
    heard = time.monotonic() - began
    assert b"" == await client.reader.read()
    assert 0.3 <= time.monotonic() - began < SOON
    assert (heard >= 0.3) is (stream == "up")


async def test_a_slow_close_is_over(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """An end that waits is told at once when all is well again."""
    proxy.slow_close(60, stream="up")
    client.writer.write_eof()
    await asyncio.sleep(0.05)
    assert [] == echo.ends
    proxy.reset()
    async with asyncio.timeout(SOON):
        await echo.has_end.wait()


async def test_limit_data(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """A connection ends in the middle of an answer, each counted from its own begin."""
    assert b"before" == await client.echo(b"before")
    proxy.limit_data(5)
    client.writer.write(b"0123456789")
    assert b"01234" == await client.reader.read()

    again = await Client.of(proxy)
    assert b"0123" == await again.echo(b"0123")
    proxy.limit_data(3)
    again.writer.write(b"4567")
    assert b"456" == await again.reader.read()
    await again.close()
    await until(lambda: len(echo.ends) == 2)


async def test_limit_data_upwards(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """The server gets the first bytes of a request, and then an end."""
    proxy.limit_data(4, stream="up")
    client.writer.write(b"0123456789")
    await echo.has_end.wait()
    assert b"0123" == echo.heard


async def test_timeout(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """A black hole takes everything and gives nothing; what is sent later arrives."""
    proxy.timeout()
    assert await client.hears_nothing(b"lost")
    fresh = await Client.of(proxy)
    assert await fresh.hears_nothing(b"lost")
    assert b"" == echo.heard
    proxy.reset()
    assert (b"a", b"b") == (await client.echo(b"a"), await fresh.echo(b"b"))
    assert b"ab" == echo.heard
    await fresh.close()


async def test_timeout_that_closes(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """After some time in it connections are closed, those that came later too."""
    proxy.timeout(0.2)
    began = time.monotonic()
    assert await client.hears_nothing(b"lost")
    assert b"" == await client.reader.read(1)
    assert 0.2 <= time.monotonic() - began < SOON
    assert 0.2 <= await took(listen(proxy)) < SOON
    assert b"" == echo.heard
    proxy.reset()
    fresh = await Client.of(proxy)
    assert b"a" == await fresh.echo(b"a")
    await fresh.close()


async def test_timeout_that_is_over_in_time(client: Client, proxy: FaultProxy) -> None:
    """A connection that was to be closed is spared, by its end or by one that closes nothing."""
    proxy.timeout(0.1)
    proxy.timeout()
    assert await client.hears_nothing(b"lost")
    await asyncio.sleep(0.1)
    proxy.timeout(0.1)
    proxy.reset()
    await asyncio.sleep(0.2)
    assert b"a" == await client.echo(b"a")


async def test_timeout_of_answers(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """A request can arrive whose answer does not."""
    proxy.timeout(stream="down")
    assert await client.hears_nothing(b"heard")
    assert b"heard" == echo.heard


async def test_timeout_hides_the_end(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """A server does not learn in a black hole that its client has gone; afterwards it does."""
    proxy.timeout()
    await client.close()
    await asyncio.sleep(0.05)
    assert [] == echo.ends
    proxy.reset()
    await echo.has_end.wait()


async def test_reset_peer(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """Both ends get RST, and so does who comes next, until it is over."""
    await client.echo(b"a")
    proxy.reset_peer()
    with pytest.raises(ConnectionResetError):
        await client.reader.read(1)
    await echo.has_end.wait()
    assert ["reset"] == echo.ends

    with pytest.raises(ConnectionResetError):
        await listen(proxy)
    proxy.reset()
    fresh = await Client.of(proxy)
    assert b"a" == await fresh.echo(b"a")
    await fresh.close()


async def test_reset_peer_later(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """Connections work for some time, and then get RST."""
    proxy.reset_peer(0.2)
    began = time.monotonic()
    assert b"a" == await client.echo(b"a")
    with pytest.raises(ConnectionResetError):
        await client.reader.read(1)
    assert 0.2 <= time.monotonic() - began < SOON
    assert ["reset"] == echo.ends
    fresh = await Client.of(proxy)
    assert b"b" == await fresh.echo(b"b")
    with pytest.raises(ConnectionResetError):
        await fresh.reader.read(1)


async def met(echo: Echo, seed: int, fault: Callable[[FaultProxy], object]) -> list[bool]:
    """Tell which of 16 connections a fault meets that closes or silences them."""
    found = []
    async with FaultProxy("127.0.0.1", echo.port, seed=seed) as proxy:
        clients = [await Client.of(proxy) for _ in range(8)]
        for each in clients:
            await each.echo(b"a")
        fault(proxy)
        clients += [await Client.of(proxy) for _ in range(8)]
        for each in clients:
            try:
                each.writer.write(b"b")
                async with asyncio.timeout(0.1):
                    found.append(not await each.reader.read(1))
            except (ConnectionError, TimeoutError):
                found.append(True)
            await each.close()
    return found


@pytest.mark.parametrize(
    "fault",
    [
        lambda proxy: proxy.latency(60, probability=0.5),
        lambda proxy: proxy.bandwidth(1, probability=0.5),
        lambda proxy: proxy.slicer(1, delay=60, probability=0.5),
        lambda proxy: proxy.timeout(probability=0.5),
        lambda proxy: proxy.timeout(0.05, probability=0.5),
        lambda proxy: proxy.reset_peer(probability=0.5),
        lambda proxy: proxy.reset_peer(0.0001, probability=0.5),
    ],
)
async def test_probability(echo: Echo, fault: Callable[[FaultProxy], object]) -> None:
    """A fault meets some connections, the same whichever it is, and by seed the same again."""
    expected = [Luck(5, number).is_met(0.5) for number in range(1, 17)]
    assert {True, False} == set(expected[:8]) == set(expected[8:])
    assert expected == await met(echo, 5, fault)


async def test_probability_of_what_comes_later(echo: Echo) -> None:
    """So it is of faults for open connections, and of cuts; another seed draws others."""
    expected = [Luck(5, number).is_met(0.5) for number in range(1, 9)]

    def half_open(proxy: FaultProxy) -> None:
        proxy.half_open(probability=0.5)

    assert expected == (await met(echo, 5, half_open))[:8]
    assert expected != (await met(echo, 6, half_open))[:8]

    def cut(proxy: FaultProxy) -> None:
        proxy.cut(b"b", probability=0.5)

    first = [Luck(5, number).is_met(0.5) for number in range(1, 17)].index(True)
    assert [number == first for number in range(16)] == await met(echo, 5, cut)


def test_a_seed_draws_the_same_sizes() -> None:
    """Whatever varies is the same for the same connection of a proxy with the same seed."""
    conditions = Conditions(slice_size=10, slice_variation=9)
    found = []
    for seed, number in ((1, 1), (1, 1), (2, 1), (1, 2)):
        chance = Luck(seed, number).split()
        found.append([conditions.piece(100, chance) for _ in range(10)])
    assert found[0] == found[1]
    assert found[1] != found[2] != found[3] != found[1]


async def test_a_reset_passes(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """RST of one end is RST at the other."""
    await client.echo(b"a")
    client.writer.get_extra_info("socket").setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")
    client.writer.transport.abort()
    await echo.has_end.wait()
    assert ["reset"] == echo.ends
    await until(lambda: proxy.open_connections == 0)


async def test_half_open(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """The server's end is gone, the client's is open and silent; new connections are well."""
    await client.echo(b"a")
    proxy.half_open()
    assert await client.hears_nothing(b"b")
    await echo.has_end.wait()
    assert b"a" == echo.heard
    fresh = await Client.of(proxy)
    assert b"c" == await fresh.echo(b"c")

    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await client.reader.read(1)
    assert b"d" == await fresh.echo(b"d")
    await fresh.close()


async def test_down_and_up(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """While it is down connections are refused and old ones ended; then its port is the same."""
    await client.echo(b"a")
    port = proxy.port
    await proxy.down()
    assert b"" == await client.reader.read(1)
    await echo.has_end.wait()
    assert 0 == proxy.open_connections
    with pytest.raises(ConnectionRefusedError):
        await Client.of(proxy)
    await proxy.down()
    await proxy.up()
    await proxy.up()
    fresh = await Client.of(proxy)
    assert (port, b"a") == (proxy.port, await fresh.echo(b"a"))
    await fresh.close()


@pytest.mark.parametrize(
    ("moment", "heard"), [("before", b"one"), ("after", b"oneCOMMIT"), ("held", b"oneCOMMIT")]
)
async def test_cut(
    client: Client, proxy: FaultProxy, echo: Echo, moment: Moment, heard: bytes
) -> None:
    """The word breaks the connection that sends it, before or after the server sees it; once."""
    await client.echo(b"one")
    has_happened = proxy.cut(b"COMMIT", moment)
    client.writer.write(b"COMMIT")
    await has_happened.wait()
    if moment == "held":
        assert await client.hears_nothing(b"")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await client.reader.read(1)
    else:
        assert b"" == await client.reader.read(1)
    await echo.has_end.wait()
    assert (heard, 1) == (echo.heard, proxy.cuts)
    fresh = await Client.of(proxy)
    assert b"COMMIT" == await fresh.echo(b"COMMIT")
    await fresh.close()


async def test_cut_of_a_word_in_two_packets(client: Client, proxy: FaultProxy, echo: Echo) -> None:
    """A word is found across packets, and the last one is not found again."""
    proxy.cut(b"COMMIT")
    assert b"COM" == await client.echo(b"COM")
    client.writer.write(b"MIT")
    assert b"" == await client.reader.read(1)
    assert b"COM" == echo.heard


async def test_a_server_that_is_not_there(proxy: FaultProxy) -> None:
    """Who connects to nothing is reset at once."""
    async with FaultProxy("127.0.0.1", proxy.port) as before:
        await proxy.down()
        with pytest.raises(ConnectionResetError):
            await listen(before)


async def much_goes_on() -> int:
    """Have connections in every state when the proxy closes; give the tasks that are left."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with FaultProxy(*server.sockets[0].getsockname()) as proxy:
        clients = [await Client.of(proxy) for _ in range(8)]
        for each in clients:
            await each.echo(b"a")
        clients[0].writer.close()
        proxy.half_open()
        clients += [await Client.of(proxy) for _ in range(8)]
        proxy.latency(60, stream="up")
        proxy.timeout(stream="down")
        for each in clients[1:]:
            each.writer.write(b"a" * 300_000)
        await asyncio.sleep(0.05)
    for each in clients:
        await each.close()
    server.close()
    await asyncio.sleep(0.05)
    return len(asyncio.all_tasks()) - 1


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_nothing_is_left(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Whatever goes on, closing it leaves no task and no open file, on either loop."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.sleep(0))  # uvloop's first one keeps a pipe for the process
    gc.collect()
    before = list(Path("/proc/self/fd").iterdir())
    with asyncio.Runner(loop_factory=loop) as runner:
        assert 0 == runner.run(much_goes_on())
    gc.collect()
    assert len(before) == len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    "call",
    [
        lambda proxy: proxy.latency(-1),
        lambda proxy: proxy.latency(0, jitter=float("nan")),
        lambda proxy: proxy.bandwidth(0),
        lambda proxy: proxy.slicer(0),
        lambda proxy: proxy.limit_data(0),
        lambda proxy: proxy.timeout(stream="sideways"),
        lambda proxy: proxy.cut(b""),
        lambda proxy: proxy.slow_close(-1),
        lambda proxy: proxy.timeout(-1),
        lambda proxy: proxy.reset_peer(-1),
        lambda proxy: proxy.slicer(1, size_variation=-1),
        lambda proxy: proxy.latency(1, probability=1.1),
        lambda proxy: proxy.half_open(probability=-0.1),
        lambda _proxy: FaultProxy.to("sqlite:///file.db"),
    ],
)
def test_wrong_use(call: Callable[[FaultProxy], Any]) -> None:
    """What makes no sense is refused."""
    with pytest.raises(ValueError, match=r"takes|stream is|no server"):
        call(FaultProxy("127.0.0.1", 1))


@pytest.mark.parametrize(
    ("url", "ports"),
    [
        ("postgresql+asyncpg://me:secret@db/name?ssl=disable", 5432),
        ("mysql://me@db/name", 3306),
        ("mariadb+aiomysql://me@db/name", 3306),
        ("redis://:secret@db/7", 6379),
        ("redis://db:7000/0", 7000),
    ],
)
async def test_url(url: str, ports: int) -> None:
    """The URL through the proxy differs in host and port alone."""
    proxy = FaultProxy.to(url)
    async with proxy:
        expected = url.replace("@db/", f"@127.0.0.1:{proxy.port}/")
        expected = expected.replace("//db:7000", f"//127.0.0.1:{proxy.port}")
        assert expected == proxy.url
    assert ports == proxy.upstream[1]


async def test_database(engine: AndamiosEngine, fault_proxy: FaultProxyMaker) -> None:
    """A database's driver works through it, and meets its faults."""
    proxy = await fault_proxy(engine.url)
    async with AndamiosEngine(proxy.url, uvloop=False, pool_size=1, max_overflow=0) as through:

        async def ask() -> None:
            async with through.session() as session:
                assert 42 == await session.scalar(text("SELECT 42"))

        await ask()
        proxy.slicer(1, delay=0)
        await ask()
        proxy.reset()
        proxy.latency(0.1)
        assert 0.1 <= await took(ask())
        proxy.reset()
        proxy.reset_peer()
        with pytest.raises(ConnectionFailedError):
            await ask()
        proxy.reset()
        await ask()
        await proxy.down()
        with pytest.raises(ConnectionFailedError):
            await ask()
        await proxy.up()
        await ask()


async def test_redis(redis_database: str, fault_proxy: FaultProxyMaker) -> None:
    """So does a client of Redis."""
    proxy = await fault_proxy(redis_database)
    async with Redis.from_url(proxy.url, socket_timeout=0.2, retry=None) as client:
        assert await client.ping()
        proxy.timeout()
        with pytest.raises(RedisTimeoutError):
            await client.get("a")
        proxy.reset()
        assert await client.ping()
        proxy.reset_peer()
        with pytest.raises(RedisConnectionError):
            await client.ping()
