"""
What a backend cannot do, with the reason: the one place where that is declared.

A test of a declared gap is expected to fail there. If it passes, the run fails: the gap
has closed and its line here must go.
"""

from dataclasses import dataclass

import pytest

__all__ = ["GAPS", "Gap", "gap_of"]


@dataclass(frozen=True)
class Gap:
    """One capability that one backend lacks, and why."""

    capability: str
    backend: str
    reason: str


GAPS: tuple[Gap, ...] = ()


def gap_of(capability: str, backend: str) -> Gap | None:
    """Find the declared gap of a capability on a backend."""
    found = (gap for gap in GAPS if (gap.capability, gap.backend) == (capability, backend))
    return next(found, None)


def expect(item: pytest.Item, gap: Gap) -> None:
    """Expect a test of a declared gap to fail, and complain when it does not."""
    item.add_marker(pytest.mark.xfail(reason=gap.reason, strict=True))
