"""
Filters and pages as query parameters, with their types in the OpenAPI schema.

A program names the filters that it offers: an open list would let a client feel its way
through columns that are not for it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Query
from fastapi.requests import Request

from andamios.errors import QueryError, UnknownFieldError
from andamios.integrations.problems import Problem, ProblemError
from andamios.integrations.query_names import unknown_names
from andamios.queries.fields import field
from andamios.queries.filters import FilterBuilder
from andamios.queries.parameters import parameter_type

if TYPE_CHECKING:
    from andamios.queries.pages import CursorPage, Page

__all__ = ["CursorParameters", "PageParameters", "filter_parameters"]

T = TypeVar("T")

LARGEST_PAGE = 100

BAD_CURSOR = Problem(422, "invalid_cursor", "The cursor belongs to another list, or was changed.")

Size = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="Results on a page.")]


class Numbered(Protocol[T]):
    """What gives numbered pages: a repository or a query."""

    async def page(self, number: int, size: int) -> Page[T]:
        """Give one page."""


class Continued(Protocol[T]):
    """What gives pages behind a cursor: a repository or a query."""

    async def page_after(self, cursor: str | None, size: int) -> CursorPage[T]:
        """Give the page at a cursor."""


class PageParameters:
    """
    ``page`` and ``size`` as query parameters.

    Use as a dependency: ``Annotated[PageParameters, Depends()]``. ``Page[UserRead]`` is the
    response model for what :meth:`of` gives.

    Example:
        >>> from andamios.integrations.fastapi import PageParameters
        >>> PageParameters(page=3, size=20).number
        3
    """

    def __init__(
        self,
        page: Annotated[int, Query(ge=1, le=2**31, description="Which page, from 1.")] = 1,
        size: Size = 50,
    ) -> None:
        self.number = page
        self.size = size

    async def of(self, source: Numbered[T]) -> Page[T]:
        """Give the page of a query, or of all that a repository has."""
        return await source.page(self.number, self.size)


class CursorParameters:
    """
    ``cursor`` and ``size`` as query parameters.

    Use as a dependency: ``Annotated[CursorParameters, Depends()]``. ``CursorPage[UserRead]``
    is the response model for what :meth:`of` gives.

    Example:
        >>> from andamios.integrations.fastapi import CursorParameters
        >>> CursorParameters(size=20).size
        20
    """

    def __init__(
        self,
        cursor: Annotated[str | None, Query(description="From the page before.")] = None,
        size: Size = 50,
    ) -> None:
        self.cursor = cursor
        self.size = size

    async def of(self, source: Continued[T]) -> CursorPage[T]:
        """
        Give the page of a query, or of all that a repository has.

        Raises:
            HTTPException: 422, when the cursor is not one of this list.
        """
        try:
            return await source.page_after(self.cursor, self.size)
        except QueryError as error:
            is_refused_here = type(error) is QueryError and error.statement is None
            if self.cursor is None or not is_refused_here:
                raise
            raise ProblemError(BAD_CURSOR) from error


def filter_parameters(model: type[Any], *names: str, search: tuple[str, ...] = ()) -> Any:
    """
    Offer filters as query parameters; a dependency that gives a ``FilterBuilder``.

    A query parameter that nothing on the route declares is answered with 422: a misspelt
    filter would give everything. What a handler reads from ``request.query_params`` must
    thus be declared as well.

    Args:
        model: The mapped class.
        names: As in a dict of filters: ``"age__gte"``, ``"name__contains"``,
            ``"profile.city"``, ``"id__in"`` (repeated in a URL for several values).
        search: Text fields in any of which the parameter ``q`` has to be found.

    Returns:
        What stands in an annotation: ``Annotated[FilterBuilder, filter_parameters(User, …)]``.

    Raises:
        UnknownFieldError: No such field or operator.

    Example:
        >>> from sqlalchemy import Integer
        >>> from sqlalchemy.orm import mapped_column
        >>> from andamios import BaseModel
        >>> from andamios.integrations.fastapi import filter_parameters
        >>> class Wharf(BaseModel):
        ...     depth = mapped_column(Integer)
        >>> filter_parameters(Wharf, "depth__gte", "depth__lte").scope is None
        True
    """
    offered = {name: parameter_type(model, name) for name in names}
    for name in search:
        field(model, name)
    if search:
        offered["q"] = str
    keys = {f"value_{number}": name for number, name in enumerate(offered)}

    async def read(request: Request, **given: Any) -> FilterBuilder:
        _refuse_unknown(model, request)
        values = {keys[key]: value for key, value in given.items() if value is not None}
        text = values.pop("q", None) if search else None
        filters = FilterBuilder(model).from_dict(values)
        if text:
            parts = (FilterBuilder(model).contains(n, text, ignore_case=True) for n in search)
            filters.or_(*parts)
        return filters

    read.__signature__ = _signature(keys, offered)  # type: ignore[attr-defined]  # Python's own
    return Depends(read)


def _signature(keys: dict[str, str], offered: dict[str, Any]) -> inspect.Signature:
    """Write down the parameters as FastAPI reads them."""
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("request", kind, annotation=Request)]
    for key, name in keys.items():
        annotation: Any = Annotated[offered[name] | None, Query(alias=name)]
        parameters.append(inspect.Parameter(key, kind, default=None, annotation=annotation))
    return inspect.Signature(parameters)


def _refuse_unknown(model: type[Any], request: Request) -> None:
    """Refuse a misspelt filter, which would otherwise give everything."""
    for name in unknown_names(request):
        raise UnknownFieldError(f"Filter {name!r:.60} of {model.__name__} is not offered.")
