"""Repositories for special purposes: one that only reads."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from andamios.errors import ReadOnlyError
from andamios.queries.builder import QueryBuilder
from andamios.repositories.generic import GenericRepository
from andamios.repositories.selecting import SelectingRepository

__all__ = ["ReadOnlyRepository"]

T = TypeVar("T")


class ReadOnlyRepository(SelectingRepository[T]):
    """
    A repository that reads and has nothing to write with.

    Bound to an engine, its transactions are read-only ones.

    Raises:
        ReadOnlyError: A method that writes was named. It is an ``AttributeError`` too, so
            that ``hasattr`` says no.

    Example:
        >>> from sqlalchemy import String
        >>> from sqlalchemy.orm import mapped_column
        >>> from andamios import BaseModel, ReadOnlyRepository
        >>> class Country(BaseModel):
        ...     name = mapped_column(String(50))
        >>> countries = ReadOnlyRepository[Country]()
        >>> hasattr(countries, "get_by_id"), hasattr(countries, "create")
        (True, False)
    """

    def query(self) -> QueryBuilder[T]:
        """Begin a query that cannot write."""
        return QueryBuilder(self.model, self._bind, read_only=True)


class _Refused:
    """Stands where a writing method would be."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object | None, owner: type[Any]) -> NoReturn:
        raise ReadOnlyError(f"{owner.__name__} only reads; it has no {self._name!r}.")


WRITES = ("create", "update", "delete", *(n for n in vars(GenericRepository) if n[0] != "_"))
"""Whatever the generic repository adds to reading."""

for _name in WRITES:
    setattr(ReadOnlyRepository, _name, _Refused(_name))
