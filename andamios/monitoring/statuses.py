"""What health checks answer: healthy or not, how fast, and why, without secrets."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from andamios.errors import AndamiosError

if TYPE_CHECKING:
    from andamios.core.connection import ConnectionLeak
    from andamios.core.pool import PoolStats

__all__ = ["HealthReport", "HealthStatus", "PoolHealth", "reason"]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """
    The answer of one check.

    Args:
        name: Of the check.
        is_healthy: Whether all is well.
        latency: Seconds until the answer.
        detail: Why not; empty when all is well. Never holds secrets.
        checked_at: When, in UTC.
        is_critical: Whether the whole is unhealthy without it.

    Example:
        >>> HealthStatus("cache", is_healthy=True).is_critical
        True
    """

    name: str
    is_healthy: bool
    latency: float = 0.0
    detail: str = ""
    checked_at: dt.datetime = field(default_factory=_now)
    is_critical: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Give everything as what JSON knows."""
        return asdict(self) | {"checked_at": self.checked_at.isoformat()}


@dataclass(frozen=True, slots=True)
class PoolHealth:
    """
    The state of a pool.

    Args:
        is_healthy: Whether a connection can be had in time.
        stats: How many connections there are.
        utilisation: Share of the connections it may have that is in use, 0 to 1.
        leaks: Connections that somebody has had for long, the longest first. They alone are
            no reason to be unhealthy: a long report may need one.
        detail: Why it is not healthy; empty when it is.

    Example:
        >>> from andamios.core.pool import PoolStats
        >>> stats = PoolStats(size=4, idle=3, in_use=1, overflow=0)
        >>> PoolHealth(True, stats, 0.25).to_dict()["stats"]["idle"]
        3
    """

    is_healthy: bool
    stats: PoolStats
    utilisation: float
    leaks: tuple[ConnectionLeak, ...] = ()
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give everything as what JSON knows."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class HealthReport:
    """
    The answers of all checks.

    Args:
        statuses: In the order in which the checks were registered.

    Example:
        >>> HealthReport((HealthStatus("mail", False, is_critical=False),)).is_healthy
        True
    """

    statuses: tuple[HealthStatus, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether every critical check is healthy."""
        return all(status.is_healthy for status in self.statuses if status.is_critical)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as what JSON knows, checks by name."""
        checks = {status.name: status.to_dict() for status in self.statuses}
        return {"is_healthy": self.is_healthy, "checks": checks}


def reason(error: Exception, timeout: float) -> str:
    """
    Say why a check failed, by the error's class and code: its text may hold secrets.

    Args:
        error: What the check raised.
        timeout: Seconds that it had.
    """
    if isinstance(error, AndamiosError):
        code = f" ({error.code})" if error.code is not None else ""
        return f"{type(error).__name__}{code}"
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    return type(error).__name__
