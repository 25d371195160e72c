"""Which index would help a query, proven before it is suggested."""

from andamios.queries.indexes.suggestion import IndexProof, IndexSuggestion

__all__ = ["IndexProof", "IndexSuggestion"]
