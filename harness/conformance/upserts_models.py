"""The tables of the topic "upserts": one with a single unique key, one with several."""

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from andamios import BaseModel, VersioningMixin
from harness.conformance.models import CONFORMANCE_METADATA

__all__ = ["ConformanceMember", "ConformanceWord"]


class ConformanceWord(VersioningMixin, BaseModel):
    """A row that one thing tells from others."""

    metadata = CONFORMANCE_METADATA

    word: Mapped[str] = mapped_column(unique=True)
    uses: Mapped[int] = mapped_column(default=0)


class ConformanceMember(VersioningMixin, BaseModel):
    """A row that three things tell from others."""

    metadata = CONFORMANCE_METADATA
    __table_args__ = (UniqueConstraint("club", "number"),)

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None] = mapped_column(unique=True)
    club: Mapped[str | None]
    number: Mapped[int | None]
    city: Mapped[str | None]
