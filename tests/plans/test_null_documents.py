"""Types that know a None of their own, as JSON: given, left out, by default, by the server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from andamios import AndamiosEngine, BaseModel, GenericRepository
from tests.plans.both_ways import both_ways

pytestmark = pytest.mark.isolation("committing")


class NullDocument(BaseModel):
    """A column for each None, and each default."""

    plain: Mapped[Any | None] = mapped_column(sa.JSON)
    sql_null: Mapped[Any | None] = mapped_column(sa.JSON(none_as_null=True))
    defaulted: Mapped[Any | None] = mapped_column(sa.JSON, default=lambda: {"d": 1})
    defaulted_null: Mapped[Any | None] = mapped_column(
        sa.JSON(none_as_null=True), default=lambda: {"d": 2}
    )
    default_none: Mapped[Any | None] = mapped_column(sa.JSON, default=None)
    usual: Mapped[str | None] = mapped_column(sa.String(9), default="d")


class NullByServer(BaseModel):
    """The same, with defaults of the database."""

    plain: Mapped[Any | None] = mapped_column(sa.JSON, server_default=sa.text("('{}')"))
    word: Mapped[str | None] = mapped_column(sa.String(9).evaluates_none(), server_default="s")
    usual: Mapped[str | None] = mapped_column(sa.String(9), server_default="s")


class NullWord(BaseModel):
    """A text of which None is a value."""

    word: Mapped[str | None] = mapped_column(sa.String(9).evaluates_none(), default="d")
    other: Mapped[str | None] = mapped_column(sa.String(9).evaluates_none())


MODELS: tuple[type[Any], ...] = (NullDocument, NullByServer, NullWord)

Make = Callable[[], dict[str, Any]]


def _names(model: type[Any]) -> list[str]:
    return [name for name in model.__table__.c.keys() if name != "id"]  # noqa: SIM118


def _makes(model: type[Any]) -> Iterator[tuple[str, Make]]:
    """Give what a row is made of, by name."""
    names = _names(model)
    documents = [name for name in names if isinstance(model.__table__.c[name].type, sa.JSON)]
    yield "nothing", dict
    yield "None everywhere", lambda: dict.fromkeys(names)
    yield "SQL's null", lambda: {name: sa.null() for name in names}
    yield "JSON's null", lambda: dict.fromkeys(documents, sa.JSON.NULL)
    for name in names:
        yield f"{name} of None", lambda name=name: {name: None}  # type: ignore[misc]
        yield f"{name} of a value", lambda name=name: {name: "v"}  # type: ignore[misc]


CASES = [
    pytest.param(model, make, id=f"{model.__name__}, {name}")
    for model in MODELS
    for name, make in _makes(model)
]


async def _stored(engine: AndamiosEngine, model: type[Any], keys: list[int]) -> Any:
    """Give the texts that the database has, of which one may be ``null``."""
    table = model.__table__.c
    texts = [sa.cast(table[name], sa.Text).label(name) for name in _names(model)]
    query = sa.select(*texts).where(table.id.in_(keys)).order_by(table.id)
    async with engine.connections.acquire() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]


def _values(entity: Any) -> dict[str, Any]:
    """Give what an object has of its own."""
    return {name: vars(entity)[name] for name in _names(type(entity)) if name in vars(entity)}


@pytest.mark.parametrize(("model", "make"), CASES)
async def test_created(engine: AndamiosEngine, model: type[Any], make: Make) -> None:
    """A new object stores the None that SQLAlchemy stores, and says what was stored."""

    async def ask(engine: AndamiosEngine) -> Any:
        repository = GenericRepository[model](engine)  # type: ignore[valid-type]
        made = await repository.create(model(**make()))
        values = _values(made)
        again = _values(await repository.get_one(made.id))
        return values, await _stored(engine, model, [made.id]), again

    assert await both_ways(engine, ask) is not None


@pytest.mark.parametrize("returning", [None, "keys", "entities"])
@pytest.mark.parametrize("kind", ["objects", "dictionaries"])
@pytest.mark.parametrize("model", MODELS)
async def test_many_created(
    engine: AndamiosEngine, model: type[Any], kind: str, returning: Any
) -> None:
    """Many at once do the same, whether as objects or as dictionaries."""

    async def ask(engine: AndamiosEngine) -> Any:
        repository = GenericRepository[model](engine)  # type: ignore[valid-type]
        found = []
        for make in (dict, lambda: dict.fromkeys(_names(model))):
            rows = [make(), make()]
            given = [model(**row) for row in rows] if kind == "objects" else rows
            await repository.create_many(given, returning=returning)
            last = await repository.query().order_by("-id").limit(2).only("id").execute()
            found.append(await _stored(engine, model, [row.id for row in last]))
        return found

    assert await both_ways(engine, ask) is not None


@pytest.mark.parametrize(
    ("model", "name"), [(model, name) for model in MODELS for name in _names(model)]
)
async def test_updated(engine: AndamiosEngine, model: type[Any], name: str) -> None:
    """An object that is changed to None, to a value and back stores the same."""

    async def ask(engine: AndamiosEngine) -> Any:
        repository = GenericRepository[model](engine)  # type: ignore[valid-type]
        async with engine.session() as session:
            session.add(made := model())
        found = []
        for value in (None, "v", None):
            entity = await repository.get_one(made.id)
            setattr(entity, name, value)
            await repository.update(entity)
            found.append((_values(entity), await _stored(engine, model, [made.id])))
        return found

    assert await both_ways(engine, ask) is not None
