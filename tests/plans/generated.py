"""
Models that Hypothesis makes up, and what it does with them both ways.

A model has some columns of the types that annotations can name, a key of one of three kinds, and
may count versions, be stamped, or be marked instead of deleted. On two databases the same is
done, once on the short way and once on the long one; every answer has to be the same.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Optional

import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from andamios import (
    AndamiosEngine,
    BaseModel,
    GenericRepository,
    SoftDeleteModel,
    TimestampedModel,
    UUIDModel,
    VersioningMixin,
)
from andamios.core.listening import all_statements_seen
from tests.plans.counting import ran
from tests.plans.portraits import answer_of, deep_portrait, difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plans.cases import Ask

__all__ = ["Trial", "models"]


class Fruit(enum.Enum):
    """Members for a column."""

    APPLE = 1
    PEAR = 2


@dataclass(frozen=True)
class Kind:
    """A type of columns, values for it, and whether they have an order."""

    annotation: Any
    values: st.SearchStrategy[Any]
    is_ordered: bool = True
    is_text: bool = False


def _either(usual: st.SearchStrategy[Any], *edges: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(edges) | usual


TEXTS = _either(st.text(st.characters(codec="utf-8"), max_size=6), "", "%", "a_b", "A", "a", "é")
MOMENTS = st.datetimes(dt.datetime(1000, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "é"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)

KINDS = {
    "text": Kind(str, TEXTS, is_text=True),
    "whole": Kind(int, _either(st.integers(-9, 9), 2**63 - 1, -(2**63), 2**63)),
    "ratio": Kind(float, _either(st.floats(allow_nan=False, width=32), 0.1, -0.0, 1e308)),
    "price": Kind(decimal.Decimal, st.decimals(-(10**6), 10**6, places=4)),
    "flag": Kind(bool, st.booleans()),
    "moment": Kind(dt.datetime, _either(MOMENTS, dt.datetime(2024, 1, 1))),  # noqa: DTZ001
    "day": Kind(dt.date, st.dates(dt.date(1000, 1, 1))),
    "clock": Kind(dt.time, st.times()),
    "span": Kind(dt.timedelta, st.timedeltas(dt.timedelta(-99999), dt.timedelta(99999))),
    "token": Kind(uuid.UUID, st.uuids(version=4)),
    "data": Kind(bytes, st.binary(max_size=5)),
    "fruit": Kind(Fruit, st.sampled_from(Fruit)),
    "word": Kind(Literal["x", "y"], st.sampled_from(["x", "y", "z"])),
    "document": Kind(dict[str, Any], st.dictionaries(TEXTS, DOCUMENTS, max_size=2), False),
    "items": Kind(list[Any], st.lists(DOCUMENTS, max_size=2), False),
}
"""Every type that ``andamios.models.types`` knows."""

COMPARED = ("", "__ne", "__lt", "__ge")


@dataclass
class Model:
    """A model, and what is known of its columns."""

    base: Any
    mapped: Any
    columns: dict[str, Kind]
    key: tuple[str, ...]


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Make a model up."""
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4, unique=True))
    namespace: dict[str, Any] = {"__annotations__": {}, "__module__": __name__}
    for name in names:
        _add_column(draw, namespace, name)
    key, parents = draw(st.sampled_from(["number", "uuid", "parts"])), []
    if key == "parts":
        for name, kind in (("left", str), ("right", draw(st.sampled_from([int, bool, uuid.UUID])))):
            namespace["__annotations__"][name] = Mapped[kind]  # type: ignore[valid-type]
            namespace[name] = mapped_column(primary_key=True, autoincrement=False)
    if key == "uuid":
        parents.append(UUIDModel)
    parents += [VersioningMixin] if draw(st.booleans()) else []
    parents += draw(st.sampled_from([[], [], [TimestampedModel], [SoftDeleteModel]]))

    class Base(BaseModel, DeclarativeBase):
        __abstract__ = False

    mapped: Any = type("Made", (*parents, Base), namespace | {"__abstract__": False})
    globals()["Made"] = mapped  # where pickle looks for it
    keys = tuple(column.key for column in sa.inspect(mapped).primary_key)
    return Model(Base, mapped, {name: KINDS[name] for name in names}, keys)


def _add_column(draw: st.DrawFn, namespace: dict[str, Any], name: str) -> None:
    kind, options = KINDS[name], {}
    if draw(st.booleans()):
        value = draw(kind.values)
        options["default"] = (lambda: value) if draw(st.booleans()) else value
        if isinstance(value, dict | list):
            options["default"] = lambda: value
    is_optional = draw(st.booleans())
    annotation = Optional[kind.annotation] if is_optional else kind.annotation  # noqa: UP045
    namespace["__annotations__"][name] = Mapped[annotation]
    namespace[name] = mapped_column(f"c {name}" if draw(st.booleans()) else name, **options)


