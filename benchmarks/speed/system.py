"""What a floor, Andamios and every peer can be asked to do; a peer leaves out what it cannot."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

__all__ = ["POOL", "Getter", "System", "Values", "in_tasks"]

POOL = 20
"""Connections that each pool may open, so that all systems load the server alike."""

Values = dict[str, Any]
"""A row to be written, by column."""


class Getter(Protocol):
    """An open session."""

    async def get(self, key: int) -> Any:
        """Give the row with a key."""


class System(Protocol):
    """
    One way to the database. Each method is one operation, and alone stands on its own.

    Rows come out as whatever the system makes of them: objects with the columns as
    attributes, mappings, or tuples in the order of the columns.
    """

    async def open(self, url: str) -> None:
        """Connect to a database whose tables are there."""

    async def close(self) -> None:
        """Disconnect."""

    async def get(self, key: int) -> Any:
        """Give the row with a key."""

    async def get_by_email(self, email: str) -> Any:
        """Give the row with a value of a unique column."""

    def session(self) -> AbstractAsyncContextManager[Getter]:
        """Open a session, or a transaction, for several reads."""

    async def get_in_transaction(self, key: int) -> Any:
        """Begin a transaction, give the row with a key, and commit."""

    async def list_rows(self, count: int) -> Sequence[Any]:
        """Give the first rows by key."""

    async def dicts(self, count: int) -> Sequence[Any]:
        """Give the first rows by key, as dicts."""

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        """Give the first rows by key of a city and from an age on."""

    async def joined(self, first: int, count: int) -> Sequence[Any]:
        """Give children from a key on, each with the name of its row: pairs, or ``row_name``."""

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        """Give rows from a key on with their ``children``."""

    async def count(self, first: int, last: int) -> int:
        """Count the rows between two keys."""

    async def insert(self, values: Values) -> Any:
        """Store a new row and give its key."""

    async def update(self, key: int, visits: int) -> Any:
        """Set one value in the row with a key."""

    async def delete(self, key: int) -> Any:
        """Delete the row with a key."""

    async def change(self, key: int, visits: int) -> Any:
        """Load the row with a key, change it, and save it."""

    async def bulk_insert(self, rows: list[Values]) -> Any:
        """Store many new rows."""

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        """Store many new rows and give their keys."""

    async def bulk_instances(self, rows: list[Values]) -> Sequence[Any]:
        """Store many new rows and give them as objects with their keys."""

    async def update_many(self, rows: list[Values]) -> Any:
        """Set different values in many rows: ``id``, ``visits`` and ``note``."""

    async def upsert_many(self, rows: list[Values]) -> Any:
        """Store rows, or set all their values where the email is there already."""

    def iterate(self) -> AsyncGenerator[Any, None]:
        """Give all rows one by one, without holding them all."""

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        """Run a task for each list of keys, which gets its rows one after the other."""


async def in_tasks(get: Callable[[int], Awaitable[Any]], keys: list[list[int]]) -> int:
    """Run a task for each list of keys, which gets its rows one after the other; count them."""

    async def task(own: list[int]) -> int:
        return len([await get(key) for key in own])

    return sum(await asyncio.gather(*map(task, keys)))
