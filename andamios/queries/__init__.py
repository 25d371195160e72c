"""Which of the data: queries, filters, pages, and how the database answers them."""

from andamios.queries.builder import QueryBuilder
from andamios.queries.filters import FilterBuilder
from andamios.queries.indexes.suggestion import IndexProof, IndexSuggestion
from andamios.queries.optimizer import QueryOptimizer
from andamios.queries.pages import CursorPage, Page
from andamios.queries.planning.plan import QueryPlan
from andamios.queries.short import QueryPath
from andamios.queries.watching import RepeatedQuery, Watch

__all__ = [
    "CursorPage",
    "FilterBuilder",
    "IndexProof",
    "IndexSuggestion",
    "Page",
    "QueryBuilder",
    "QueryOptimizer",
    "QueryPath",
    "QueryPlan",
    "RepeatedQuery",
    "Watch",
]
