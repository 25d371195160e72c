"""
Faults on purpose, for tests that must survive them.

What a network does to connections, what happens to servers, both as a seed decides; and, in
`harness.faults.histories`, whether anything was lost by it.
"""

from harness.faults.cancelling import Strike, StrikeMoment, cancelled_everywhere
from harness.faults.line import Direction
from harness.faults.named import FAULTS, Fault
from harness.faults.proxy import FaultProxy
from harness.faults.schedule import FaultSchedule, PlannedFault
from harness.faults.services import (
    DatabaseFaults,
    FaultError,
    RedisFaults,
    ServiceFaults,
    SQLiteFaults,
)
from harness.faults.word import Moment

__all__ = [
    "FAULTS",
    "DatabaseFaults",
    "Direction",
    "Fault",
    "FaultError",
    "FaultProxy",
    "FaultSchedule",
    "Moment",
    "PlannedFault",
    "RedisFaults",
    "SQLiteFaults",
    "ServiceFaults",
    "Strike",
    "StrikeMoment",
    "cancelled_everywhere",
]
