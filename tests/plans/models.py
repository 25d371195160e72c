"""Models that are mapped in ways which the short way has to know, or to leave alone."""

import datetime as dt
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from annotated_types import MaxLen
from pydantic import Field
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    column_property,
    deferred,
    mapped_column,
    synonym,
)
from sqlalchemy.types import TypeDecorator

from andamios import AuditMixin, BaseModel, SoftDeleteModel, TimestampedModel, VersioningMixin

__all__ = [
    "Plain",
    "PlansBase",
    "PlansCard",
    "PlansComputed",
    "PlansDeferred",
    "PlansFile",
    "PlansFolder",
    "PlansNote",
    "PlansNumbered",
    "PlansOdd",
    "PlansPartial",
    "PlansPlain",
    "PlansRecord",
    "PlansSized",
    "PlansSwitch",
    "PlansTagged",
    "Shade",
]


class PlansBase(BaseModel, DeclarativeBase):
    """Has tables of its own."""

    __abstract__ = False


class Shade(enum.Enum):
    """Its values differ from its names."""

    DARK = "0"
    LIGHT = "1"


class Reversed(TypeDecorator[str]):
    """A text that is stored backwards; one that begins with ``!`` cannot be read."""

    impl = sa.String(50)
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Any) -> str | None:
        return None if value is None else value[::-1]

    def process_result_value(self, value: str | None, _dialect: Any) -> str | None:
        if value is not None and value.endswith("!"):
            raise ValueError("not readable")
        return None if value is None else value[::-1]


class PlansOdd(PlansBase):
    """Attributes with other names than their columns, defaults of each kind, and a type of ours."""

    key: Mapped[int] = mapped_column("odd_key", primary_key=True)
    name: Mapped[str] = mapped_column("given name", default="nobody")
    rows: Mapped[int | None] = mapped_column("select")
    shade: Mapped[Shade | None] = mapped_column(default=Shade.DARK)
    level: Mapped[Literal["low", "high"] | None]
    token: Mapped[uuid.UUID] = mapped_column(default=lambda: uuid.UUID(int=5))
    short: Mapped[Annotated[str, MaxLen(5)] | None]
    price: Mapped[Annotated[decimal.Decimal, Field(max_digits=6, decimal_places=2)] | None]
    note: Mapped[dict[str, Any] | None] = mapped_column(default=dict)
    back: Mapped[str | None] = mapped_column(Reversed())
    seen: Mapped[dt.datetime | None]
    other_name = synonym("name")

    @hybrid_property
    def loud(self) -> str:
        """The name in capitals."""
        return self.name.upper()

    @loud.inplace.expression
    @classmethod
    def _loud(cls) -> Any:
        return sa.func.upper(cls.name)


class PlansNote(PlansBase):
    """A word, once."""

    word: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int | None]


class PlansRecord(AuditMixin, VersioningMixin, TimestampedModel, PlansBase):
    """Whose, when, and how often."""

    __abstract__ = False

    title: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int] = mapped_column(default=0)
    text: Mapped[str | None]


class PlansTagged(SoftDeleteModel, PlansBase):
    """A row that is marked, with a key of two parts."""

    __abstract__ = False

    left: Mapped[str] = mapped_column(primary_key=True)
    right: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    weight: Mapped[float | None]


class PlansSwitch(PlansBase):
    """A key of which SQLAlchemy writes one part into the SQL."""

    is_on: Mapped[bool] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    label: Mapped[str | None]


class PlansNumbered(PlansBase):
    """A key that is a number of any size."""

    key: Mapped[decimal.Decimal] = mapped_column(sa.Numeric(20, 0), primary_key=True)
    label: Mapped[str | None]


class PlansPartial(PlansBase):
    """A table of which one column is nobody's business."""

    __table__ = sa.Table(
        "plans_partial",
        PlansBase.metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("old", sa.String(20)),
        sa.Column("name", sa.String(20)),
    )
    __mapper_args__ = {"exclude_properties": ["old"]}  # noqa: RUF012

    name: Mapped[str | None]


class PlansComputed(PlansBase):
    """What the database fills in: a default and an expression."""

    a: Mapped[int]
    b: Mapped[int] = mapped_column(server_default=sa.text("5"))
    both: Mapped[int] = mapped_column(sa.Computed("a + 1", persisted=True))


class PlansSized(PlansBase):
    """An expression beside the columns."""

    width: Mapped[int]
    height: Mapped[int]
    area: Mapped[int] = column_property(sa.literal_column("width * height", sa.BigInteger()))


class PlansDeferred(PlansBase):
    """A column that is not read at once."""

    name: Mapped[str]
    body: Mapped[str | None] = deferred(mapped_column(sa.String(100)))


class PlansFile(PlansBase):
    """The parent of an inheritance in one table."""

    kind: Mapped[str]
    path: Mapped[str]

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "file"}  # noqa: RUF012


class PlansFolder(PlansFile):
    """The child."""

    size: Mapped[int | None]

    __mapper_args__ = {"polymorphic_identity": "folder"}  # noqa: RUF012


class Plain(DeclarativeBase):
    """SQLAlchemy's own base."""

    metadata = PlansBase.metadata


class PlansPlain(Plain):
    """A model that knows nothing of Andamios."""

    __tablename__ = "plans_plain"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50))
    at: Mapped[dt.date | None]


class PlansCard(MappedAsDataclass, Plain):
    """A dataclass."""

    __tablename__ = "plans_card"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str] = mapped_column(sa.String(50))
    size: Mapped[int] = mapped_column(default=3)