@dataclass
class Trial:
    """
    What is done with one model, on the short way here and on the long one there.

    Args:
        model: The model.
        here: An engine.
        there: An engine on another database.
    """

    model: Model
    here: AndamiosEngine
    there: AndamiosEngine
    asked: int = 0
    short: int = 0
    keys: dict[AndamiosEngine, list[Any]] = field(default_factory=dict)

    async def step(self, data: st.DataObject) -> None:
        """Do something."""
        await data.draw(st.sampled_from(STEPS), label="step")(self, data)

    async def create(self, data: st.DataObject) -> None:
        """Store a new row."""
        values = self._values(data)
        if len(self.model.key) > 1:
            values |= {"left": data.draw(st.sampled_from(["a", "b"])), "right": self._right(data)}

        elif issubclass(self.model.mapped, UUIDModel):
            values["id"] = uuid.UUID(int=data.draw(st.integers(1, 20)), version=4)

        async def ask(engine: AndamiosEngine) -> Any:
            entity = await self._of(engine).create(self.model.mapped(**values))
            self.keys.setdefault(engine, []).append(sa.inspect(entity).identity)
            return entity

        await self._both(ask)

    async def change(self, data: st.DataObject) -> None:
        """Change a row that was read."""
        pick, values = data.draw(PICKS), self._values(data)

        async def ask(engine: AndamiosEngine) -> Any:
            entity = await self._of(engine).get_one(self._key(engine, pick))
            for name, value in values.items():
                setattr(entity, name, value)
            return await self._of(engine).update(entity), entity

        await self._both(ask)

    async def delete(self, data: st.DataObject) -> None:
        """Delete a row."""
        pick = data.draw(PICKS)
        await self._both(lambda engine: self._of(engine).delete(self._key(engine, pick)))

    async def get(self, data: st.DataObject) -> None:
        """Read a row by its key, and some by theirs."""
        pick = data.draw(PICKS)
        await self._both(lambda engine: self._of(engine).get_by_id(self._key(engine, pick)))
        await self._both(lambda engine: self._of(engine).get_many(self.keys.get(engine, [])[:3]))

    async def find(self, data: st.DataObject) -> None:
        """Read rows that fit, in an order, in one of the shapes."""
        conditions = data.draw(st.lists(self._conditions(), max_size=2), label="conditions")
        names = [name for name, kind in self.model.columns.items() if kind.is_ordered]
        order = [
            data.draw(st.sampled_from(["", "-"])) + name
            for name in (data.draw(st.lists(st.sampled_from(names), max_size=2)) if names else [])
        ]
        limit, offset = data.draw(st.none() | st.integers(0, 3)), data.draw(st.integers(0, 2))
        end = data.draw(st.sampled_from(["execute", "as_dicts", "count", "exists", "first"]))
        columns = data.draw(st.lists(st.sampled_from(sorted(self.model.columns)), max_size=2))

        async def ask(engine: AndamiosEngine) -> Any:
            query: Any = self._of(engine).query().filter(*(make() for make in conditions))
            query = query.offset(offset)
            query = query.order_by(*order, *self.model.key)
            query = query.only(*columns) if columns else query
            query = query.limit(limit) if limit is not None else query
            return await getattr(query, end)()

        await self._both(ask)
        await self._both(ask)

    async def _both(self, ask: Ask) -> None:
        with ran() as short:
            found, first = await answer_of(ask, self.here)
        with all_statements_seen():
            expected, wanted = await answer_of(ask, self.there)
        self.asked += 1
        self.short += bool(short.statements)
        assert wanted == first, difference(wanted, first)
        one, other = deep_portrait(expected), deep_portrait(found)
        assert one == other, difference(one, other)

    def _of(self, engine: AndamiosEngine) -> GenericRepository[Any]:
        return GenericRepository[self.model.mapped](engine)  # type: ignore[name-defined]

    def _key(self, engine: AndamiosEngine, pick: int) -> Any:
        keys = self.keys.get(engine, [])
        if not keys:
            return {("id",): 1}.get(self.model.key, ("a", 1))
        key = keys[pick % len(keys)]
        return key[0] if len(key) == 1 else tuple(key)

    def _right(self, data: st.DataObject) -> Any:
        kind = self.model.mapped.__table__.c.right.type.python_type
        return data.draw(RIGHTS[kind])

    def _values(self, data: st.DataObject) -> dict[str, Any]:
        return data.draw(
            st.fixed_dictionaries(
                {},
                optional={
                    name: st.none() | kind.values for name, kind in self.model.columns.items()
                },
            ),
            label="values",
        )

    def _conditions(self) -> st.SearchStrategy[Any]:
        return _conditions(self.model)


@st.composite
def _conditions(draw: st.DrawFn, model: Model) -> Any:
    name = draw(st.sampled_from(sorted(model.columns)))
    kind, attribute = model.columns[name], getattr(model.mapped, name)
    value, values = draw(kind.values), draw(st.lists(st.none() | kind.values, max_size=3))
    found: list[Callable[[], Any]] = [
        lambda: {name: None},
        lambda: {f"{name}__in": values},
        lambda: {f"{name}__not_in": values},
        lambda: {f"{name}__is_null": not values},
        lambda: attribute == value,
        lambda: attribute.in_(values),
        lambda: ~(attribute == value),
        lambda: sa.or_(attribute.is_(None), attribute != value),
        *((lambda o=o: {name + o: value}) for o in COMPARED[: 4 if kind.is_ordered else 2]),
    ]
    if kind.is_text:
        found += [(lambda o=o: {f"{name}__{o}": value}) for o in ("contains", "istartswith")]
    return draw(st.sampled_from(found))


PICKS = st.integers(0, 9)
RIGHTS: dict[type, st.SearchStrategy[Any]] = {
    int: st.integers(0, 2),
    bool: st.booleans(),
    uuid.UUID: st.sampled_from([uuid.UUID(int=1), uuid.UUID(int=2)]),
}
STEPS = [Trial.create, Trial.create, Trial.change, Trial.delete, Trial.get, Trial.find, Trial.find]
