"""Resilience: what is repeated, and what must not be."""
