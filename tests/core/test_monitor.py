"""The monitor of an engine, where it is used wrongly; ``test_live_pool`` sees it at work."""

from __future__ import annotations

import pytest

from andamios import ConfigurationError, HealthMonitor


async def test_a_round_without_an_engine() -> None:
    """A monitor whose engine is not open yet says what to do."""
    with pytest.raises(ConfigurationError, match="Open the engine first"):
        await HealthMonitor().check()
