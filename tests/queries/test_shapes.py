"""Results as pydantic models: what is read for them, and what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic
import pytest
from sqlalchemy import ForeignKey, func
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import (
    BaseModel,
    ConfigurationError,
    QueryBuilder,
    QueryError,
    UnknownFieldError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from andamios import AsyncSession

    MaxQueries = Callable[[int], AbstractContextManager[Any]]


class ShapeCity(BaseModel):
    """Two relationships lead here."""

    name: Mapped[str]


class ShapeRoad(BaseModel):
    """It has columns, relationships, a property and a hybrid."""

    name: Mapped[str]
    length: Mapped[int]
    notes: Mapped[str | None]
    story: Mapped[str | None] = mapped_column(deferred=True)
    start_id: Mapped[int] = mapped_column(ForeignKey(ShapeCity.id))
    end_id: Mapped[int] = mapped_column(ForeignKey(ShapeCity.id))
    start: Mapped[ShapeCity] = relationship(foreign_keys=[start_id])
    end: Mapped[ShapeCity] = relationship(foreign_keys=[end_id])
    bridges: Mapped[list[ShapeBridge]] = relationship(order_by="ShapeBridge.name")

    @hybrid_property
    def metres(self) -> int:
        """Its length."""
        return self.length * 1000

    @property
    def title(self) -> str:
        """Its name, for people."""
        return self.name.title()


class ShapeBridge(BaseModel):
    """What lies behind a collection."""

    name: Mapped[str]
    road_id: Mapped[int] = mapped_column(ForeignKey(ShapeRoad.id))
    city_id: Mapped[int | None] = mapped_column(ForeignKey(ShapeCity.id))
    city: Mapped[ShapeCity | None] = relationship()


class CityRead(pydantic.BaseModel):
    name: str


class RoadRead(pydantic.BaseModel):
    name: str
    kilometres: int = pydantic.Field(alias="length")
    colour: str = "grey"


class BridgeRead(pydantic.BaseModel):
    name: str
    city: CityRead | None


class WholeRoad(pydantic.BaseModel):
    name: str
    title: str
    metres: int
    start: CityRead
    end: CityRead
    bridges: list[BridgeRead]


@pytest.fixture
async def roads(db_session: AsyncSession) -> QueryBuilder[ShapeRoad]:
    """Two roads between two cities, one with bridges."""
    lima, ica = ShapeCity(name="Lima"), ShapeCity(name="Ica")
    bridges = [ShapeBridge(name="a", city=lima), ShapeBridge(name="b")]
    db_session.add_all(
        [
            ShapeRoad(name="coast road", length=300, start=lima, end=ica, bridges=bridges),
            ShapeRoad(name="inland", length=400, start=ica, end=lima),
        ]
    )
    await db_session.flush()
    db_session.expunge_all()
    return QueryBuilder(ShapeRoad).order_by("name")


async def test_columns(
    roads: QueryBuilder[ShapeRoad], query_log: Any, max_queries: MaxQueries
) -> None:
    """One SELECT of the columns that the model has; an alias is a name too."""
    query_log.clear()
    with max_queries(1):
        found = await roads.as_models(RoadRead)
    assert [("coast road", 300, "grey"), ("inland", 400, "grey")] == [
        (road.name, road.kilometres, road.colour) for road in found
    ]
    assert all("notes" not in sent.text for sent in query_log)


async def test_relationships(roads: QueryBuilder[ShapeRoad], max_queries: MaxQueries) -> None:
    """What the model holds inside is loaded along, however many roads there are."""
    with max_queries(2):
        coast, inland = await roads.as_models(WholeRoad)
    assert {
        "name": "coast road",
        "title": "Coast Road",
        "metres": 300_000,
        "start": {"name": "Lima"},
        "end": {"name": "Ica"},
        "bridges": [{"name": "a", "city": {"name": "Lima"}}, {"name": "b", "city": None}],
    } == coast.model_dump()
    assert [] == inland.bridges


async def test_joins_repeat_nothing(roads: QueryBuilder[ShapeRoad]) -> None:
    """A road with two bridges comes once."""
    found = await roads.join(ShapeRoad.bridges).as_models(RoadRead)
    assert ["coast road"] == [road.name for road in found]


@pytest.mark.usefixtures("roads")
async def test_rows() -> None:
    """Rows of columns and aggregates become models too."""

    class Sum(pydantic.BaseModel):
        total: int

    assert [Sum(total=700)] == await QueryBuilder(ShapeRoad).aggregate(
        total=func.sum(ShapeRoad.length)
    ).as_models(Sum)


async def test_a_field_that_is_not_there(roads: QueryBuilder[ShapeRoad]) -> None:
    """A required field that the mapped class lacks is refused before anything is sent."""

    class Misspelt(pydantic.BaseModel):
        nam: str

    with pytest.raises(UnknownFieldError, match="Did you mean 'name'"):
        await roads.as_models(Misspelt)


async def test_a_value_that_does_not_fit(roads: QueryBuilder[ShapeRoad]) -> None:
    """The error names model, field and rule, without the value."""

    class Short(pydantic.BaseModel):
        length: int = pydantic.Field(lt=350)

    with pytest.raises(QueryError, match=r"Short\.length.*less than 350") as caught:
        await roads.as_models(Short)
    assert "400" not in str(caught.value)


async def test_no_pydantic_model(roads: QueryBuilder[ShapeRoad]) -> None:
    """A mapped class is easily taken for one: both are called BaseModel."""
    model: Any = ShapeRoad
    with pytest.raises(QueryError, match="takes a pydantic model"):
        await roads.as_models(model)


async def test_no_end() -> None:
    """A model that contains itself says no depth."""
    with pytest.raises(ConfigurationError, match="contains itself"):
        await QueryBuilder(ShapeBranch).as_models(BranchRead)


async def test_a_relationship_needs_a_model(roads: QueryBuilder[ShapeRoad]) -> None:
    """A relationship whose field holds no pydantic model is refused."""

    class Wrong(pydantic.BaseModel):
        bridges: list[str]

    with pytest.raises(ConfigurationError, match="bridges is a relationship"):
        await roads.as_models(Wrong)


class ShapeBranch(BaseModel):
    """Branches grow branches."""

    trunk_id: Mapped[int | None] = mapped_column(ForeignKey("shape_branch.id"))
    branches: Mapped[list[ShapeBranch]] = relationship()


class BranchRead(pydantic.BaseModel):
    branches: list[BranchRead]
