"""Caching: results that are never stale."""
