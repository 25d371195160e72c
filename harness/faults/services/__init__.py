"""Servers of one's own to be broken: killed, paused, filled, cut off, and mended again."""

from harness.faults.services.base import FaultError, ServiceFaults
from harness.faults.services.database import DatabaseFaults
from harness.faults.services.redis import RedisFaults
from harness.faults.services.server import FaultServers, OwnServer
from harness.faults.services.sqlite import SQLiteFaults

__all__ = [
    "DatabaseFaults",
    "FaultError",
    "FaultServers",
    "OwnServer",
    "RedisFaults",
    "SQLiteFaults",
    "ServiceFaults",
]
