"""
Andamios' test harness: real PostgreSQL, MySQL, MariaDB and Redis for a test run.

The package is a pytest plugin; what is exported here is the part that other
programs may use without pytest: a run, and the services that it started.
"""

from harness.runs import Run
from harness.services import ServiceDetails, ServiceOptions, ServiceUnavailableError

__all__ = ["Run", "ServiceDetails", "ServiceOptions", "ServiceUnavailableError"]
