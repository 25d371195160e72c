"""Answers to errors: the right status, problem details without SQL or values, and the schema."""

import logging
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from andamios import AndamiosEngine, errors
from andamios.integrations.fastapi import FastAPIIntegration
from andamios.integrations.problems import MEDIA_TYPE
from tests.integrations.application import make_app

JSON = {"Content-Type": "application/json"}
SECRET = "SELECT secret"

ANSWERS: list[tuple[Exception, int]] = [
    (errors.NotFoundError(SECRET), 404),
    (errors.DuplicateError(SECRET, columns=("email",)), 409),
    (errors.ForeignKeyError(SECRET), 409),
    (errors.NotNullError(SECRET), 409),
    (errors.CheckViolationError(SECRET), 409),
    (errors.ConstraintError(SECRET), 409),
    (errors.StaleVersionError(SECRET, expected=1, actual=2), 409),
    (errors.FieldValidationError("User", "age", "must be positive", SECRET), 422),
    (errors.DataError(SECRET), 422),
    (errors.UnknownFieldError(SECRET), 422),
    (errors.ConnectionFailedError(SECRET), 503),
    (errors.PoolTimeoutError(SECRET), 503),
    (errors.CircuitOpenError(SECRET), 503),
    (errors.SerializationError(SECRET), 503),
    (errors.DeadlockError(SECRET), 503),
    (errors.DeadlineExceededError(SECRET), 503),
]

OWN_FAULTS = [
    errors.ConfigurationError(SECRET),
    errors.LazyLoadError("User", "posts"),
    errors.UnscopedWriteError(SECRET),
    errors.CommitOutcomeUnknownError(SECRET),
    errors.ReadOnlyError(SECRET),
    errors.QueryError(SECRET),
]


async def answer_to(error: Exception, **headers: str) -> httpx.Response:
    """Let a handler raise an error."""
    integration = FastAPIIntegration(AndamiosEngine("sqlite://"), retry_after=7)
    app = FastAPI()
    integration.install(app)

    @app.post("/")
    async def fail() -> None:
        raise error

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        return await client.post("/", headers=headers)


@pytest.mark.parametrize(("error", "status"), ANSWERS, ids=lambda item: type(item).__name__)
async def test_an_error_has_its_status(error: Exception, status: int) -> None:
    """The body is problem details that say neither SQL nor values."""
    answer = await answer_to(error)
    assert (status, MEDIA_TYPE) == (answer.status_code, answer.headers["content-type"])
    body = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= body.keys()
    assert status == body["status"]
    assert SECRET not in answer.text
    assert ("7" if status == 503 else None) == answer.headers.get("retry-after")


@pytest.mark.parametrize("error", OWN_FAULTS, ids=lambda item: type(item).__name__)
async def test_a_fault_of_the_program_is_none_of_the_client(error: Exception) -> None:
    """It ends as status 500 without details, and is raised for the server's log."""
    answer = await answer_to(error)
    assert (500, "Internal Server Error") == (answer.status_code, answer.text)


async def test_fields_are_named() -> None:
    """A client learns which fields were wrong, and why."""
    answer = await answer_to(errors.FieldValidationError("User", "age", "too small", 5))
    assert {"age": "too small"} == answer.json()["fields"]
    answer = await answer_to(errors.DuplicateError("", columns=("email",)))
    assert {"email": "duplicate"} == answer.json()["fields"]


async def test_a_stale_version_with_if_match_is_a_failed_precondition() -> None:
    """412 answers a condition that the client named, 409 a conflict that it did not."""
    stale = errors.StaleVersionError("", expected=1, actual=2)
    assert 412 == (await answer_to(stale, **{"If-Match": '"1"'})).status_code


async def test_a_refused_request_is_answered_alike(client: httpx.AsyncClient) -> None:
    """What FastAPI refuses is problem details too, with its errors and without what was sent."""
    answers = [
        await client.get("/books", params={"pages__gte": "hunter2"}),
        await client.post("/books", json={"title": "a", "pages": "hunter2"}),
        await client.post("/books", json={"pages": 5}),
        await client.post("/books", content=b'{"title": hunter2', headers=JSON),
    ]
    for answer in answers:
        body = answer.json()
        assert (422, MEDIA_TYPE) == (answer.status_code, answer.headers["content-type"])
        assert (422, "invalid_request") == (body["status"], body["code"])
        assert "hunter2" not in answer.text
    places = [[error["loc"] for error in answer.json()["errors"]] for answer in answers]
    assert [["query", "pages__gte"]] == places[0]
    assert [["body", "pages"]] == places[1]
    [missing] = answers[2].json()["errors"]
    assert {"type": "missing", "loc": ["body", "title"], "msg": "Field required"} == missing


async def test_what_is_unavailable_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The operator reads the whole message, which the client does not get."""
    with caplog.at_level(logging.WARNING, "andamios.integrations"):
        await answer_to(errors.ConnectionFailedError("refused by 10.0.0.1"))
    assert ["POST /: refused by 10.0.0.1"] == caplog.messages


async def test_a_lost_server_is_503() -> None:
    """An engine whose server is not there answers 503 at the first statement."""
    engine = AndamiosEngine("postgresql://nobody:none@127.0.0.1:1/none", uvloop=False)
    transport = httpx.ASGITransport(make_app(engine), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert 503 == (await client.post("/books", json={"title": "a"})).status_code
    await engine.close()


async def test_real_mistakes_get_their_status(client: httpx.AsyncClient) -> None:
    """What the databases refuse comes out alike on all of them."""
    assert 201 == (await client.post("/books", json={"title": "a"})).status_code
    answers: list[tuple[int, Any]] = [
        (409, await client.post("/books", json={"title": "a"})),
        (409, await client.post("/books", json={"title": "b", "shelf_id": 999})),
        (422, await client.post("/books", json={"title": "b", "pages": -1})),
        (422, await client.post("/books", json={"title": "b" * 256})),
        (422, await client.post("/books", json={"title": "b", "pages": 2**70})),
        (404, await client.get("/books/999999")),
    ]
    for status, answer in answers:
        assert status == answer.status_code, answer.text
    assert "insert" not in answers[0][1].text.lower()


def test_the_schema_names_the_answers() -> None:
    """The OpenAPI schema has them for each operation where they can happen."""
    schema = make_app(AndamiosEngine("sqlite://")).openapi()
    paths = schema["paths"]

    def statuses(path: str, method: str) -> set[str]:
        return set(paths[path][method]["responses"])

    assert {"200", "404", "412", "422", "428", "503"} == statuses("/books/{key}", "get")
    assert {"200", "404", "409", "412", "422", "428", "503"} == statuses("/books/{key}", "put")
    assert {"201", "409", "422", "503"} == statuses("/books", "post")
    content = paths["/books"]["post"]["responses"]["409"]["content"]
    assert {"$ref": "#/components/schemas/Problem"} == content[MEDIA_TYPE]["schema"]
    refused = paths["/books"]["post"]["responses"]["422"]["content"]
    assert {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}} == refused
    assert "errors" in schema["components"]["schemas"]["Problem"]["properties"]
    assert "HTTPValidationError" not in str(schema)
