"""Filters and pages as query parameters."""

from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Mapped

from andamios import AndamiosEngine, BaseModel, ConfigurationError, UnknownFieldError
from andamios.integrations.fastapi import filter_parameters
from tests.integrations.application import ApiBook, make_app


class ApiParcel(BaseModel):
    content: Mapped[dict[str, Any]]


@pytest.fixture
async def titles(client: httpx.AsyncClient) -> dict[str, int]:
    """Five books: their keys by title."""
    found = {}
    for number, title in enumerate(["a", "b", "c", "d", "100%"]):
        pages = None if title == "d" else number * 10
        answer = await client.post("/books", json={"title": title, "pages": pages})
        found[title] = answer.json()["id"]
    return found


async def listed(client: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await client.get("/books", params=query)
    assert 200 == answer.status_code, answer.text
    return [item["title"] for item in answer.json()["items"]]


async def test_filters(client: httpx.AsyncClient, titles: dict[str, int]) -> None:
    """Each parameter filters, all that are given must hold."""
    assert ["b", "c"] == [t for t in await listed(client, pages__gte=10) if t != "100%"]
    assert ["c"] == await listed(client, pages__gte=10, title="c")
    assert ["a", "b"] == await listed(client, id__in=[titles["a"], titles["b"]])
    assert ["d"] == await listed(client, pages__is_null="true")
    assert ["100%"] == await listed(client, q="0%")
    assert 5 == len(await listed(client))


@pytest.mark.parametrize(
    "query", [{"pages__gte": "many"}, {"pages__gt": 1}, {"titel__eq": "a"}, {"page": 0}]
)
async def test_wrong_filters_are_refused(client: httpx.AsyncClient, query: dict[str, Any]) -> None:
    """A wrong value, and a filter that is not offered, are 422 and never mean everything."""
    assert 422 == (await client.get("/books", params=query)).status_code


async def test_numbered_pages(client: httpx.AsyncClient, titles: dict[str, int]) -> None:
    """A page is sent with its total."""
    answer = await client.get("/books", params={"page": 2, "size": 2})
    page = answer.json()
    assert ["b", "c"] == [item["title"] for item in page.pop("items")]
    assert {"total": len(titles), "number": 2, "size": 2} == page
    assert 422 == (await client.get("/books", params={"size": 101})).status_code


async def test_continued_pages(client: httpx.AsyncClient, titles: dict[str, int]) -> None:
    """Cursors lead through everything and back."""
    seen: list[str] = []
    query: dict[str, Any] = {"size": 2}
    while True:
        page = (await client.get("/continued", params=query)).json()
        seen += [item["title"] for item in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert list(titles) == seen
    assert page["previous"] is not None


async def test_a_wrong_cursor_is_refused(client: httpx.AsyncClient) -> None:
    """A cursor that was made up is the client's mistake."""
    answer = await client.get("/continued", params={"cursor": "nonsense"})
    assert (422, "invalid_cursor") == (answer.status_code, answer.json()["code"])


def test_the_schema_has_their_types() -> None:
    """Names and types of the parameters stand in the OpenAPI schema, and pages as models."""
    schema = make_app(AndamiosEngine("sqlite://")).openapi()
    operation = schema["paths"]["/books"]["get"]
    types = {item["name"]: item["schema"] for item in operation["parameters"]}
    assert {"pages__gte", "title", "id__in", "pages__is_null", "q", "page", "size"} == types.keys()
    assert {"type": "integer"} in types["pages__gte"]["anyOf"]
    assert {"type": "array", "items": {"type": "integer"}} in types["id__in"]["anyOf"]
    assert {"type": "boolean"} in types["pages__is_null"]["anyOf"]
    assert 100 == types["size"]["maximum"]
    assert {"Page_ApiBookRead_", "CursorPage_ApiBookRead_"} <= schema["components"][
        "schemas"
    ].keys()


def test_what_cannot_be_offered_is_refused_at_the_start() -> None:
    """Misspelt fields and columns without simple values are found when the program starts."""
    with pytest.raises(UnknownFieldError):
        filter_parameters(ApiBook, "titel")
    with pytest.raises(UnknownFieldError):
        filter_parameters(ApiBook, search=("titel",))
    with pytest.raises(ConfigurationError):
        filter_parameters(ApiParcel, "content")
