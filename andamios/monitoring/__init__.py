"""
Monitoring: metrics and health.

Health needs nothing more than the core. Metrics need ``andamios[metrics]`` and are
imported when somebody asks for them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from andamios.monitoring.health import HealthChecker, HealthReport, HealthStatus, PoolHealth
from andamios.monitoring.tracing import trace_queries

if TYPE_CHECKING:
    from andamios.monitoring.metrics import (
        LatencySummary,
        MetricsCollector,
        MetricsSnapshot,
        SlowQuery,
    )

__all__ = [
    "HealthChecker",
    "HealthReport",
    "HealthStatus",
    "LatencySummary",
    "MetricsCollector",
    "MetricsSnapshot",
    "PoolHealth",
    "SlowQuery",
    "trace_queries",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("andamios.monitoring.metrics"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
