"""Which of the data: queries, filters and pages."""

from andamios.queries.builder import QueryBuilder
from andamios.queries.filters import FilterBuilder
from andamios.queries.pages import CursorPage, Page

__all__ = ["CursorPage", "FilterBuilder", "Page", "QueryBuilder"]
