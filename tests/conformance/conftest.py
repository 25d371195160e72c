"""The suite is run in the harness's own default: one rolled-back transaction a test."""

import pytest


@pytest.fixture(scope="session")
def default_isolation() -> str:
    """As in a project that says nothing."""
    return "rolled_back"
