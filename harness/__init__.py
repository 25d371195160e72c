"""
Andamios' test harness: real PostgreSQL, MySQL and Redis for a test run.

The package is a pytest plugin; what is exported here is the part that other
programs may use without pytest: a run, and the services that it started.
"""

from harness.runs import Run
from harness.services import ServiceDetails, ServiceUnavailableError

__all__ = ["Run", "ServiceDetails", "ServiceUnavailableError"]
