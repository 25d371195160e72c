"""Statements that look the same and are not: by the names of fields, of types, of expressions."""

import enum
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from andamios import AndamiosEngine, BaseModel, GenericRepository, QueryBuilder
from tests.plans.both_ways import both_ways

pytestmark = pytest.mark.isolation("own")


class FormBase(BaseModel, DeclarativeBase):
    """Has tables of its own."""

    __abstract__ = False


class FormPair(FormBase):
    """Two numbers that are easily taken for one another."""

    a: Mapped[int]
    b: Mapped[int]
    name: Mapped[str | None]


class Mark(enum.Enum):
    """Its name is stored."""

    x = "X"


class FormText(FormBase):
    """Has a text from the database, and one as its key."""

    key: Mapped[str] = mapped_column(sa.String(1), primary_key=True, server_default="x")
    made: Mapped[str] = mapped_column(sa.String(1), server_default="x")
    size: Mapped[int] = mapped_column(default=1)


class FormMark(FormBase):
    """Has the same from the database, as another type."""

    key: Mapped[Mark] = mapped_column(
        sa.Enum(Mark, native_enum=False, length=1), primary_key=True, server_default="x"
    )
    made: Mapped[Mark] = mapped_column(
        sa.Enum(Mark, native_enum=False, length=1), server_default="x"
    )
    size: Mapped[int] = mapped_column(default=1)


@pytest.fixture(scope="session")
def db_metadata() -> sa.MetaData:
    """Have these tables alone."""
    return FormBase.metadata


async def test_fields_that_changed_places(engine: AndamiosEngine) -> None:
    """Two updates of the same fields, of which another one is an expression, differ."""
    pairs = GenericRepository[FormPair](engine)
    key = (await pairs.create(FormPair(a=0, b=0, name="n"))).id
    changes: list[dict[str, Any]] = [
        {"a": FormPair.b + 10, "b": 500},
        {"a": 500, "b": FormPair.b + 10},
        {"a": FormPair.b + 1, "b": 7, "name": "n"},
        {"a": 7, "b": FormPair.b + 1, "name": "n"},
        {"b": FormPair.b + 1, "name": "n", "a": 7},
    ]

    async def ask(engine: AndamiosEngine) -> Any:
        query = QueryBuilder(FormPair, engine).filter({"id": key})
        found = []
        for change in changes:
            await query.update({"a": 1, "b": 2})
            await query.update(change)
            found.append([tuple(row) for row in await query.only("a", "b").execute()])
        return found

    found = await both_ways(engine, ask)

    assert [[(500, 12)], [(7, 3)], [(7, 3)]] == [found[1], *found[3:]]


@pytest.mark.parametrize("models", [(FormText, FormMark), (FormMark, FormText)])
async def test_types_of_what_the_database_makes(
    engine: AndamiosEngine, models: tuple[type[Any], ...]
) -> None:
    """Two models that the database fills in alike have each its own types."""
    if engine.backend == "mysql":
        pytest.skip("MySQL gives back no key that it made of a default")

    async def ask(engine: AndamiosEngine) -> Any:
        found = []
        for model in models:
            repository = GenericRepository[model](engine)  # type: ignore[valid-type]
            for given in ("keys", "entities"):
                found.append(await repository.create_many([{"size": 2}], returning=given))
                found.append(await QueryBuilder(model, engine).count())
                await QueryBuilder(model, engine).filter({"size": 2}).delete()
        return found

    assert await both_ways(engine, ask) is not None


async def test_rows_by_expression(engine: AndamiosEngine) -> None:
    """A row gives its values by the expressions of its own query, each time anew."""
    await GenericRepository[FormPair](engine).create(FormPair(a=1, b=2, name="Ana"))

    async def ask(engine: AndamiosEngine) -> Any:
        query, expression = QueryBuilder(FormPair, engine), sa.func.lower(FormPair.name)
        (row,) = await query.only(expression, FormPair.a).execute()
        (streamed,) = [each async for each in query.only(expression, FormPair.a).stream()]
        label = FormPair.name.label("label")
        (labelled,) = await query.only(label).execute()
        return [
            *_values(row, expression, FormPair.a, FormPair.__table__.c.a, FormPair.b),
            *_values(streamed, expression, FormPair.a),
            *_values(labelled, label, "label", FormPair.name),
        ]

    assert ["ana", 1, 1] == (await both_ways(engine, ask))[:3]


async def test_rows_with_objects_by_expression(engine: AndamiosEngine) -> None:
    """Beside an object, too, and by the columns of its table."""
    await GenericRepository[FormPair](engine).create(FormPair(a=1, b=2, name="Ana"))
    table = FormPair.__table__.c

    async def ask(engine: AndamiosEngine) -> Any:
        query, expression = QueryBuilder(FormPair, engine), sa.func.lower(FormPair.name)
        (row,) = await query.only(FormPair, FormPair.a, table.b, expression).execute()
        return _values(row, FormPair, FormPair.a, table.a, FormPair.b, table.b, expression, "a")

    found = await both_ways(engine, ask)

    assert [1, 1, "ana"] == [found[1], found[2], found[5]]


def _values(row: sa.Row[Any], *keys: Any) -> list[Any]:
    """Give what a row has by some keys, or say that it has none."""
    found = []
    for key in keys:
        try:
            found.append(row._mapping[key])  # noqa: SLF001  documented
        except (KeyError, sa.exc.NoSuchColumnError) as error:
            found.append(type(error).__name__)
    return found
