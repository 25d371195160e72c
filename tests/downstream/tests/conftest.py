"""What this project wants of the harness: its own base, its own server, its own gaps."""

import os

import pytest
from andamios import AndamiosEngine
from harness import ServiceOptions
from harness.conformance.gaps import Gap

from shelf.models import Base
from shelf.repositories import Books


@pytest.fixture(scope="session")
def model_base() -> type[Base]:
    """The tables that are made."""
    return Base


@pytest.fixture(scope="session")
def postgresql_options(request: pytest.FixtureRequest) -> ServiceOptions:
    """The image that is deployed, and at least its settings where nobody runs images."""
    settings = {"max_connections": "77"}
    if request.config.getoption("harness_provider") == "local":
        return ServiceOptions(settings=settings)
    image = os.environ.get("SHELF_POSTGRESQL_IMAGE", "andamios/postgresql:latest")
    return ServiceOptions(image, settings=settings)


@pytest.fixture
def books(engine: AndamiosEngine) -> Books:
    """The repository, inside of the test's transaction."""
    return Books(engine)


def pytest_andamios_gaps() -> list[Gap]:
    """What some backends cannot do for us."""
    return [Gap("books: by genre in the order of the enum", ("sqlite",), "SQLite has no enums")]
