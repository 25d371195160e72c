"""Books and their loans, on a base of SQLAlchemy's own."""

from __future__ import annotations

import enum

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

__all__ = ["Base", "Book", "Genre", "Loan"]


class Base(DeclarativeBase):
    """The base of this project's models; Andamios knows nothing of it."""


class Genre(enum.Enum):
    """What a book is about."""

    NOVEL = "novel"
    ATLAS = "atlas"


class Book(Base):
    """A title, of which there is one copy."""

    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(100), unique=True)
    genre: Mapped[Genre] = mapped_column(default=Genre.NOVEL)
    loans: Mapped[list[Loan]] = relationship(back_populates="book")


class Loan(Base):
    """A book in somebody's hands."""

    __tablename__ = "loan"

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey(Book.id))
    reader: Mapped[str] = mapped_column(String(100))
    book: Mapped[Book] = relationship(back_populates="loans")
