"""Spans of queries."""

from typing import Any

import pytest
from sqlalchemy import text

from andamios import AndamiosEngine, QueryError
from andamios.monitoring import MetricsCollector, trace_queries

export = pytest.importorskip(
    "opentelemetry.sdk.trace.export.in_memory_span_exporter",
    reason="opentelemetry-sdk is not installed",
)


@pytest.fixture
def spans() -> Any:
    """What was exported."""
    return export.InMemorySpanExporter()


@pytest.fixture
def tracer(spans: Any) -> Any:
    """A tracer that keeps its spans."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    exporting = pytest.importorskip("opentelemetry.sdk.trace.export")
    provider = sdk.TracerProvider()
    provider.add_span_processor(exporting.SimpleSpanProcessor(spans))
    return provider.get_tracer("tests")


async def ask(engine: AndamiosEngine, statement: str) -> None:
    """Execute something."""
    async with engine.session(read_only=True) as session:
        await session.execute(text(statement))


def named(spans: Any, name: str) -> list[Any]:
    return [span for span in spans.get_finished_spans() if span.name == name]


async def test_a_span_a_query(engine: AndamiosEngine, tracer: Any, spans: Any) -> None:
    """A span has the conventional attributes, no value, the query's time, and its parent."""
    stop = trace_queries(engine, tracer)
    with tracer.start_as_current_span("request") as parent:
        await ask(engine, "SELECT 'secret' AS word")
    stop()
    await ask(engine, "SELECT 1")
    (span,) = named(spans, "SELECT")
    (request,) = named(spans, "request")

    assert engine.backend == span.attributes["db.system.name"]
    assert "SELECT ? AS word" == span.attributes["db.query.text"]
    assert "SELECT" == span.attributes["db.operation.name"]
    assert engine.url.database == span.attributes["db.namespace"]
    assert parent.get_span_context().span_id == span.parent.span_id
    assert request.start_time <= span.start_time < span.end_time <= request.end_time
    assert "CLIENT" == span.kind.name
    assert "secret" not in span.to_json()


async def test_a_failed_query(engine: AndamiosEngine, tracer: Any, spans: Any) -> None:
    """A refused statement is an error, with its class."""
    with MetricsCollector(engine, tracer=tracer), pytest.raises(QueryError):
        await ask(engine, "SELECT nothing FROM nowhere")
    (span,) = named(spans, "SELECT")

    assert "QueryError" == span.attributes["error.type"]
    assert "ERROR" == span.status.status_code.name


async def test_a_closed_collector_traces_no_more(
    engine: AndamiosEngine, tracer: Any, spans: Any
) -> None:
    """``close()`` ends the spans too."""
    MetricsCollector(engine, tracer=tracer).close()
    await ask(engine, "SELECT 1")
    assert () == spans.get_finished_spans()
