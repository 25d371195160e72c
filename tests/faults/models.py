"""Tables that workloads write to while their servers break, with a base of their own."""

from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from andamios import BaseModel

__all__ = ["FaultBase", "FltAccount", "FltElement", "FltList", "FltNumber"]


class FaultBase(BaseModel, DeclarativeBase):
    pass


class FltElement(FaultBase):
    # No constraint keeps an element from coming twice: that is what is looked for.
    element: Mapped[int]
    # Rows of a size that a full disk soon has no page for.
    padding: Mapped[str] = mapped_column(String(1000), default="x" * 1000)


class FltNumber(FaultBase):
    value: Mapped[int]


class FltAccount(FaultBase):
    balance: Mapped[int]


class FltList(FaultBase):
    elements: Mapped[str] = mapped_column(String(2000))
