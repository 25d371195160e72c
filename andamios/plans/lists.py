"""Lists of values that were bound already, as one parameter of PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy.types import UserDefinedType

__all__ = ["Listed"]


class Listed(UserDefinedType[Any]):
    """
    The type of a list of what the driver takes as it is.

    Args:
        of: The type of its values, in SQL.
    """

    cache_ok = True
    render_bind_cast = True

    def __init__(self, of: str) -> None:
        self.of = of

    def get_col_spec(self, **_options: Any) -> str:
        """Give the name of the type."""
        return f"{self.of}[]"
