"""Breaking a connection at a word that its client sends, such as COMMIT."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

__all__ = ["Moment", "WordCut"]

Moment: TypeAlias = Literal["before", "after", "held"]
"""
When it breaks. Before: the server never sees the word. After: it does, and the connection
breaks instead of its answer. Held: its answer does not come, and nothing breaks.
"""


class WordCut:
    """
    The break of one connection, the first whose client sends the word.

    Args:
        word: Bytes of the protocol; split between two packets they count too.
        moment: When it breaks.
        probability: That a connection which sends it may be the one.
    """

    def __init__(self, word: bytes, moment: Moment, probability: float = 1) -> None:
        self.word = word
        self.moment = moment
        self.probability = probability
        self.is_found = False
        self.has_happened = asyncio.Event()

    def looks_at(self, sent: bytes) -> bool:
        """Whether these bytes hold the word, for the first time."""
        if self.is_found or self.word not in sent:
            return False
        self.is_found = True
        return True

    def tail_of(self, sent: bytes) -> bytes:
        """Give the bytes with which the word may have begun."""
        return sent[len(sent) - min(len(sent), len(self.word) - 1) :]
