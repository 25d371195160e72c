"""Where the data lives: engine, connections, sessions and the event loop."""

from andamios.core.connection import ConnectionLeak, ConnectionManager
from andamios.core.current import current_session
from andamios.core.engine import AndamiosEngine
from andamios.core.factory import ENGINE_CONFIG
from andamios.core.loop import run
from andamios.core.monitor import HealthMonitor
from andamios.core.pool import PoolStats
from andamios.core.session import AsyncSession, SessionManager

__all__ = [
    "ENGINE_CONFIG",
    "AndamiosEngine",
    "AsyncSession",
    "ConnectionLeak",
    "ConnectionManager",
    "HealthMonitor",
    "PoolStats",
    "SessionManager",
    "current_session",
    "run",
]
