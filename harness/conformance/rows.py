"""What several topics of the suite begin with: rows, and a value read back from its table."""

from typing import Any

from andamios import AsyncSession, GenericRepository
from harness.conformance.models import (
    ConformanceAuthor,
    ConformanceBook,
    ConformanceProfile,
    ConformanceValue,
)

__all__ = ["authors_with_books", "labels", "read_back", "values"]


async def read_back(session: AsyncSession, **columns: Any) -> ConformanceValue:
    """Store a value, forget it, and read it again from the database."""
    stored = await GenericRepository[ConformanceValue](session).create(ConformanceValue(**columns))
    session.expunge_all()
    return await GenericRepository[ConformanceValue](session).get_one(stored.id)


async def values(session: AsyncSession, *rows: dict[str, Any]) -> None:
    """Store values, in this order."""
    await GenericRepository[ConformanceValue](session).create_many(rows)


async def labels(session: AsyncSession, filters: Any, *order: Any) -> list[str | None]:
    """Give the labels of the values that fit, in an order or alphabetically."""
    query = GenericRepository[ConformanceValue](session).query().filter(filters)
    found = await query.order_by(*(order or ("label",))).execute()
    return [value.label for value in found]


async def authors_with_books(session: AsyncSession) -> None:
    """Store three authors: with two books and a motto, with one book, and with nothing."""
    ana = ConformanceAuthor(name="Ana", age=40, city="Lima")
    ana.profile = ConformanceProfile(motto="onwards")
    ana.books = [
        ConformanceBook(title="Rivers", price=10, pages=100),
        ConformanceBook(title="Bridges", price=20, pages=300),
    ]
    beto = ConformanceAuthor(name="Beto", age=30, city="Cusco")
    beto.books = [ConformanceBook(title="Salt", price=30, pages=None)]
    session.add_all([ana, beto, ConformanceAuthor(name="Carla", age=None, city=None)])
    await session.flush()
    session.expunge_all()
