"""
The tables that the conformance suite works on, with metadata of their own.

Small and without a story: each model has what one topic of the suite needs. Nothing here
is told how a backend spells it; that is what the suite is about.
"""

import datetime as dt
import decimal
import enum
import uuid
from typing import Annotated, Any

import pytest
from annotated_types import MaxLen
from pydantic import Field
from sqlalchemy import CheckConstraint, ForeignKey, MetaData, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import (
    AuditMixin,
    BaseModel,
    SoftDeleteModel,
    TimestampedModel,
    UUIDModel,
    VersioningMixin,
)

__all__ = [
    "CONFORMANCE_METADATA",
    "ConformanceAuthor",
    "ConformanceBook",
    "ConformanceColour",
    "ConformanceDraft",
    "ConformanceInvoice",
    "ConformanceParcel",
    "ConformancePlace",
    "ConformanceProfile",
    "ConformanceRemark",
    "ConformanceSeat",
    "ConformanceTicket",
    "ConformanceValue",
    "db_metadata",
]

CONFORMANCE_METADATA = MetaData(naming_convention=BaseModel.metadata.naming_convention)


@pytest.fixture(scope="session")
def db_metadata() -> MetaData:
    """The tables of the suite; a module that takes the suite in takes this fixture along."""
    return CONFORMANCE_METADATA


class ConformanceAuthor(BaseModel):
    """Somebody with a profile and books: filters, joins, orders and pages."""

    metadata = CONFORMANCE_METADATA

    name: Mapped[str]
    age: Mapped[int | None]
    city: Mapped[str | None]

    profile: Mapped["ConformanceProfile | None"] = relationship(back_populates="author")
    books: Mapped[list["ConformanceBook"]] = relationship(
        back_populates="author", order_by="ConformanceBook.title"
    )


class ConformanceProfile(BaseModel):
    """The other side of a one-to-one relationship."""

    metadata = CONFORMANCE_METADATA

    author_id: Mapped[int] = mapped_column(ForeignKey(ConformanceAuthor.id), unique=True)
    motto: Mapped[str | None]

    author: Mapped[ConformanceAuthor] = relationship(back_populates="profile")


class ConformanceBook(BaseModel):
    """The other side of a one-to-many relationship."""

    metadata = CONFORMANCE_METADATA

    author_id: Mapped[int] = mapped_column(ForeignKey(ConformanceAuthor.id))
    title: Mapped[str]
    price: Mapped[decimal.Decimal | None]
    pages: Mapped[int | None]

    author: Mapped[ConformanceAuthor] = relationship(back_populates="books")


class ConformanceColour(enum.Enum):
    """An enumeration whose values differ from its names."""

    RED = "#f00"
    GREEN = "#0f0"


class ConformanceValue(BaseModel):
    """One column of each type, none of them required."""

    metadata = CONFORMANCE_METADATA

    label: Mapped[str | None]
    short: Mapped[Annotated[str, MaxLen(10)] | None] = mapped_column()
    long: Mapped[Annotated[str, MaxLen(10_000_000)] | None] = mapped_column()
    whole: Mapped[int | None]
    ratio: Mapped[float | None]
    amount: Mapped[decimal.Decimal | None]
    exact: Mapped[Annotated[decimal.Decimal, Field(max_digits=30, decimal_places=10)] | None]
    flag: Mapped[bool | None]
    moment: Mapped[dt.datetime | None]
    day: Mapped[dt.date | None]
    clock: Mapped[dt.time | None]
    span: Mapped[dt.timedelta | None]
    code: Mapped[uuid.UUID | None]
    colour: Mapped[ConformanceColour | None]
    data: Mapped[bytes | None]
    document: Mapped[dict[str, Any] | None]
    items: Mapped[list[Any] | None]


class ConformanceTicket(BaseModel):
    """A table with every kind of constraint."""

    metadata = CONFORMANCE_METADATA
    __table_args__ = (
        CheckConstraint("seats > 0", name="seats_positive"),
        UniqueConstraint("train", "number"),
    )

    code: Mapped[str | None] = mapped_column(unique=True)
    holder: Mapped[str] = mapped_column(default="nobody")
    seats: Mapped[int] = mapped_column(default=1)
    train: Mapped[str | None]
    number: Mapped[int | None]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("conformance_ticket.id"))


class ConformanceDraft(SoftDeleteModel):
    """A row that is marked instead of removed, with others that hang on it."""

    metadata = CONFORMANCE_METADATA

    title: Mapped[str]
    remarks: Mapped[list["ConformanceRemark"]] = relationship(
        back_populates="draft", cascade="all, delete-orphan"
    )


class ConformanceRemark(SoftDeleteModel):
    """What goes with its draft when that is deleted."""

    metadata = CONFORMANCE_METADATA

    draft_id: Mapped[int] = mapped_column(ForeignKey(ConformanceDraft.id))
    text: Mapped[str]

    draft: Mapped[ConformanceDraft] = relationship(back_populates="remarks")


class ConformanceSeat(VersioningMixin, BaseModel):
    """A row with a version."""

    metadata = CONFORMANCE_METADATA

    holder: Mapped[str]
    taken: Mapped[int] = mapped_column(default=0)


class ConformanceInvoice(AuditMixin, TimestampedModel):
    """A row that knows when and by whom it was written."""

    metadata = CONFORMANCE_METADATA

    total: Mapped[int]


class ConformanceParcel(UUIDModel):
    """A row whose key is made by the client."""

    metadata = CONFORMANCE_METADATA

    content: Mapped[str]


class ConformancePlace(BaseModel):
    """A row whose key has two parts."""

    metadata = CONFORMANCE_METADATA

    hall: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    guest: Mapped[str | None]
