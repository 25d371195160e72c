"""Values that are known when a statement is sent, and no sooner."""

from contextvars import ContextVar
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import AndamiosEngine, BaseModel, GenericRepository, QueryBuilder
from tests.plans.both_ways import both_ways

pytestmark = pytest.mark.isolation("committing")

tenant: ContextVar[str] = ContextVar("tenant", default="a")


def _of_tenant() -> Any:
    asked = sa.bindparam("tenant", callable_=tenant.get, type_=sa.String())
    return sa.and_(LateParent.id == LateChild.parent_id, LateChild.tenant == asked)


class LateParent(BaseModel):
    """Shows each tenant their own children."""

    name: Mapped[str]
    children: Mapped[list["LateChild"]] = relationship(primaryjoin=_of_tenant, viewonly=True)


class LateChild(BaseModel):
    """Belongs to a tenant."""

    parent_id: Mapped[int] = mapped_column(sa.ForeignKey(LateParent.id))
    tenant: Mapped[str]


@pytest.fixture
async def parent(engine: AndamiosEngine) -> int:
    """One child of the first tenant, and two of the second."""
    async with engine.session() as session:
        made = LateParent(name="p")
        session.add(made)
        await session.flush()
        session.add_all(LateChild(parent_id=made.id, tenant=each) for each in "abb")
    return made.id


async def _seen_by(engine: AndamiosEngine, name: str, parent: int) -> Any:
    token = tenant.set(name)
    try:
        found = await GenericRepository[LateParent](engine).get_one(
            parent, load=LateParent.children
        )
        query = QueryBuilder(LateParent, engine)
        rows = await query.join(LateParent.children).only(LateChild.tenant).execute()
        along = await query.filter({"children.tenant": "b"}).count()
    finally:
        tenant.reset(token)
    return [each.tenant for each in found.children], [row.tenant for row in rows], along


async def test_a_condition_that_asks_for_its_value(engine: AndamiosEngine, parent: int) -> None:
    """A relationship whose condition calls for a value calls each time anew."""

    async def ask(engine: AndamiosEngine) -> Any:
        return [await _seen_by(engine, name, parent) for name in "ab"]

    found = await both_ways(engine, ask)

    assert [(["a"], ["a"], 0), (["b", "b"], ["b", "b"], 1)] == found


async def test_the_same_inside_a_session(engine: AndamiosEngine, parent: int) -> None:
    """Inside a session, too."""

    async def ask(engine: AndamiosEngine) -> Any:
        found = []
        for name in "ab":
            async with engine.session() as session:
                found.append(await _seen_by(session, name, parent))  # type: ignore[arg-type]
        return found

    found = await both_ways(engine, ask)

    assert [(["a"], ["a"], 0), (["b", "b"], ["b", "b"], 1)] == found


@pytest.mark.parametrize("end", ["count", "execute", "exists", "first"])
async def test_a_parameter_without_a_value(engine: AndamiosEngine, end: str) -> None:
    """A parameter that was given no value is refused, not taken for NULL."""
    asked = sa.bindparam("n", type_=sa.String())

    async def ask(engine: AndamiosEngine) -> Any:
        return await getattr(
            QueryBuilder(LateParent, engine).filter(LateParent.name == asked), end
        )()

    assert await both_ways(engine, ask) is None
