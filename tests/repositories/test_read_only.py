"""The repository that only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.orm import Mapped  # noqa: TC002  SQLAlchemy reads annotations

from andamios import BaseModel, BaseRepository, GenericRepository, ReadOnlyError, ReadOnlyRepository

if TYPE_CHECKING:
    from andamios import AndamiosEngine

WRITES = [
    *("create", "create_many", "delete", "delete_where", "hard_delete", "lock", "restore"),
    *("get_or_create", "update", "update_many", "update_or_create", "update_where", "upsert"),
    "upsert_many",
]
READS = [
    *("count", "exists", "find_one", "get_by_id", "get_many", "get_one", "list", "page"),
    *("page_after", "query", "stream"),
]


class ReadCountry(BaseModel):
    name: Mapped[str]


class ReadCountries(ReadOnlyRepository[ReadCountry]):
    """Countries."""


@pytest.mark.parametrize("name", WRITES)
def test_writes_are_not_there(name: str) -> None:
    """A method that writes is missing on objects and classes, and says why."""
    for holder in (ReadCountries, ReadCountries(), ReadOnlyRepository[ReadCountry]):
        assert not hasattr(holder, name)
        with pytest.raises(ReadOnlyError, match=f"only reads; it has no '{name}'"):
            getattr(holder, name)


def test_all_public_methods_are_sorted() -> None:
    """Every method of the generic repository is a read or a write."""
    public = {name for name in dir(GenericRepository) if name[0] != "_"}

    assert public - {"model"} == {*WRITES, *READS}
    assert issubclass(ReadOnlyRepository, BaseRepository)


async def test_reads_work(engine: AndamiosEngine) -> None:
    """Every reading method works, bound to an engine."""
    created = await GenericRepository[ReadCountry](engine).create(ReadCountry(name="Perú"))
    countries = ReadCountries(engine)

    assert "Perú" == (await countries.get_one(created.id)).name
    assert 1 == await countries.count({"name__icontains": "PERÚ"})
    assert 1 == len([country async for country in countries.stream()])


async def test_its_queries_only_read(engine: AndamiosEngine) -> None:
    """Not even a query writes through it."""
    countries = ReadCountries(engine)
    with pytest.raises(ReadOnlyError):
        await countries.query().unscoped().update({"name": "x"})
    with pytest.raises(ReadOnlyError):
        await countries.query().filter_by(name="x").delete()
