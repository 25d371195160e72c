"""Filters and pages as query parameters."""

from typing import Annotated, Any

import httpx
import pydantic
import pytest
from fastapi import APIRouter, Depends, FastAPI, Query, Security
from fastapi.security import APIKeyQuery
from sqlalchemy.orm import Mapped

from andamios import (
    AndamiosEngine,
    BaseModel,
    ConfigurationError,
    FilterBuilder,
    UnknownFieldError,
)
from andamios.integrations.fastapi import FastAPIIntegration, filter_parameters
from tests.integrations.application import ApiBook, BookRead, make_app


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
    "query",
    [{"pages__gte": "many"}, {"pages__gt": 1}, {"titel__eq": "a"}, {"titel": "a"}, {"page": 0}],
)
async def test_wrong_filters_are_refused(client: httpx.AsyncClient, query: dict[str, Any]) -> None:
    """A wrong value, and a filter that is not offered, are 422 and never mean everything."""
    assert 422 == (await client.get("/books", params=query)).status_code


async def test_what_a_route_declares_is_known(engine: AndamiosEngine) -> None:
    """By its handler, by models, dependencies, keys, and where its router is included."""

    class Shown(pydantic.BaseModel):
        width: int = 1
        height: int = pydantic.Field(default=1, alias="tall")
        depth: int = pydantic.Field(default=1, validation_alias=pydantic.AliasChoices("d", "deep"))

    async def language(lang: str = "en") -> str:
        return lang

    router = APIRouter()

    @router.get("/", dependencies=[filter_parameters(ApiBook, "title")])
    async def read(
        filters: Annotated[FilterBuilder, filter_parameters(ApiBook, "pages__gte")],
        shown: Annotated[Shown, Query()],
        key: Annotated[str, Security(APIKeyQuery(name="key"))],
        named: Annotated[int, Query(alias="call-it")] = 1,
        plain: bool = False,
    ) -> None:
        pass

    app = FastAPI()
    FastAPIIntegration(engine).install(app)
    app.include_router(router, prefix="/in", dependencies=[Depends(language)])
    known = {"title": "a", "pages__gte": 1, "width": 1, "tall": 1, "deep": 1, "key": "k"}
    known |= {"call-it": 1, "plain": "true", "lang": "es"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        answer = await client.get("/in/", params=known)
        assert 200 == answer.status_code, answer.text
        for wrong in ("titel", "height", "named", "filters", "shown", "value_0"):
            answer = await client.get("/in/", params={**known, wrong: 1})
            assert (422, "unknown_field") == (answer.status_code, answer.json()["code"])


async def test_a_model_that_takes_any_name_is_left_alone() -> None:
    """Who asks for all parameters there are gets them."""

    class Anything(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")

    app = FastAPI()

    @app.get("/", dependencies=[filter_parameters(ApiBook, "title")])
    async def read(rest: Annotated[Anything, Query()]) -> Any:
        return rest.model_extra

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert "1" == (await client.get("/", params={"more": 1})).json()["more"]


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


@pytest.mark.parametrize("path", ["/books", "/continued"])
@pytest.mark.usefixtures("titles")
async def test_items_are_what_the_schema_says(client: httpx.AsyncClient, path: str) -> None:
    """Objects on a page go through the schema, with its fields in its order."""
    page = (await client.get(path)).json()
    assert {tuple(BookRead.model_fields)} == {tuple(item) for item in page["items"]}


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
