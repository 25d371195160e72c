"""A small run of pytest inside a test, with the plugins of a project that uses the harness."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from unittest.mock import patch

if TYPE_CHECKING:
    import pytest

__all__ = ["LOOP_SCOPE", "run_pytest"]

# pytest-asyncio first, as it is where plugins are found by their entry points.
PLUGINS = ("-ppytest_asyncio.plugin", "-pxdist.plugin", "-pharness.plugin", "-pno:cacheprovider")

LOOP_SCOPE = "asyncio_default_fixture_loop_scope = function"
"""What pytest-asyncio warns of where it is not set, with or without the harness."""


def run_pytest(
    pytester: pytest.Pytester, source: str, *options: str, settings: str = LOOP_SCOPE
) -> pytest.RunResult:
    """Run some tests on SQLite, in a process of its own where every warning is an error."""
    pytester.makeini(f"[pytest]\n{settings}\n")
    pytester.makepyfile(source)
    (pytester.path / "tmp").mkdir()
    surroundings = {
        "TMPDIR": str(pytester.path / "tmp"),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # others of this environment take seconds
    }
    with patch.dict(os.environ, surroundings):
        return pytester.runpytest_subprocess(
            *PLUGINS, "--harness-backends=sqlite", "-Werror", *options, timeout=120
        )
