"""Faults on purpose: what a network does to a connection, for tests that must survive it."""

from harness.faults.line import Direction
from harness.faults.proxy import FaultProxy
from harness.faults.word import Moment

__all__ = ["Direction", "FaultProxy", "Moment"]
