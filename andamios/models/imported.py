"""
Classes of libraries that a program may never import.

Whether something is an instance of such a class can be asked without importing it: whoever made
an instance has done so.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["imported"]


def imported(module: str, *names: str) -> tuple[type[Any], ...]:
    """
    Give classes for ``isinstance()``, which are none as long as nobody has imported their module.

    Args:
        module: Where they are defined, such as ``"pydantic.fields"``.
        names: What they are called there.
    """
    found = sys.modules.get(module)
    # Another thread may be in the middle of importing it.
    return tuple(getattr(found, name) for name in names if hasattr(found, name))
