"""Which indexes count as there already."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from andamios.queries.indexes.candidates import Candidate
from andamios.queries.indexes.existing import free_name, is_covered

TABLE = sa.Table("covered", sa.MetaData(), *(sa.Column(name, sa.Integer) for name in "abc"))


def _candidate(*names: str, descending: tuple[bool, ...] | None = None) -> Candidate:
    columns = tuple(TABLE.c[name] for name in names)
    return Candidate(TABLE, columns, descending or (False,) * len(names))


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ([("a", "b")], True),
        ([("c",), ("a", "b", "c")], True),
        ([("b", "a")], False),
        ([("a",)], False),
        ([("c", "a", "b")], False),
        ([("a", None)], False),  # of an expression
        ([()], False),  # of a part of the rows
        ([], False),
    ],
)
def test_an_index_covers_what_it_begins_with(
    existing: list[tuple[str | None, ...]], expected: bool
) -> None:
    """The columns in their order, and whatever follows them."""
    assert expected is is_covered(_candidate("a", "b"), existing)


def test_directions() -> None:
    """An index can be read backwards as a whole; one of mixed directions is left to the planner."""
    existing = [("a", "b")]
    assert is_covered(_candidate("a", "b", descending=(True, True)), existing)
    assert not is_covered(_candidate("a", "b", descending=(False, True)), existing)


@pytest.mark.parametrize(
    ("taken", "expected"),
    [((), "ix_abcdef"), (("ix_abcdef",), "ix_abcd_2"), (("ix_abcdef", "ix_abcd_2"), "ix_abcd_3")],
)
def test_a_free_name(taken: tuple[str, ...], expected: str) -> None:
    """A number tells names apart, and leaves them as long as they may be."""
    assert expected == free_name("ix_abcdef", taken, 9)
