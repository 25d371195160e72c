"""
A span a query, for OpenTelemetry.

Attributes follow OpenTelemetry's semantic conventions 1.44.0 for database client spans
(https://opentelemetry.io/docs/specs/semconv/database/database-spans/).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from andamios.core.facts import QueryFinished
from andamios.errors import MissingDependencyError
from andamios.monitoring.fingerprints import mask_literals, operation_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import AttributeValue

    from andamios.core.engine import AndamiosEngine

__all__ = ["trace_queries"]

NANOSECONDS = 1_000_000_000


def trace_queries(engine: AndamiosEngine, tracer: Tracer) -> Callable[[], None]:
    """
    Make a span of each query, below the span in which it was sent.

    Args:
        engine: Whose queries.
        tracer: Of opentelemetry, as ``opentelemetry.trace.get_tracer(…)`` gives it.

    Returns:
        What stops it.

    Raises:
        MissingDependencyError: opentelemetry-api is not installed.
    """
    try:
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415  optional
    except ImportError:
        raise MissingDependencyError("opentelemetry-api", "tracing") from None

    backend, common = engine.backend, _common(engine)

    def finished(fact: QueryFinished) -> None:
        # The query is over: the span is made backwards.
        ended = time.time_ns()
        operation = operation_of(fact.statement, backend).upper()
        attributes = common | {"db.query.text": mask_literals(fact.statement, backend)}
        if operation != "OTHER":
            attributes["db.operation.name"] = operation
        if fact.error is not None:
            attributes["error.type"] = fact.error
        span = tracer.start_span(
            operation if operation != "OTHER" else backend,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=ended - int(fact.duration * NANOSECONDS),
        )
        if fact.error is not None:
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    engine.hooks.listen(QueryFinished, finished)
    return lambda: engine.hooks.remove(QueryFinished, finished)


def _common(engine: AndamiosEngine) -> dict[str, AttributeValue]:
    url = engine.url
    found: dict[str, AttributeValue | None] = {
        "db.system.name": engine.backend,
        "db.namespace": url.database,
        "server.address": url.host,
        "server.port": url.port,
    }
    return {name: value for name, value in found.items() if value is not None}
