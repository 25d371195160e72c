"""What the tour shows around its queries: true on every backend, whatever the times are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from andamios.tour.answers import show_systems
from andamios.tour.loading import load
from andamios.tour.target import filled_database
from tests.tour.conftest import in_thread

if TYPE_CHECKING:
    from pathlib import Path

    from andamios import AndamiosEngine


async def scenes(url: str, directory: Path) -> dict[str, list[dict[str, Any]]]:
    async def fill(engine: AndamiosEngine) -> None:
        await load(engine, directory, lambda _table, _done: None)

    async with filled_database(url, fill) as engine:
        return {scene.name: scene.rows for scene in await show_systems(engine)}


def test_systems(tour_database: str, small_directory: Path) -> None:
    """The plan reads the table, the index helps, the cache is right, and all is well."""
    shown = in_thread(scenes(tour_database, small_directory))
    first, again, third = shown["cached_question"]
    advice = shown["index_advice"]

    assert "sequential scan on tour_flight" in [row["step"] for row in shown["plan_of_a_query"]]
    assert "none" == advice[0]["index"]
    assert any("tailnum" in row["index"] and row["proof"] for row in advice)
    assert first["minutes late"] == again["minutes late"] == third["minutes late"] - 1_000
    assert {"True"} == {row["healthy"] for row in shown["health_of_the_database"]}
    assert 12 == shown["what_was_measured"][0]["times"]
