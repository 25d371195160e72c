"""Routes for those who watch a service: is it alive, is it ready, how is it doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from andamios.monitoring.health import HealthChecker
    from andamios.monitoring.metrics import MetricsCollector

__all__ = ["probe_routes"]

FRESH = {"Cache-Control": "no-store"}


def probe_routes(health: HealthChecker, metrics: MetricsCollector | None) -> APIRouter:
    """
    Make the routes; none of them opens a session of the request.

    Args:
        health: What ``/health/ready`` asks.
        metrics: What ``/metrics`` shows; None: there is no such route.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/health/live")
    async def live() -> JSONResponse:
        # Asks no database: restarting the process would not bring that back.
        return JSONResponse({"is_healthy": True}, headers=FRESH)

    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        report = await health.check_all()
        return JSONResponse(report.to_dict(), 200 if report.is_healthy else 503, FRESH)

    if metrics is not None:
        router.add_api_route("/metrics", _exposed(metrics), response_class=Response)
    return router


def _exposed(metrics: MetricsCollector) -> Callable[[], Awaitable[Response]]:
    from prometheus_client import CONTENT_TYPE_LATEST  # noqa: PLC0415  of the extra "metrics"

    async def expose() -> Response:
        return Response(metrics.render(), headers=FRESH, media_type=CONTENT_TYPE_LATEST)

    return expose
