"""Watching a workload: what runs once a row is found, with its line and the cure."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import BaseModel, GenericRepository, QueryBuilder
from andamios.queries import QueryOptimizer

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class WatchedPort(BaseModel):
    name: Mapped[str]
    ships: Mapped[list[WatchedShip]] = relationship(back_populates="port")


class WatchedShip(BaseModel):
    name: Mapped[str]
    port_id: Mapped[int] = mapped_column(ForeignKey("watched_port.id"))
    port: Mapped[WatchedPort] = relationship(back_populates="ships")


@pytest.fixture
async def ports(engine: AndamiosEngine) -> AndamiosEngine:
    """Seven ports with a ship each."""
    async with engine.session() as session:
        session.add_all(
            WatchedPort(name=f"p{n}", ships=[WatchedShip(name=f"s{n}")]) for n in range(7)
        )
    return engine


def _here(offset: int) -> str:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return f"{frame.f_code.co_filename}:{frame.f_back.f_lineno + offset}"


async def test_lazy_loads_in_a_loop(ports: AndamiosEngine) -> None:
    """Loading for each row what belongs to it is one finding: the line, the count, the cure."""
    async with ports.session():
        with QueryOptimizer(ports).watch() as report:
            for port in await QueryBuilder(WatchedPort).execute():
                line = _here(1)
                await port.load(WatchedPort.ships)
    (found,) = report.findings
    assert (7, line) == (found.count, found.where)
    assert "watched_ship" in found.statement
    assert ".load(Model.relationship)" in found.fix
    assert "await port.load(WatchedPort.ships)" == found.source
    assert line in str(report)
    assert found.source in str(report)


async def test_the_cure_is_not_found(ports: AndamiosEngine) -> None:
    """Loaded with the query, nothing repeats."""
    async with ports.session(), QueryOptimizer(ports).watch() as report:
        found = await QueryBuilder(WatchedPort).load(WatchedPort.ships).execute()
        assert 7 == sum(len(port.ships) for port in found)
    assert [] == report.findings
    assert "Nothing ran once a row." == str(report)


async def test_a_repository_in_a_loop(ports: AndamiosEngine) -> None:
    """Calls that stand alone are found as well, reading and writing."""
    ships = GenericRepository[WatchedShip](ports)
    (first, *_) = await QueryBuilder(WatchedPort, ports).order_by("id").execute()
    with QueryOptimizer(ports).watch(threshold=3) as report:
        for number in range(4):
            reading = _here(1)
            await ships.find_one({"name": f"s{number}"})
        for number in range(3):
            writing = _here(1)
            await ships.create(WatchedShip(name=f"n{number}", port_id=first.id))
    found = {each.where: (each.count, each.fix) for each in report.findings}
    assert {reading, writing} == set(found)
    assert (4, True) == (found[reading][0], "get_many(ids)" in found[reading][1])
    assert (3, True) == (found[writing][0], "create_many(rows)" in found[writing][1])


async def test_other_tasks_do_not_add_up(ports: AndamiosEngine) -> None:
    """Ten requests that each ask once are no pattern."""

    async def request(name: str) -> None:
        async with ports.session() as session:
            await session.scalars(select(WatchedPort).where(WatchedPort.name == name))

    with QueryOptimizer(ports).watch() as report:
        for number in range(10):
            await asyncio.create_task(request(f"p{number}"))
    assert [] == report.findings


async def test_it_ends_with_the_block(ports: AndamiosEngine) -> None:
    """After the block nobody listens."""
    with QueryOptimizer(ports).watch() as report:
        pass
    for _ in range(6):
        await QueryBuilder(WatchedPort, ports).count()
    assert [] == report.findings
