"""Tables for tests of resilience."""

from sqlalchemy.orm import Mapped

from andamios import BaseModel

__all__ = ["ResAccount", "ResNote"]


class ResAccount(BaseModel):
    owner: Mapped[str]
    balance: Mapped[int]


class ResNote(BaseModel):
    text: Mapped[str]
