"""Filters from the query string of a URL: what is offered, and what texts mean."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship
from starlette.datastructures import QueryParams

from andamios import (
    BaseModel,
    ConfigurationError,
    DataError,
    FilterBuilder,
    GenericRepository,
    UnknownFieldError,
)
from andamios.queries.parameters import filters_of

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class UrlColour(enum.Enum):
    """Its values are what a URL says."""

    RED = "red"
    BLUE = "blue"


class UrlMaker(BaseModel):
    """The other side of a relationship."""

    city: Mapped[str]
    kites: Mapped[list[UrlKite]] = relationship(back_populates="maker")


class UrlKite(BaseModel):
    """One column of each type that has texts."""

    name: Mapped[str | None]
    tails: Mapped[int | None]
    price: Mapped[Decimal | None]
    flies: Mapped[bool | None]
    colour: Mapped[UrlColour | None]
    made_at: Mapped[dt.datetime | None]
    code: Mapped[uuid.UUID | None]
    notes: Mapped[dict[str, Any] | None]
    maker_id: Mapped[int | None] = mapped_column(ForeignKey(UrlMaker.id))
    maker: Mapped[UrlMaker | None] = relationship(back_populates="kites")


CODE = "0193f0a2-7f60-7000-8000-000000000000"

TEXTS: dict[str, tuple[str, Any]] = {
    "name": ("name=a%25b", "a%b"),
    "name ": ("name=", ""),
    "tails__gte": ("tails__gte=18", 18),
    "price__lt": ("price__lt=1.10", Decimal("1.10")),
    "flies": ("flies=true", True),
    "colour": ("colour=blue", UrlColour.BLUE),
    "made_at__gt": (
        "made_at__gt=2026-01-02T03:04:05Z",
        dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
    ),
    "code": (f"code={CODE}", uuid.UUID(CODE)),
    "tails__in": ("tails__in=1&tails__in=2", [1, 2]),
    "tails__between": ("tails__between=1&tails__between=2", [1, 2]),
    "tails__is_null": ("tails__is_null=false", False),
    "maker__is_null": ("?maker__is_null=1", True),
    "maker.city": ("maker.city=Lima", "Lima"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_become_values(name: str) -> None:
    """A text is read as a value of its column."""
    url, expected = TEXTS[name]
    assert {name.strip(): expected} == filters_of(UrlKite, url, (name.strip(),), ())


@pytest.mark.parametrize(
    "params",
    [
        "tails__in=1&tails__in=2",
        {"tails__in": ["1", "2"]},
        [("tails__in", "1"), ("tails__in", "2")],
        QueryParams("tails__in=1&tails__in=2"),
    ],
)
async def test_every_form(engine: AndamiosEngine, params: Any) -> None:
    """A query string, a mapping, pairs and Starlette's own say the same."""
    kites = GenericRepository[UrlKite](engine)
    await kites.create_many({"tails": number} for number in range(4))
    filters = FilterBuilder(UrlKite).from_query_params(params, "tails__in")
    assert [1, 2] == sorted(kite.tails or 0 for kite in await kites.list(filters))


@pytest.mark.parametrize(
    "url", ["tails=many", "colour=green", "code=nothing", "made_at__gt=2026-01-02"]
)
def test_no_value_of_its_column(url: str) -> None:
    """A text that means nothing there is refused, and not repeated."""
    name, _, text = url.partition("=")
    with pytest.raises(DataError, match=f"Filter '{name}' of UrlKite") as caught:
        FilterBuilder(UrlKite).from_query_params(url, name)
    assert text not in str(caught.value)


def test_two_values_for_one() -> None:
    """A filter that takes one value is not given the last of two in silence."""
    with pytest.raises(DataError, match="takes one value, not 2"):
        FilterBuilder(UrlKite).from_query_params("tails=1&tails=2", "tails")


@pytest.mark.parametrize("url", ["tail=1", "tails=1", "maker.city=Lima"])
def test_what_is_not_offered(url: str) -> None:
    """A column that nobody offered is out of reach, and a misspelt filter gives no everything."""
    with pytest.raises(UnknownFieldError, match="is not offered"):
        FilterBuilder(UrlKite).from_query_params(url, "tails__gte")


def test_somebody_elses_parameters() -> None:
    """A page's number is not a filter."""
    url = "page=2&tails=1"
    filters = FilterBuilder(UrlKite).from_query_params(url, "tails", ignore={"page", "size"})
    assert 1 == len(filters.conditions)


def test_names_are_checked() -> None:
    """What a program offers has to be there, and to have texts."""
    with pytest.raises(UnknownFieldError):
        FilterBuilder(UrlKite).from_query_params("tail=1", "tail")
    with pytest.raises(UnknownFieldError):
        FilterBuilder(UrlKite).from_query_params("maker=1", "maker")
    with pytest.raises(ConfigurationError):
        FilterBuilder(UrlKite).from_query_params("notes=1", "notes")


def test_a_whole_url() -> None:
    """The query of a URL is what counts."""
    for url in ("https://example.org/kites?tails=1", "/kites?tails=1", "?tails=1"):
        assert {"tails": 1} == filters_of(UrlKite, url, ("tails",), ())


def test_what_is_offered_is_checked_at_once() -> None:
    """A misspelt offer is found before a client uses it."""
    with pytest.raises(UnknownFieldError, match="tails"):
        FilterBuilder(UrlKite).from_query_params("", "tailz__gte")
