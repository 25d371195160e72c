"""Routes for health and metrics."""

import httpx
from fastapi import FastAPI

from andamios import AndamiosEngine
from andamios.integrations.fastapi import FastAPIIntegration
from andamios.monitoring import HealthChecker, MetricsCollector


async def ask(app: FastAPI, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        return await client.get(path)


async def test_a_healthy_service_is_ready(engine: AndamiosEngine) -> None:
    """Both probes say yes, and nothing stays open."""
    app = FastAPI()
    app.include_router(FastAPIIntegration(engine).routes())
    for path in ("/health/live", "/health/ready"):
        answer = await ask(app, path)
        assert (200, True) == (answer.status_code, answer.json()["is_healthy"])
        assert "no-store" == answer.headers["cache-control"]
    assert 404 == (await ask(app, "/metrics")).status_code
    assert {} == app.openapi()["paths"]
    assert 0 == engine.connections.stats().in_use


async def test_a_service_without_its_database_is_alive_and_not_ready() -> None:
    """Readiness is 503 in bounded time, and says nothing secret."""
    lost = AndamiosEngine("postgresql://nobody:s3cret@127.0.0.1:1/none", uvloop=False)
    app = FastAPI()
    app.include_router(FastAPIIntegration(lost).routes(health=HealthChecker(lost, timeout=1)))
    assert 200 == (await ask(app, "/health/live")).status_code
    answer = await ask(app, "/health/ready")
    assert (503, False) == (answer.status_code, answer.json()["is_healthy"])
    assert "s3cret" not in answer.text
    await lost.close()


async def test_metrics_are_shown(engine: AndamiosEngine) -> None:
    """In the text format that Prometheus reads."""
    app = FastAPI()
    with MetricsCollector(engine) as metrics:
        app.include_router(FastAPIIntegration(engine).routes(metrics=metrics), prefix="/ops")
        answer = await ask(app, "/ops/metrics")
    assert 200 == answer.status_code
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE " in answer.text
