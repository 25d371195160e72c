"""Resilience: what is repeated, and what must not be."""

from __future__ import annotations

from andamios.resilience.breaker import CircuitBreaker
from andamios.resilience.callbacks import callback_failures
from andamios.resilience.classify import is_retryable
from andamios.resilience.retry import ConnectionResilience
from andamios.resilience.savepoints import SavepointContext
from andamios.resilience.transactions import TransactionManager

__all__ = [
    "CircuitBreaker",
    "ConnectionResilience",
    "SavepointContext",
    "TransactionManager",
    "callback_failures",
    "is_retryable",
]
