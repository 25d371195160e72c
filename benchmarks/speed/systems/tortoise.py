"""
Tortoise: model classes on its own pool; asyncpg, aiosqlite or asyncmy below.

Reads by ``get`` and ``filter``, children by ``prefetch_related``, one row changed by
``save(update_fields=…)``, many by ``bulk_create`` and ``bulk_update``. Left out: keys and objects
of a bulk insert, which Tortoise does not fill, and iterating, where it reads all rows first.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url
from tortoise import Tortoise
from tortoise.expressions import F
from tortoise.transactions import in_transaction

from benchmarks.speed.schema import COLUMNS, DATA
from benchmarks.speed.system import POOL, in_tasks
from benchmarks.speed.systems import tortoise_models
from benchmarks.speed.systems.tortoise_models import TortoiseChild, TortoiseRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.speed.system import Values

__all__ = ["SYSTEM", "TortoiseSystem"]

ENGINES = {
    "postgresql": "tortoise.backends.asyncpg",
    "mysql": "tortoise.backends.mysql",
    "sqlite": "tortoise.backends.sqlite",
}


class TortoiseSystem:
    """Active records."""

    async def open(self, url: str) -> None:
        await Tortoise.init(config=_config(url))

    async def close(self) -> None:
        await Tortoise.close_connections()

    async def get(self, key: int) -> Any:
        return await TortoiseRow.get(id=key)

    async def get_by_email(self, email: str) -> Any:
        return await TortoiseRow.get(email=email)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[TortoiseSystem]:
        async with in_transaction():
            yield self

    async def get_in_transaction(self, key: int) -> Any:
        async with in_transaction():
            return await TortoiseRow.get(id=key)

    async def list_rows(self, count: int) -> Sequence[Any]:
        return await TortoiseRow.all().order_by("id").limit(count)

    async def dicts(self, count: int) -> Sequence[Any]:
        return await TortoiseRow.all().order_by("id").limit(count).values(*COLUMNS)

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        return await TortoiseRow.filter(city=city, age__gte=age).order_by("id").limit(count)

    async def joined(self, first: int, count: int) -> Sequence[Any]:
        rows = TortoiseChild.filter(id__gte=first).order_by("id").limit(count)
        return await rows.annotate(row_name=F("row__name"))

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        rows = TortoiseRow.filter(id__gte=first).order_by("id").limit(count)
        return await rows.prefetch_related("children")

    async def count(self, first: int, last: int) -> int:
        return await TortoiseRow.filter(id__range=(first, last)).count()

    async def insert(self, values: Values) -> Any:
        return (await TortoiseRow.create(**values)).id

    async def update(self, key: int, visits: int) -> Any:
        await TortoiseRow.filter(id=key).update(visits=visits)

    async def delete(self, key: int) -> Any:
        await TortoiseRow.filter(id=key).delete()

    async def change(self, key: int, visits: int) -> Any:
        row = await TortoiseRow.get(id=key)
        row.visits = visits
        await row.save(update_fields=["visits"])

    async def bulk_insert(self, rows: list[Values]) -> Any:
        await TortoiseRow.bulk_create([TortoiseRow(**values) for values in rows])

    async def update_many(self, rows: list[Values]) -> Any:
        entities = [TortoiseRow(**values) for values in rows]
        await TortoiseRow.bulk_update(entities, fields=["visits", "note"])

    async def upsert_many(self, rows: list[Values]) -> Any:
        entities = [TortoiseRow(**values) for values in rows]
        changed = [name for name in DATA if name != "email"]
        await TortoiseRow.bulk_create(entities, on_conflict=["email"], update_fields=changed)

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        return await in_tasks(self.get, keys)


def _config(url: str) -> dict[str, Any]:
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    address: dict[str, Any] = {"file_path": parsed.database}
    if backend != "sqlite":
        address = {
            "host": parsed.host,
            "port": parsed.port,
            "user": parsed.username,
            "password": parsed.password,
            "database": parsed.database,
            "minsize": 1,
            "maxsize": POOL,
        }
    # A name for each, since Tortoise keeps the SQL of a connection by its name.
    return {
        "connections": {backend: {"engine": ENGINES[backend], "credentials": address}},
        "apps": {
            "benchmarks": {"models": [tortoise_models.__name__], "default_connection": backend}
        },
        "use_tz": True,
        "timezone": "UTC",
    }


SYSTEM = TortoiseSystem
