"""Settling lost COMMITs: finding out whether they happened, instead of guessing."""

from __future__ import annotations

from andamios.resilience.settling.settler import Settler

__all__ = ["Settler"]
