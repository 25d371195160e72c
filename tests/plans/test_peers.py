"""Objects that came by one statement on the short way know each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import inspect

from andamios import GenericRepository
from tests.models.domain import LibWord

if TYPE_CHECKING:
    from andamios import AndamiosEngine


@pytest.mark.isolation("committing")
async def test_one_statement_one_run(engine: AndamiosEngine) -> None:
    """Objects of one statement in a session have one run, those of another another one."""
    words = GenericRepository[LibWord](engine)
    await words.create_many({"word": word} for word in ("one", "two", "three"))
    async with engine.session() as session:
        mine = GenericRepository[LibWord](session)
        first = await mine.list({"word__lt": "t"})
        later = await mine.list({"word__gt": "t"})
        runs = [[inspect(word).runid for word in part] for part in (first, later)]

    assert {1} == {len(set(part)) for part in runs}
    assert runs[0][0] != runs[1][0]
