"""What all raw drivers send alike, but for how they mark the places of parameters."""

from __future__ import annotations

from benchmarks.speed.schema import CHILD_COLUMNS, COLUMNS, DATA, BenchChild, BenchRow

__all__ = ["ALL", "ARRAYS", "CHILD", "ROW", "SET_EXCLUDED", "joined"]

ROW, CHILD = BenchRow.__tablename__, BenchChild.__tablename__
ALL = f"SELECT {', '.join(COLUMNS)} FROM {ROW}"
SET_EXCLUDED = (
    "ON CONFLICT (email) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in DATA if name != 'email')}"
)
ARRAYS = ("text", "text", "text", "bigint", "bigint", "float8", "bool", "timestamptz", "numeric")
ARRAYS += ("text", "jsonb")
"""PostgreSQL's types of what is in :data:`DATA`."""


def joined(first: str, count: str) -> str:
    """Write the query for children with the name of their row, by its two places."""
    return (
        f"SELECT {', '.join(f'c.{name}' for name in CHILD_COLUMNS)}, r.name AS row_name "
        f"FROM {CHILD} c JOIN {ROW} r ON r.id = c.row_id "
        f"WHERE c.id >= {first} ORDER BY c.id LIMIT {count}"
    )
