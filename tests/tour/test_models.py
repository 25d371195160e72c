"""The tour's models live beside anybody else's."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, configure_mappers, relationship

from andamios import BaseModel
from andamios.models import UTCDateTime
from andamios.tour import Flight, TourModel


def test_tables_are_prefixed_and_apart() -> None:
    """A database and a metadata of one's own stay free of them."""
    assert all(name.startswith("tour_") for name in TourModel.metadata.tables)
    assert not set(TourModel.metadata.tables) & set(BaseModel.metadata.tables)


def test_a_class_of_the_same_name_is_no_conflict() -> None:
    """``relationship("Airline")`` finds the one of the same base."""

    class Airline(BaseModel):
        __tablename__ = "own_airline"
        partner_id: Mapped[int | None]
        partner: Mapped[object] = relationship(
            "Airline",
            primaryjoin="foreign(Airline.partner_id) == remote(Airline.id)",
            viewonly=True,
            uselist=False,
        )

    configure_mappers()
    assert Airline is Airline.partner.property.mapper.class_


def test_types_are_those_of_the_library() -> None:
    """A registry of one's own knows them too."""
    assert isinstance(Flight.__table__.c.time_hour.type, UTCDateTime)
