"""
Asking a server who it is, by a real log-in through the real driver.

That a port is open says little: a database that still initialises, or somebody else's
server, has one too. A probe counts as passed once the server took the password and
answered a query.
"""

import asyncio
import contextlib
import importlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import wait
from dataclasses import replace
from typing import TypeAlias

from harness.refusals import refusal
from harness.services import ProviderError, ServiceDetails, ServiceName

__all__ = ["identify", "wait_until_ready"]

_INTERVAL = 0.02
_ANSWER_LIMIT = 10.0

_Identity: TypeAlias = tuple[str, str]


async def _postgresql(details: ServiceDetails) -> _Identity:
    import asyncpg  # noqa: PLC0415  an extra

    connection = await asyncpg.connect(
        host=details.host,
        port=details.port,
        user=details.user or None,
        password=details.password or None,
        database=details.database or None,
        timeout=_ANSWER_LIMIT,
        # Our own servers have no TLS; the driver would look for certificates in files.
        ssl=None if details.provider == "url" else False,
    )
    try:
        version = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close(timeout=_ANSWER_LIMIT)
    return "PostgreSQL", version.split()[0]


async def _mysql(details: ServiceDetails) -> _Identity:
    import aiomysql  # noqa: PLC0415  an extra

    connection = await aiomysql.connect(
        host=details.host,
        port=details.port,
        user=details.user,
        password=details.password,
        connect_timeout=_ANSWER_LIMIT,
    )
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT VERSION()")
            (version,) = await cursor.fetchone()
    finally:
        connection.close()
    return "MariaDB" if "mariadb" in version.lower() else "MySQL", version.split("-")[0]


async def _redis(details: ServiceDetails) -> _Identity:
    from redis.asyncio import Redis  # noqa: PLC0415  an extra
    from redis.asyncio.retry import Retry  # noqa: PLC0415  an extra
    from redis.backoff import NoBackoff  # noqa: PLC0415  an extra

    client = Redis(
        host=details.host,
        port=details.port,
        username=details.user or None,
        password=details.password or None,
        socket_timeout=_ANSWER_LIMIT,
        socket_connect_timeout=_ANSWER_LIMIT,
        # The driver would read its own version from files to tell the server.
        driver_info=None,
        # We try again ourselves; the client would take seconds over it.
        retry=Retry(NoBackoff(), 0),
    )
    async with client:
        facts = await client.info("server")
    if "valkey_version" in facts:
        return "Valkey", str(facts["valkey_version"])
    return "Redis", str(facts["redis_version"])


_PROBES: dict[ServiceName, Callable[[ServiceDetails], Awaitable[_Identity]]] = {
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mariadb": _mysql,
    "redis": _redis,
}


_DRIVERS: dict[ServiceName, str] = {
    "postgresql": "asyncpg",
    "mysql": "aiomysql",
    "mariadb": "aiomysql",
    "redis": "redis.asyncio",
}


def identify(details: ServiceDetails) -> ServiceDetails:
    """
    Log in once and fill in what the server says it is.

    Args:
        details: Where the server listens and how to log in.

    Returns:
        The same details with `flavour` and `version`.

    Raises:
        ProviderError: It can't be reached, or refuses the log-in.
    """
    return wait_until_ready(details, lambda: None, limit=0.0)


def wait_until_ready(
    details: ServiceDetails, check_alive: Callable[[], None], *, limit: float
) -> ServiceDetails:
    """
    Log in every 20 ms until the server lets us.

    Args:
        details: Where the server will listen and how to log in.
        check_alive: Raises once waiting has become pointless.
        limit: Seconds to wait.

    Returns:
        The same details with `flavour` and `version`.

    Raises:
        ProviderError: The limit was reached; the message holds the last refusal.
    """
    _import_driver(details.name)
    deadline = time.monotonic() + limit
    with _loop() as loop:
        while True:
            answer = _attempt_while(loop, details, check_alive)
            if isinstance(answer, ServiceDetails):
                return answer
            if time.monotonic() >= deadline:
                waited = f" within {limit:.0f} s" if limit else ""
                where = f"{details.host}:{details.port}"
                raise ProviderError(f"{details.name} at {where} let nobody in{waited}: {answer}")
            time.sleep(_INTERVAL)


def _import_driver(service: ServiceName) -> None:
    try:
        importlib.import_module(_DRIVERS[service])
    except ImportError as error:
        raise ProviderError(
            f"no driver for {service} ({error.name}): pip install 'andamios[harness]'"
        ) from error


@contextlib.contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run a loop in a thread of its own, since the caller may sit inside a running one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="harness-probe", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        # A driver that doesn't end is left behind with its thread, instead of waited for.
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(_finish(), loop).result(_ANSWER_LIMIT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_ANSWER_LIMIT)
        if not thread.is_alive():
            loop.close()


async def _finish() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


def _attempt_while(
    loop: asyncio.AbstractEventLoop, details: ServiceDetails, check_alive: Callable[[], None]
) -> ServiceDetails | str:
    # Whoever took the port of a server that ended may let us wait for an answer.
    attempt = asyncio.run_coroutine_threadsafe(_attempt(details), loop)
    try:
        while not wait([attempt], timeout=_INTERVAL).done:
            check_alive()
        check_alive()
        return attempt.result()
    finally:
        attempt.cancel()


async def _attempt(details: ServiceDetails) -> ServiceDetails | str:
    try:
        probe = _PROBES[details.name](details)
        flavour, version = await asyncio.wait_for(probe, _ANSWER_LIMIT)
    except Exception as error:  # noqa: BLE001 - drivers raise anything while a server starts
        return refusal(error)
    return replace(details, flavour=flavour, version=version)
