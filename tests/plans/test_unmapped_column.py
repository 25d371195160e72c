"""Tables with a column that no attribute has."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped

from andamios import AndamiosEngine, BaseModel, GenericRepository
from tests.plans.both_ways import both_ways

pytestmark = pytest.mark.isolation("committing")


class UnmappedOld(BaseModel):
    """Leaves a column alone, which has a default of its own."""

    __table__ = sa.Table(
        "unmapped_old",
        BaseModel.metadata,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("old", sa.String(20), default="made"),
        sa.Column("name", sa.String(20)),
    )
    __mapper_args__ = {"exclude_properties": ["old"]}  # noqa: RUF012

    name: Mapped[str | None]


@pytest.mark.parametrize("returning", [None, "keys", "entities"])
async def test_many(engine: AndamiosEngine, returning: Any) -> None:
    """Many rows are created, changed and upserted without it."""

    async def ask(engine: AndamiosEngine) -> Any:
        repository = GenericRepository[UnmappedOld](engine)
        await repository.create_many([{"name": "a"}, {"name": "b"}], returning=returning)
        await repository.create_many([UnmappedOld(name="c")], returning=returning)
        (*keys,) = await repository.query().order_by("id").only("id").execute()
        await repository.update_many([{"id": row.id, "name": "d"} for row in keys])
        await repository.upsert_many([{"id": keys[0].id, "name": "e"}], on="id")
        table = UnmappedOld.__table__
        async with engine.connections.acquire() as connection:
            query = sa.select(table.c.old, table.c.name).order_by(table.c.id)
            found = [tuple(row) for row in await connection.execute(query)]
        assert 3 == await repository.query().filter({"id__in": [row.id for row in keys]}).delete()
        return found

    assert await both_ways(engine, ask) is not None
