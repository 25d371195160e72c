"""Fixtures for tests of the integrations: an application, asked in this process or by HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI

from andamios import AndamiosEngine
from tests.integrations.application import make_app


@pytest.fixture
def app(engine: AndamiosEngine) -> FastAPI:
    """The application of ``application``, on this test's engine."""
    return make_app(engine)


@pytest_asyncio.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client that calls the application in this process; its errors become status 500."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as opened:
        yield opened


@pytest_asyncio.fixture
async def served(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application behind a real server on loopback, lifespan included."""
    # A busy machine may let a connection wait for longer than uvicorn's 5 s.
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        lifespan="on",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=600,
    )
    server = Silent(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done()
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=30
    ) as opened:
        yield opened
    server.should_exit = True
    await task


class Silent(uvicorn.Server):
    """A server that leaves the signals of the process to pytest."""

    def capture_signals(self) -> Any:
        """Capture none."""
        return contextlib.nullcontext()
