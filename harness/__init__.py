"""
Andamios' test harness: real PostgreSQL, MySQL and Redis for a test run.

The package is a pytest plugin; what is exported here is the part that other
programs may use without pytest: a run, and the services that it started.
"""

from andamios.errors import MissingDependencyError

try:
    from harness.runs.run import Run
    from harness.services import ServiceDetails, ServiceOptions, ServiceUnavailableError
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] == "harness":
        raise
    raise MissingDependencyError(error.name, "harness") from error

__all__ = ["Run", "ServiceDetails", "ServiceOptions", "ServiceUnavailableError"]
