"""Scenarios of repositories: alone on an engine, and in a session that is passed in."""

import asyncio
import datetime as dt
from typing import Any

from andamios.models import hard_delete
from tests.cancellation.models import SweepDraft, SweepPort
from tests.cancellation.table import both, scenario
from tests.cancellation.world import CALLAO, GONE, KEPT, LIMA, PAITA, World

FUTURE = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)

READS: dict[str, Any] = {
    "BaseRepository.get_by_id": lambda ports: ports.get_by_id(LIMA),
    "BaseRepository.get_by_id with children": lambda ports: ports.get_by_id(
        LIMA, load=SweepPort.ships
    ),
    "BaseRepository.list": lambda ports: ports.list({"size__gte": 1}, order_by="code"),
    "SelectingRepository.get_one": lambda ports: ports.get_one(LIMA),
    "SelectingRepository.get_many": lambda ports: ports.get_many([LIMA, CALLAO]),
    "SelectingRepository.find_one": lambda ports: ports.find_one({"code": "lima"}),
    "SelectingRepository.exists": lambda ports: ports.exists({"code": "lima"}),
    "SelectingRepository.count": lambda ports: ports.count({"size__gte": 1}),
    "SelectingRepository.page": lambda ports: ports.page(1, 2),
    "SelectingRepository.page_after": lambda ports: ports.page_after(None, 2),
}

NEW = [{"code": f"new {number}", "size": number} for number in range(5)]

WRITES: dict[str, Any] = {
    "BaseRepository.create": lambda ports: ports.create(SweepPort(code="new", size=9)),
    "BaseRepository.delete": lambda ports: ports.delete(CALLAO),
    "GenericRepository.create_many": lambda ports: ports.create_many(NEW, batch=2),
    "GenericRepository.create_many of many": lambda ports: ports.create_many(
        {"code": f"new {number}", "size": number} for number in range(600)
    ),
    "GenericRepository.create_many for objects": lambda ports: ports.create_many(
        NEW, batch=3, returning="entities"
    ),
    "GenericRepository.update_many": lambda ports: ports.update_many(
        [{"id": LIMA, "size": 7}, {"id": PAITA, "size": 8}]
    ),
    "GenericRepository.update_where": lambda ports: ports.update_where(
        {"size__gte": 1}, {"size": 70}
    ),
    "GenericRepository.delete_where": lambda ports: ports.delete_where({"code": "paita"}),
    "GenericRepository.upsert": lambda ports: ports.upsert({"code": "lima", "size": 70}, on="code"),
    "GenericRepository.upsert of a new one": lambda ports: ports.upsert(
        {"code": "new", "size": 70}, on="code"
    ),
    "GenericRepository.upsert_many": lambda ports: ports.upsert_many(
        [{"code": "lima", "size": 70}, *NEW], on="code", batch=3
    ),
    "GenericRepository.get_or_create": lambda ports: ports.get_or_create(
        {"code": "new"}, {"size": 9}
    ),
    "GenericRepository.update_or_create": lambda ports: ports.update_or_create(
        {"code": "lima"}, {"size": 9}
    ),
}

OF_DRAFTS: dict[str, Any] = {
    "AuditedRepository.as_of": lambda drafts: drafts.as_of(FUTURE),
    "AuditedRepository.history": lambda drafts: drafts.history(KEPT),
    "AuditedRepository.revert": lambda drafts: drafts.revert(KEPT, 1),
    "BaseRepository.create with a history": lambda drafts: drafts.create(SweepDraft(title="new")),
    "BaseRepository.delete by a mark": lambda drafts: drafts.delete(KEPT),
    "GenericRepository.hard_delete": lambda drafts: drafts.hard_delete(KEPT),
    "GenericRepository.restore": lambda drafts: drafts.restore(GONE),
    "GenericRepository.update_where with a history": lambda drafts: drafts.update_where(
        {"title": "second"}, {"title": "third"}
    ),
}

for _name, _call in (READS | WRITES).items():
    both(_name, lambda world, call=_call: call(world.ports))  # type: ignore[misc]

for _name, _call in OF_DRAFTS.items():
    both(_name, lambda world, call=_call: call(world.drafts))  # type: ignore[misc]

for _name, _call in WRITES.items():
    scenario(f"{_name} watched", "watched")(lambda world, call=_call: call(world.ports))  # type: ignore[misc]


@scenario("BaseRepository.update", "engine", "session", "watched", "heard")
async def update(world: World) -> None:
    """Change an object that was read."""
    port = await world.ports.get_one(LIMA)
    port.size = 70
    await world.ports.update(port)


@scenario("BaseRepository.update with a history", "engine", "session")
async def update_with_history(world: World) -> None:
    """Change an object that has a version and a history."""
    draft = await world.drafts.get_one(KEPT)
    draft.title = "third"
    await world.drafts.update(draft)


@scenario("GenericRepository.lock", "session")
async def lock(world: World) -> None:
    """Lock rows in a session."""
    await world.ports.lock({"code": "lima"})


@scenario("SelectingRepository.stream", "engine", "session")
async def stream(world: World) -> None:
    """Read in parts, and wait in between."""
    async for _ in world.ports.stream(batch=1):
        await asyncio.sleep(0)


@scenario("SelectingRepository.stream left early", "engine", "session")
async def stream_left(world: World) -> None:
    """Leave a stream at its first row."""
    async for _ in world.ports.stream(batch=1):
        await asyncio.sleep(0)
        break


@scenario("BaseModel.load", "session")
async def load(world: World) -> None:
    """Load what was left out."""
    port = await world.ports.get_one(LIMA)
    await port.load(SweepPort.ships)


@scenario("hard_delete", "session")
async def hard_deleted(world: World) -> None:
    """Remove for good, in a session."""
    draft = await world.drafts.get_one(KEPT)
    await hard_delete(world.given, draft)
    await world.given.commit()
