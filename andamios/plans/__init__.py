"""
The short way to the driver: the same results as SQLAlchemy's own, for less.

Private: repositories and queries take it wherever it applies, and SQLAlchemy's way wherever it
does not. SQLAlchemy compiles each statement once; a plan keeps the SQL, how values are bound, and
a generated function that makes objects, dicts or rows of what the driver gives.
"""

__all__: list[str] = []
