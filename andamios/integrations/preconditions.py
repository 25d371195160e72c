"""
ETag, If-Match and If-None-Match: HTTP's own optimistic lock, on versioned models.

The version of a row is its tag. A handler reads the row, has the precondition checked and
writes; the UPDATE compares the version that was read, so that whoever came in between is
found out too, and answered alike. Source: RFC 9110, sections 8.8.3 and 13.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import pydantic
from fastapi import Header, HTTPException
from fastapi.requests import Request  # noqa: TC002  FastAPI reads the annotation
from fastapi.responses import Response  # noqa: TC002

from andamios.errors import ConfigurationError
from andamios.integrations.problems import OVERTAKEN, Problem, ProblemError
from andamios.queries.fields import mapper_of
from andamios.queries.values import python_type

__all__ = ["Preconditions", "RequiredPreconditions", "etag"]

TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
TAGS = re.compile(rf"{TAG.pattern}(?:[ \t]*,[ \t]*{TAG.pattern})*")

MALFORMED = Problem(400, "malformed_precondition", 'A tag is a text in quotes, such as "3", or *.')
REQUIRED = Problem(428, "precondition_required", "Send If-Match with the tag that was read.")

IF_MATCH = Header(description="Do it only if the thing still has one of these tags.")
IF_NONE_MATCH = Header(description="Do it only if the thing has none of these tags.")


def etag(entity: object) -> str:
    """
    Give the tag of an object: its version.

    It says nothing of other objects: an answer that holds them too, as relationships, may
    change while this stays.

    Raises:
        ConfigurationError: Its model has no version.

    Example:
        >>> from andamios import BaseModel, VersioningMixin
        >>> from andamios.integrations.fastapi import etag
        >>> class Berth(VersioningMixin, BaseModel):
        ...     pass
        >>> etag(Berth(version=3))
        '"3"'
    """
    return f'"{getattr(entity, _version(type(entity))[0])}"'


class Preconditions:
    """
    The preconditions of a request.

    Use as a dependency: ``Annotated[Preconditions, Depends()]``. For writes that must name
    the version they rely on there is :class:`RequiredPreconditions`.

    Example:
        >>> from typing import Annotated
        >>> from fastapi import Depends, FastAPI
        >>> from andamios.integrations.fastapi import Preconditions
        >>> app = FastAPI()
        >>> @app.put("/berths/{id}")
        ... async def rename(id: int, conditions: Annotated[Preconditions, Depends()]) -> None:
        ...     pass  # berth = await berths.get_one(id); conditions.check(berth); ...
        >>> [p["name"] for p in app.openapi()["paths"]["/berths/{id}"]["put"]["parameters"]]
        ['id', 'if-match', 'if-none-match']
    """

    is_required = False

    def __init__(
        self,
        request: Request,
        response: Response,
        if_match: Annotated[str | None, IF_MATCH] = None,
        if_none_match: Annotated[str | None, IF_NONE_MATCH] = None,
    ) -> None:
        if self.is_required and if_match is None:
            raise ProblemError(REQUIRED)
        self._reads = request.method in {"GET", "HEAD"}
        self._response = response
        self._match = _tags(if_match)
        self._none_match = _tags(if_none_match)

    def check(self, entity: object | None) -> None:
        """
        Go on only if the preconditions hold, and send the object's tag with the answer.

        Args:
            entity: What the request is about; None if there is no such thing yet.

        Raises:
            HTTPException: 412, or 304 for a read of what the client has already.
        """
        tag = None if entity is None else etag(entity)
        if self._match is not None and not _matches(self._match, tag, is_strong=True):
            raise ProblemError(OVERTAKEN)
        if self._none_match is not None and _matches(self._none_match, tag):
            if self._reads:
                raise HTTPException(304, headers={"ETag": tag} if tag else None)
            raise ProblemError(OVERTAKEN)
        if tag is not None:
            self._response.headers["ETag"] = tag

    def written(self, entity: object) -> None:
        """Send the tag that an object has now, after it was stored."""
        self._response.headers["ETag"] = etag(entity)

    def expected_version(self, model: type[Any]) -> Any:
        """
        Give the version that If-Match names, to be compared by the write itself.

        Args:
            model: For instance for ``users.update_many([{"id": 5, "version": …}])``.

        Returns:
            The version; None when any will do.

        Raises:
            HTTPException: 412, if the tag can be no version of this model; 400, if there
                are several.
        """
        kind = _version(model)[1]
        if self._match is None or "*" in self._match:
            return None
        if len(self._match) > 1:
            raise ProblemError(MALFORMED)
        tag = next(iter(self._match))
        try:
            return pydantic.TypeAdapter[Any](kind).validate_python(tag.strip('"'))
        except pydantic.ValidationError:
            raise ProblemError(OVERTAKEN) from None


class RequiredPreconditions(Preconditions):
    """
    Preconditions of a write that is refused with 428 when it sends no If-Match.

    Example:
        >>> from andamios.integrations.fastapi import Preconditions, RequiredPreconditions
        >>> issubclass(RequiredPreconditions, Preconditions)
        True
    """

    is_required = True


def _version(model: type[Any]) -> tuple[str, Any]:
    mapper = mapper_of(model)
    column = mapper.version_id_col
    if column is None:
        raise ConfigurationError(
            f"{model.__name__} has no version, which a tag is made of. Add VersioningMixin."
        )
    return mapper.get_property_by_column(column).key, python_type(column.type) or str


def _tags(header: str | None) -> frozenset[str] | None:
    if header is None:
        return None
    if header.strip() == "*":
        return frozenset("*")
    if not TAGS.fullmatch(header.strip()):
        raise ProblemError(MALFORMED)
    return frozenset(found.group() for found in TAG.finditer(header))


def _matches(tags: frozenset[str], tag: str | None, *, is_strong: bool = False) -> bool:
    if tag is None:
        return False
    if "*" in tags:
        return True
    # A weak tag stands for something similar, which is not enough to write upon.
    return tag in (tags if is_strong else {item.removeprefix("W/") for item in tags})
