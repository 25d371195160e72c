"""ETag, If-Match and If-None-Match, on a versioned model."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from fastapi.requests import Request
from fastapi.responses import Response

from andamios import AndamiosEngine, ConfigurationError
from andamios.integrations.fastapi import Preconditions, etag
from tests.integrations.application import ApiBook, ApiShelf


@pytest.fixture
async def book(client: httpx.AsyncClient) -> str:
    """A book, by its path."""
    created = await client.post("/books", json={"title": "a"})
    return f"/books/{created.json()['id']}"


async def test_a_read_sends_the_tag(client: httpx.AsyncClient, book: str) -> None:
    """The tag is the version."""
    assert '"1"' == (await client.get(book)).headers["etag"]


@pytest.mark.parametrize("tags", ['"1"', 'W/"1"', '"0", "1"', "*"])
async def test_what_the_client_has_is_not_sent_again(
    client: httpx.AsyncClient, book: str, tags: str
) -> None:
    """If-None-Match compares weakly, and 304 has no body."""
    answer = await client.get(book, headers={"If-None-Match": tags})
    assert (304, b"", '"1"') == (answer.status_code, answer.content, answer.headers["etag"])


async def test_what_the_client_has_not_is_sent(client: httpx.AsyncClient, book: str) -> None:
    """An older tag gets the whole thing."""
    answer = await client.get(book, headers={"If-None-Match": '"0"'})
    assert (200, "a") == (answer.status_code, answer.json()["title"])


@pytest.mark.parametrize("tags", ['"1"', '"7" , "1"', "*"])
async def test_a_write_with_the_right_tag(client: httpx.AsyncClient, book: str, tags: str) -> None:
    """It is done, and the answer has the new tag."""
    answer = await client.put(book, json={"title": "b"}, headers={"If-Match": tags})
    assert (200, '"2"') == (answer.status_code, answer.headers["etag"])
    assert '"2"' == (await client.get(book)).headers["etag"]


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ('"2"', 412),
        ('W/"1"', 412),  # a weak tag is not enough to write upon
        ('"x"', 412),
        ("1", 400),
        ('"1', 400),
        ("", 400),
        ('"1" "2"', 400),
        ('"1", ' * 2000 + "!", 400),
    ],
)
async def test_a_write_with_another_tag(
    client: httpx.AsyncClient, book: str, tags: str, status: int
) -> None:
    """A stale tag is 412 and a malformed one 400, quickly; nothing is written."""
    answer = await client.put(book, json={"title": "b"}, headers={"If-Match": tags})
    assert status == answer.status_code
    assert "a" == (await client.get(book)).json()["title"]


async def test_a_write_without_a_tag(client: httpx.AsyncClient, book: str) -> None:
    """Where a tag is required it is 428, elsewhere the write is done."""
    assert 428 == (await client.put(book, json={"title": "b"})).status_code
    assert 200 == (await client.patch(book, json={"title": "b"})).status_code


async def test_whoever_comes_in_between_is_found_out(
    app: FastAPI, client: httpx.AsyncClient, engine: AndamiosEngine, book: str, backend: str
) -> None:
    """The tag was right when it was checked and is not when the row is written: 412."""
    if backend == "sqlite":
        pytest.skip("SQLite lets nobody in between")
    headers = {"If-Match": '"1"'}
    slow = asyncio.create_task(client.put(book, json={"title": "raced"}, headers=headers))
    await app.state.gate.reached.wait()
    assert 200 == (await client.patch(book, json={"title": "first"})).status_code
    app.state.gate.opened.set()
    assert 412 == (await slow).status_code
    assert "first" == (await client.get(book)).json()["title"]
    assert 0 == engine.connections.stats().in_use


@pytest.mark.parametrize(
    ("tags", "status"),
    [('"1"', 200), ("*", 200), ('"2"', 412), ('"x"', 412), ('"1", "2"', 400)],
)
async def test_the_expected_version_goes_into_the_write(
    client: httpx.AsyncClient, book: str, tags: str, status: int
) -> None:
    """``expected_version`` gives what update_many compares."""
    answer = await client.post(f"{book}/title/b", headers={"If-Match": tags})
    assert status == answer.status_code


def conditions(method: str, **headers: str | None) -> tuple[Preconditions, Response]:
    request = Request({"type": "http", "method": method, "headers": []})
    response = Response()
    return Preconditions(request, response, **headers), response


def test_only_what_is_not_there_is_made() -> None:
    """``If-None-Match: *`` creates and never overwrites; If-Match never creates."""
    conditions("PUT", if_none_match="*")[0].check(None)
    with pytest.raises(Exception, match="Somebody else"):
        conditions("PUT", if_none_match="*")[0].check(ApiBook(version=1))
    with pytest.raises(Exception, match="Somebody else"):
        conditions("PUT", if_match="*")[0].check(None)


def test_a_model_without_versions_has_no_tag() -> None:
    """The error says what to add."""
    with pytest.raises(ConfigurationError, match="VersioningMixin"):
        etag(ApiShelf(name="x"))
