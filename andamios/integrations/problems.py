"""
What a client is told when something goes wrong: problem details, as RFC 9457 has them.

A client learns what kind of mistake it was and which fields were wrong. It never gets the
message of the error, which may carry SQL. Errors that are the program's own fault are not
listed, so that they end as status 500 with a traceback in the log.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from andamios import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fastapi import FastAPI
    from fastapi.requests import Request

__all__ = ["MEDIA_TYPE", "Problem", "ProblemError", "document_problems", "install_problems"]

MEDIA_TYPE = "application/problem+json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """
    A kind of mistake.

    Args:
        status: The HTTP status.
        code: What programs call it.
        detail: What people read.
    """

    status: int
    code: str
    detail: str

    def body(self, **facts: Any) -> dict[str, Any]:
        """Give the members of the answer; further facts of None are left out."""
        known = {name: fact for name, fact in facts.items() if fact is not None}
        title = HTTPStatus(self.status).phrase
        members = {"title": title, "status": self.status, "detail": self.detail}
        return {"type": "about:blank", **members, "code": self.code, **known}


class ProblemError(HTTPException):
    """
    A mistake that was found before the database was asked.

    Args:
        problem: Its kind.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status, problem.detail)
        self.problem = problem


INVALID = Problem(422, "invalid_request", "Parts of the request are missing or wrong.")
STALE = Problem(409, "stale_version", "Somebody else changed this first. Read it again.")
OVERTAKEN = Problem(412, STALE.code, STALE.detail)

PROBLEMS: dict[type[Exception], Problem] = {
    errors.NotFoundError: Problem(404, "not_found", "There is no such thing."),
    errors.DuplicateError: Problem(409, "duplicate", "Another one has this value already."),
    errors.ForeignKeyError: Problem(
        409, "reference", "It refers to something that is not there, or is still referred to."
    ),
    errors.ConstraintError: Problem(409, "constraint", "A rule of the stored data is broken."),
    errors.StaleVersionError: STALE,
    errors.FieldValidationError: Problem(422, "invalid_field", "A field has a value it may not."),
    errors.DataError: Problem(
        422, "invalid_value", "A value is of the wrong type, too long or out of range."
    ),
    errors.UnknownFieldError: Problem(
        422, "unknown_field", "A field or an operator was named that does not exist."
    ),
    errors.ConnectionFailedError: Problem(503, "unavailable", "The database cannot be reached."),
    errors.PoolTimeoutError: Problem(503, "overloaded", "There is too much to do at the moment."),
    errors.CircuitOpenError: Problem(503, "unavailable", "The database cannot be reached."),
    errors.DeadlineExceededError: Problem(503, "too_slow", "It took too long and was undone."),
    errors.SerializationError: Problem(503, "conflict", "It collided with another request."),
    errors.DeadlockError: Problem(503, "conflict", "It collided with another request."),
}
"""By the class of the error; a child of a class is answered like it."""


def install_problems(app: FastAPI, retry_after: int) -> None:
    """
    Answer errors of these classes, and requests that FastAPI refuses, as problem details.

    Args:
        app: The application.
        retry_after: Seconds after which a client may repeat what was answered with 503.
    """

    async def answer(request: Request, error: Exception) -> JSONResponse:
        problem = _problem_of(error, request.headers)
        headers = {}
        if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers = {"Retry-After": str(retry_after)}
            logger.warning("%s %s: %s", request.method, request.url.path, error)
        body = problem.body(fields=_fields(error))
        return JSONResponse(body, problem.status, headers, MEDIA_TYPE)

    for kind in (*PROBLEMS, ProblemError):
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(RequestValidationError, _refuse)


def document_problems(app: FastAPI) -> None:
    """Name these answers in the OpenAPI schema of an application, whose routes may come later."""
    generate: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        schema = generate()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", SCHEMA)
        for method, operation in _operations(schema):
            for status in _statuses(method, operation):
                answers = operation["responses"].setdefault(str(status), {})
                answers.setdefault("description", HTTPStatus(status).phrase)
                content = answers.setdefault("content", {})
                content.setdefault(MEDIA_TYPE, CONTENT)
                if content.get("application/json") == REPLACED:
                    del content["application/json"]
        _forget_unused(schema, "HTTPValidationError", "ValidationError")
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "Problem details, as in RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail", "code")},
        "status": {"type": "integer"},
        "fields": {"type": "object", "additionalProperties": {"type": "string"}},
        "errors": {"type": "array", "items": {"type": "object"}, "description": "FastAPI's own."},
    },
}

REPLACED = {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}
"""What FastAPI says of its own answer."""

CONTENT = {"schema": {"$ref": "#/components/schemas/Problem"}}


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    """Say what FastAPI found, without what was sent."""
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    shown = [{name: item[name] for name in item if name != "input"} for item in found]
    body = INVALID.body(errors=jsonable_encoder(shown))
    return JSONResponse(body, INVALID.status, media_type=MEDIA_TYPE)


def _forget_unused(schema: dict[str, Any], *names: str) -> None:
    schemas = schema["components"]["schemas"]
    for name in names:
        if name in schemas and f"'#/components/schemas/{name}'" not in str(schema):
            del schemas[name]


def _problem_of(error: Exception, headers: Mapping[str, str]) -> Problem:
    if isinstance(error, ProblemError):
        return error.problem
    found = next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)
    return OVERTAKEN if found is STALE and "if-match" in headers else found


def _fields(error: Exception) -> dict[str, str] | None:
    """Give what is wrong by field, where that is known and says no values."""
    if isinstance(error, errors.FieldValidationError):
        return {error.field: error.rule}
    if isinstance(error, errors.ConstraintError) and error.columns:
        code = _problem_of(error, {}).code
        return dict.fromkeys(error.columns, code)
    return None


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in schema.get("paths", {}).values():
        for method, operation in path.items():
            if isinstance(operation, dict) and "responses" in operation:
                yield method, operation


def _statuses(method: str, operation: dict[str, Any]) -> Iterator[int]:
    places = {item.get("in") for item in operation.get("parameters", ())}
    names = {item.get("name", "").lower() for item in operation.get("parameters", ())}
    if "path" in places:
        yield 404
    if method not in {"get", "head", "options", "trace"}:
        yield 409
    if "if-match" in names:
        yield from (412, 428)
    if places or "requestBody" in operation:
        yield 422
    yield 503
