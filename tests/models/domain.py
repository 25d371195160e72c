"""
The models of these tests: a library, with one table for each thing that a model can be.

They live in ``BaseModel.metadata``, so that the harness creates them in every test
database; all names begin with ``Lib`` to clash with nobody's.
"""

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, UniqueConstraint
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
    "LibAuthor",
    "LibBook",
    "LibColour",
    "LibDraft",
    "LibFilm",
    "LibInvoice",
    "LibKinds",
    "LibLabel",
    "LibMedium",
    "LibMember",
    "LibNote",
    "LibPlace",
    "LibPlain",
    "LibSeat",
    "LibShelf",
    "LibSize",
    "LibSong",
    "LibTag",
    "LibTicket",
    "LibVault",
    "LibWord",
]


class LibColour(enum.Enum):
    """A plain enumeration, whose values differ from its names."""

    RED = "#f00"
    DARK_BLUE = "#00a"


class LibSize(enum.StrEnum):
    """An enumeration of texts."""

    SMALL = "s"
    LARGE = "l"


class LibKinds(BaseModel):
    """Every type of the type map."""

    text: Mapped[str | None]
    short: Mapped[Annotated[str, Field(max_length=5)] | None]
    novel: Mapped[Annotated[str, MaxLen(1_000_000)] | None]
    whole: Mapped[int | None]
    real: Mapped[float | None]
    price: Mapped[Decimal | None]
    exact: Mapped[Annotated[Decimal, Field(max_digits=38, decimal_places=10)] | None]
    flag: Mapped[bool | None]
    day: Mapped[dt.date | None]
    moment: Mapped[dt.datetime | None]
    clock: Mapped[dt.time | None]
    blob: Mapped[bytes | None]
    facts: Mapped[dict[str, Any] | None]
    items: Mapped[list[Any] | None]
    key: Mapped[uuid.UUID | None]
    colour: Mapped[LibColour | None]
    size: Mapped[LibSize | None]
    span: Mapped[dt.timedelta | None]
    grade: Mapped[Literal["a", "bb"] | None]


class LibPlain(BaseModel):
    """Columns without rules of their own, which only the database checks."""

    title: Mapped[str] = mapped_column()
    pages: Mapped[int]
    weight: Mapped[Decimal | None]


class LibWord(BaseModel):
    """A text that is there once."""

    word: Mapped[str] = mapped_column(unique=True)


lib_book_tag = Table(
    "lib_book_tag",
    BaseModel.metadata,
    Column("book_id", ForeignKey("lib_book.id"), primary_key=True),
    Column("tag_id", ForeignKey("lib_tag.id"), primary_key=True),
)


class LibAuthor(BaseModel):
    """Somebody who wrote books; with every kind of constraint."""

    __table_args__ = (
        UniqueConstraint("country", "number"),
        CheckConstraint("age >= 0", name="age_not_negative"),
    )

    name: Mapped[str]
    email: Mapped[str | None] = mapped_column(unique=True)
    age: Mapped[int] = mapped_column(default=40)
    country: Mapped[str | None]
    number: Mapped[int | None]
    password: Mapped[str | None] = mapped_column(info={"secret": True})
    biography: Mapped[str | None] = mapped_column(deferred=True)
    books: Mapped[list["LibBook"]] = relationship(back_populates="author")


class LibBook(BaseModel):
    """A book of an author, with tags."""

    title: Mapped[str]
    author_id: Mapped[int | None] = mapped_column(ForeignKey("lib_author.id"))
    author: Mapped[LibAuthor | None] = relationship(back_populates="books")
    tags: Mapped[list["LibTag"]] = relationship(secondary=lib_book_tag, back_populates="books")


class LibTag(BaseModel):
    """A tag of books."""

    name: Mapped[str] = mapped_column(unique=True)
    books: Mapped[list[LibBook]] = relationship(secondary=lib_book_tag, back_populates="tags")


class LibVault(BaseModel):
    """Attributes that refuse to load by themselves."""

    content: Mapped[str | None] = mapped_column(deferred=True, deferred_raiseload=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("lib_author.id"))
    author: Mapped[LibAuthor | None] = relationship(lazy="raise")


def _no_spam(text: str) -> str:
    if "spam" in text:
        message = "must not be spam"
        raise ValueError(message)
    return text


class LibMember(BaseModel):
    """Fields with rules."""

    name: Mapped[Annotated[str, MinLen(2), MaxLen(20)]]
    age: Mapped[Annotated[int, Ge(0), Le(150)]] = mapped_column(default=18)
    nick: Mapped[Annotated[str, StringConstraints(strip_whitespace=True, pattern="^[a-z ]*$")]] = (
        mapped_column(default="")
    )
    debt: Mapped[Annotated[Decimal, Field(ge=0, max_digits=8, decimal_places=2)] | None]
    motto: Mapped[Annotated[str, AfterValidator(_no_spam)] | None]


class LibShelf(SoftDeleteModel):
    """A shelf with notes; removing it marks its notes too."""

    name: Mapped[str]
    notes: Mapped[list["LibNote"]] = relationship(
        back_populates="shelf", cascade="all, delete-orphan"
    )
    labels: Mapped[list["LibLabel"]] = relationship(cascade="all, delete-orphan")


class LibNote(SoftDeleteModel):
    """A note on a shelf."""

    text: Mapped[str]
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("lib_shelf.id"))
    shelf: Mapped[LibShelf | None] = relationship(back_populates="notes")


class LibLabel(BaseModel):
    """A label of a shelf, which is removed for good."""

    text: Mapped[str]
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("lib_shelf.id"))


class LibSeat(VersioningMixin, BaseModel):
    """A row with a version."""

    name: Mapped[str]


class LibDraft(VersioningMixin, SoftDeleteModel):
    """A row with a version that is marked when deleted."""

    name: Mapped[str]


class LibInvoice(AuditMixin, TimestampedModel):
    """A row that knows who wrote it, and when."""

    total: Mapped[Decimal]


class LibTicket(UUIDModel):
    """A row whose key the client makes."""

    seat: Mapped[str]


class LibPlace(BaseModel):
    """A key of two columns."""

    row: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    guest: Mapped[str | None]


class LibMedium(BaseModel):
    """The base of a family of classes that share a table."""

    kind: Mapped[str]
    title: Mapped[str]

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "medium"}  # noqa: RUF012


class LibFilm(LibMedium):
    """A film, in the table of its parent."""

    minutes: Mapped[int | None]

    __mapper_args__ = {"polymorphic_identity": "film"}  # noqa: RUF012


class LibSong(LibMedium):
    """A song, in the table of its parent."""

    singer: Mapped[str | None]

    __mapper_args__ = {"polymorphic_identity": "song"}  # noqa: RUF012
