"""
What a backend cannot do, with the reason: the one place where that is declared.

A test of a declared gap is expected to fail there. If it passes, the run fails: the gap
has closed and its line here must go. A project declares the gaps of its own tests in a
``conftest.py``, by the hook ``pytest_andamios_gaps``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from harness.session import KNOWN_BACKENDS

__all__ = ["GAPS", "Gap", "GapHooks", "declared_gaps", "expect", "gap_of"]


@dataclass(frozen=True)
class Gap:
    """
    One capability that some backends lack, and why.

    Args:
        capability: What the marker of the tests names.
        backends: Each by its own name: what holds for ``mysql`` says nothing about
            ``mysql+asyncmy`` or ``mariadb``.
        reason: What it is about the server or its driver.

    Example:
        >>> Gap("search: by sound", ("sqlite",), "SQLite is built without SOUNDEX").backends
        ('sqlite',)
    """

    capability: str
    backends: tuple[str, ...]
    reason: str


GAPS: tuple[Gap, ...] = (
    Gap(
        "decimals: exact sums of 30 digits",
        ("sqlite",),
        "SQLite computes in 64-bit floats; long decimals are kept as text and summed as floats",
    ),
    Gap(
        "errors: ForeignKeyError tells constraint and columns",
        ("sqlite",),
        "SQLite says only 'FOREIGN KEY constraint failed': constraint and columns are None",
    ),
    Gap(
        "isolation: READ COMMITTED sees later commits",
        ("sqlite",),
        "SQLite is always serializable: a transaction keeps the snapshot of its first read",
    ),
)


class GapHooks:
    """What a project's ``conftest.py`` may define."""

    @staticmethod
    @pytest.hookspec
    def pytest_andamios_gaps(config: pytest.Config) -> Iterable[Gap]:
        """Give the gaps of the project's own tests of capabilities."""
        raise NotImplementedError  # a specification; pytest calls those that implement it


def declared_gaps(config: pytest.Config) -> tuple[Gap, ...]:
    """
    Give all gaps: those of the suite and those that the project declares.

    Raises:
        pytest.UsageError: A gap names a backend that does not exist.
    """
    found: list[Iterable[Gap]] = config.hook.pytest_andamios_gaps(config=config)
    declared = tuple(gap for gaps in found for gap in gaps)
    for gap in declared:
        unknown = sorted(set(gap.backends) - set(KNOWN_BACKENDS))
        if unknown:
            raise pytest.UsageError(
                f"pytest_andamios_gaps: {gap.capability!r} names unknown backends "
                f"{', '.join(unknown)}; known: {', '.join(KNOWN_BACKENDS)}"
            )
    return (*GAPS, *declared)


def gap_of(capability: str, backend: str, gaps: Iterable[Gap]) -> Gap | None:
    """Find the declared gap of a capability on a backend."""
    fitting = (gap for gap in gaps if gap.capability == capability and backend in gap.backends)
    return next(fitting, None)


def expect(item: pytest.Item, gap: Gap) -> None:
    """Expect a test of a declared gap to fail, and complain when it does not."""
    item.add_marker(pytest.mark.xfail(reason=gap.reason, strict=True))
