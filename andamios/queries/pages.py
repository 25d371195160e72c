"""What a page of results is; how it is read is in ``paging`` and ``keyset``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

__all__ = ["CursorPage", "Page"]

T = TypeVar("T")

AS_SCHEMA: dict[str, Any] = {"revalidate_instances": "always"}
"""Makes ``Page[UserRead]`` as a response turn objects into schemas, and not pass them through."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """
    A numbered page of results.

    Args:
        items: What is on the page.
        total: How many results there are on all pages.
        number: Which page this is, from 1.
        size: How many results a full page has.

    Example:
        >>> from andamios import Page
        >>> page = Page(["a", "b"], total=5, number=1, size=2)
        >>> page.pages, page.has_next, page.has_previous
        (3, True, False)
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = AS_SCHEMA

    items: list[T]
    total: int
    number: int
    size: int

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return -(-self.total // self.size)

    @property
    def has_next(self) -> bool:
        """Whether a page comes after this one."""
        return self.number < self.pages

    @property
    def has_previous(self) -> bool:
        """Whether a page that is not empty comes before this one."""
        return self.number > 1 and self.total > 0


@dataclass(frozen=True, slots=True)
class CursorPage(Generic[T]):
    """
    A page of results with the cursors to its neighbours.

    Args:
        items: What is on the page.
        next: The cursor of the page behind it; None at the end.
        previous: The cursor of the page before it; None at the beginning.

    Example:
        >>> from andamios import CursorPage
        >>> CursorPage(["a"], next=None, previous=None).items
        ['a']
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = AS_SCHEMA

    items: list[T]
    next: str | None
    previous: str | None
