"""Where books are kept, and in memory for tests that need no database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from andamios import (
    DuplicateError,
    GenericRepository,
    IRepository,
    NotFoundError,
    UnknownFieldError,
)
from sqlalchemy import inspect

from shelf.models import Book, Loan

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Books", "BooksInMemory"]

FIELDS = ("id", "title", "genre")


class Books(GenericRepository[Book]):
    """Books in a database."""

    async def lent_to(self, reader: str) -> list[Book]:
        """Give what a reader has borrowed, by title."""
        query = self.query().join(Book.loans).filter(Loan.reader == reader)
        return await query.order_by(Book.title).execute()


class BooksInMemory(IRepository[Book]):
    """Books in memory."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[str, Any]] = {}

    async def get_by_id(self, id: int) -> Book | None:  # noqa: A002
        """Find a book by its key."""
        return Book(**self._rows[id]) if id in self._rows else None

    async def create(self, entity: Book) -> Book:
        """Store a new book."""
        if entity.id in self._rows:
            raise DuplicateError("This key is taken.")
        entity.id = entity.id or max(self._rows, default=0) + 1
        self._rows[entity.id] = self._values(entity)
        return entity

    async def update(self, entity: Book) -> Book:
        """Store what has changed."""
        if entity.id not in self._rows:
            raise NotFoundError("There is no such book.")
        self._rows[entity.id].update(self._values(entity))
        return entity

    async def delete(self, id: int) -> bool:  # noqa: A002
        """Forget a book."""
        return self._rows.pop(id, None) is not None

    async def list(self, filters: Mapping[str, Any] | None = None) -> list[Book]:
        """Give the books whose fields have these values."""
        wanted = (filters or {}).items()
        if unknown := {name for name, _ in wanted} - set(FIELDS):
            raise UnknownFieldError(f"A book has no {', '.join(unknown)}.")
        rows = self._rows.values()
        return [Book(**row) for row in rows if all(row.get(name) == each for name, each in wanted)]

    @staticmethod
    def _values(book: Book) -> dict[str, Any]:
        return {name: value for name, value in inspect(book).dict.items() if name in FIELDS}
