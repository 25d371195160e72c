"""
What a backend cannot do, with the reason: the one place where that is declared.

A test of a declared gap is expected to fail there. If it passes, the run fails: the gap
has closed and its line here must go.
"""

from dataclasses import dataclass

import pytest

__all__ = ["GAPS", "Gap", "expect", "gap_of"]


@dataclass(frozen=True)
class Gap:
    """One capability that one backend lacks, and why."""

    capability: str
    backend: str
    reason: str


GAPS: tuple[Gap, ...] = (
    Gap(
        "decimals: exact sums of 30 digits",
        "sqlite",
        "SQLite computes in 64-bit floats; long decimals are kept as text and summed as floats",
    ),
    Gap(
        "errors: ForeignKeyError tells constraint and columns",
        "sqlite",
        "SQLite says only 'FOREIGN KEY constraint failed': constraint and columns are None",
    ),
    Gap(
        "isolation: READ COMMITTED sees later commits",
        "sqlite",
        "SQLite is always serializable: a transaction keeps the snapshot of its first read",
    ),
)


def gap_of(capability: str, backend: str) -> Gap | None:
    """Find the declared gap of a capability on a backend."""
    found = (gap for gap in GAPS if (gap.capability, gap.backend) == (capability, backend))
    return next(found, None)


def expect(item: pytest.Item, gap: Gap) -> None:
    """Expect a test of a declared gap to fail, and complain when it does not."""
    item.add_marker(pytest.mark.xfail(reason=gap.reason, strict=True))
