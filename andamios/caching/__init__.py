"""Answers that are kept: two levels, and nothing stale in either."""

from andamios.caching.manager import CacheManager
from andamios.caching.repository import CachedRepository
from andamios.caching.statistics import CacheStats, ModelStats

__all__ = ["CacheManager", "CacheStats", "CachedRepository", "ModelStats"]
