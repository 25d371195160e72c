"""
Django's asynchronous ORM: the ``a`` methods of querysets, which work in a thread.

psycopg 3 on PostgreSQL. One row changed by ``asave(update_fields=…)``, many by ``abulk_create`` and
``abulk_update``. Django has no asynchronous transactions: one around a read is a synchronous
function in ``sync_to_async``, as its documentation recommends, and a session is left out. All
threads of one event loop are one, so that tasks wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import F
from sqlalchemy.engine import make_url

from benchmarks.speed.schema import COLUMNS, DATA
from benchmarks.speed.system import in_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from benchmarks.speed.system import Values

__all__ = ["SYSTEM", "DjangoSystem"]

BATCH = 1000
ENGINES = {
    "postgresql": "django.db.backends.postgresql",
    "sqlite": "django.db.backends.sqlite3",
}


class DjangoSystem:
    """Querysets."""

    async def open(self, url: str) -> None:
        parsed = make_url(url)
        database = {
            "ENGINE": ENGINES[parsed.get_backend_name()],
            "NAME": parsed.database,
            "HOST": parsed.host or "",
            "PORT": parsed.port or "",
            "USER": parsed.username or "",
            "PASSWORD": parsed.password or "",
        }
        if not settings.configured:
            settings.configure(DATABASES={"default": database}, USE_TZ=True, TIME_ZONE="UTC")
            django.setup()
        await sync_to_async(_use)(database)
        # Models can be defined when the settings are there.
        from benchmarks.speed.systems.django_models import (  # noqa: PLC0415
            DjangoChild,
            DjangoRow,
        )

        self._model, self._rows, self._children = DjangoRow, DjangoRow.objects, DjangoChild.objects

    async def close(self) -> None:
        await sync_to_async(lambda: connection.close())()  # noqa: PLW0108  that of the thread

    async def get(self, key: int) -> Any:
        return await self._rows.aget(id=key)

    async def get_by_email(self, email: str) -> Any:
        return await self._rows.aget(email=email)

    async def get_in_transaction(self, key: int) -> Any:
        def read() -> Any:
            with transaction.atomic():
                return self._rows.get(id=key)

        return await sync_to_async(read)()

    async def list_rows(self, count: int) -> Sequence[Any]:
        return [row async for row in self._rows.order_by("id")[:count]]

    async def dicts(self, count: int) -> Sequence[Any]:
        return [row async for row in self._rows.order_by("id").values(*COLUMNS)[:count]]

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        rows = self._rows.filter(city=city, age__gte=age).order_by("id")[:count]
        return [row async for row in rows]

    async def joined(self, first: int, count: int) -> Sequence[Any]:
        rows = self._children.filter(id__gte=first).order_by("id")
        return [row async for row in rows.annotate(row_name=F("row__name"))[:count]]

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        rows = self._rows.filter(id__gte=first).order_by("id")
        return [row async for row in rows.prefetch_related("children")[:count]]

    async def count(self, first: int, last: int) -> int:
        return await self._rows.filter(id__range=(first, last)).acount()

    async def insert(self, values: Values) -> Any:
        return (await self._rows.acreate(**values)).id

    async def update(self, key: int, visits: int) -> Any:
        await self._rows.filter(id=key).aupdate(visits=visits)

    async def delete(self, key: int) -> Any:
        await self._rows.filter(id=key).adelete()

    async def change(self, key: int, visits: int) -> Any:
        row = await self._rows.aget(id=key)
        row.visits = visits
        await row.asave(update_fields=["visits"])

    async def bulk_insert(self, rows: list[Values]) -> Any:
        await self.bulk_instances(rows)

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        return [row.id for row in await self.bulk_instances(rows)]

    async def bulk_instances(self, rows: list[Values]) -> Sequence[Any]:
        entities = [self._model(**values) for values in rows]
        return await self._rows.abulk_create(entities, batch_size=BATCH)

    async def update_many(self, rows: list[Values]) -> Any:
        entities = [self._model(**values) for values in rows]
        await self._rows.abulk_update(entities, ["visits", "note"], batch_size=BATCH)

    async def upsert_many(self, rows: list[Values]) -> Any:
        await self._rows.abulk_create(
            [self._model(**values) for values in rows],
            update_conflicts=True,
            unique_fields=["email"],
            update_fields=[name for name in DATA if name != "email"],
        )

    async def iterate(self) -> AsyncGenerator[Any, None]:
        async for row in self._rows.all().aiterator(chunk_size=BATCH):
            yield row

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        return await in_tasks(self.get, keys)


def _use(database: dict[str, Any]) -> None:
    """Point the thread's connection at another database, and close what it has."""
    connection.close()
    connections.databases["default"].update(database)
    del connections["default"]


SYSTEM = DjangoSystem
