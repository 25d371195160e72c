"""Tables for the cancellation sweep: one of each kind that is written in a way of its own."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import AuditMixin, BaseModel, SoftDeleteModel, VersioningMixin

__all__ = ["SweepDraft", "SweepPort", "SweepShip"]


class SweepPort(BaseModel):
    """A plain row, which takes the short ways."""

    code: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int] = mapped_column(default=0)
    ships: Mapped[list["SweepShip"]] = relationship(back_populates="port")


class SweepShip(BaseModel):
    """One of many in a port."""

    name: Mapped[str]
    port_id: Mapped[int] = mapped_column(ForeignKey(SweepPort.id))
    port: Mapped[SweepPort] = relationship(back_populates="ships")


class SweepDraft(AuditMixin, VersioningMixin, SoftDeleteModel):
    """A row with a version and a history, which is marked instead of removed."""

    __history__ = True

    title: Mapped[str]
