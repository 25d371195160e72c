"""Models for the tests of the cache."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  SQLAlchemy reads annotations
import enum
import uuid  # noqa: TC003
from decimal import Decimal  # noqa: TC003

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import BaseModel, SoftDeleteModel

__all__ = ["CaBook", "CaColor", "CaEverything", "CaNote", "CaRight", "CaShelf"]


class CaShelf(BaseModel):
    name: Mapped[str] = mapped_column(unique=True)
    number: Mapped[int] = mapped_column(default=0)
    books: Mapped[list[CaBook]] = relationship(
        back_populates="shelf", cascade="all, delete-orphan", passive_deletes=True
    )


class CaBook(BaseModel):
    title: Mapped[str]
    shelf_id: Mapped[int] = mapped_column(ForeignKey("ca_shelf.id", ondelete="CASCADE"))
    shelf: Mapped[CaShelf] = relationship(back_populates="books")


class CaNote(SoftDeleteModel):
    text: Mapped[str]


class CaColor(enum.Enum):
    RED = 1


class CaRight(enum.Flag):
    READ = 1
    WRITE = 2


class CaEverything(BaseModel):
    moment: Mapped[dt.datetime]
    day: Mapped[dt.date]
    amount: Mapped[Decimal]
    code: Mapped[uuid.UUID]
    data: Mapped[bytes]
    color: Mapped[CaColor]
    span: Mapped[dt.timedelta]
    document: Mapped[dict[str, object]]
    remark: Mapped[str | None]
