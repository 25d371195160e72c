"""Tests on tables that migrations have made and filled."""

import pytest
from andamios import AndamiosEngine
from sqlalchemy import text

TURNS = pytest.mark.parametrize("turn", [1, 2])


async def labels(engine: AndamiosEngine) -> list[str]:
    async with engine.session() as session:
        return list(await session.scalars(text("SELECT label FROM shelf ORDER BY label")))


@TURNS
async def test_rolled_back(engine: AndamiosEngine, turn: int) -> None:
    """Each test finds the rows of the migrations."""
    assert ["left", "right"] == await labels(engine), turn
    async with engine.session() as session:
        await session.execute(text("DELETE FROM shelf"))


@TURNS
@pytest.mark.isolation("committing")
async def test_committing(engine: AndamiosEngine, turn: int) -> None:
    """They are put back after a test that has deleted them for good."""
    assert ["left", "right"] == await labels(engine), turn
    async with engine.session() as session:
        await session.execute(text("DELETE FROM shelf"))
