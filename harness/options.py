"""Options that contradict each other, or what is set on this machine."""

import os

import pytest

from harness.providers import URL_VARIABLES
from harness.session import HarnessSession

__all__ = ["check_contradictions"]


def check_contradictions(config: pytest.Config) -> None:
    """
    Refuse options of which one takes away what another asks for.

    Args:
        config: pytest's configuration.

    Raises:
        UsageError: One line that says which options, and what to do.
    """
    session = HarnessSession.of(config)
    if session.provider == "url":
        if config.getoption("harness_keep"):
            raise pytest.UsageError(
                "--harness-keep contradicts --harness-provider=url: servers that somebody else "
                "runs are never stopped; leave one of them out"
            )
        _check_addresses(session)
    if config.getoption("harness_backends"):
        _check_backends(session)


def _check_addresses(session: HarnessSession) -> None:
    missing = [name for name in session.required if not os.environ.get(URL_VARIABLES[name])]
    if missing:
        variables = ", ".join(URL_VARIABLES[name] for name in missing)
        raise pytest.UsageError(
            f"--harness-require={','.join(missing)} with --harness-provider=url: {variables} not "
            "set; set it, or take another provider"
        )


def _check_backends(session: HarnessSession) -> None:
    reached = {"redis", *(name.partition("+")[0] for name in session.backends)}
    missing = [name for name in session.required if name not in reached]
    if missing:
        raise pytest.UsageError(
            f"--harness-require={','.join(missing)} contradicts "
            f"--harness-backends={','.join(session.backends)}: name the backend too, or don't "
            "require it"
        )
