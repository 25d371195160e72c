"""Filters by name: operators, paths along relationships, and what is refused."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import ForeignKey
from sqlalchemy.ext.hybrid import Comparator, hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import (
    BaseModel,
    DataError,
    FilterBuilder,
    QueryBuilder,
    QueryError,
    UnknownFieldError,
)

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class FilterMood(enum.Enum):
    calm = "calm"
    loud = "loud"


class AnyCase(Comparator[str]):  # noqa: PLW1641  never in a set
    """Compares without looking at the case; knows nothing but equality."""

    def __eq__(self, other: object) -> Any:
        return sa.func.lower(self.__clause_element__()) == sa.func.lower(other)


class FilterTeam(BaseModel):
    name: Mapped[str]

    @hybrid_property
    def shouted(self) -> str:
        """The name, in any case."""
        return self.name.upper()

    @shouted.inplace.comparator
    @classmethod
    def _shouted(cls) -> AnyCase:
        return AnyCase(cls.name)

    people: Mapped[list[FilterPerson]] = relationship(back_populates="team")


class FilterPerson(BaseModel):
    name: Mapped[str | None]
    age: Mapped[int | None]
    pay: Mapped[Decimal | None]
    height: Mapped[float | None]
    born: Mapped[dt.datetime | None]
    is_here: Mapped[bool | None]
    mood: Mapped[FilterMood | None]
    level: Mapped[int | None] = mapped_column(sa.Integer)
    day: Mapped[dt.date | None]
    local: Mapped[dt.datetime | None] = mapped_column(sa.DateTime)
    code: Mapped[str | None] = mapped_column(sa.String(4))
    team_id: Mapped[int | None] = mapped_column(ForeignKey("filter_team.id"))
    team: Mapped[FilterTeam | None] = relationship(back_populates="people")
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("filter_person.id", ondelete="SET NULL"))
    boss: Mapped[FilterPerson | None] = relationship(remote_side="FilterPerson.id")


PEOPLE: list[dict[str, Any]] = [
    {"id": 1, "name": "José", "age": 30, "pay": Decimal("10.5"), "mood": FilterMood.calm},
    {"id": 2, "name": "jose", "age": 17, "is_here": True, "height": 1.5, "boss_id": 1},
    {"id": 3, "name": "100%", "age": 30, "is_here": False, "team_id": 1, "code": "ab"},
    {"id": 4, "name": "1000", "age": None, "team_id": 1, "boss_id": 3},
    {"id": 5, "name": "a_b/c", "age": 0, "team_id": 2},
    {"id": 6, "name": None, "age": 41, "born": dt.datetime(2000, 1, 1, tzinfo=dt.UTC)},
]


@pytest.fixture
async def people(engine: AndamiosEngine) -> AndamiosEngine:
    """Six people in two teams."""
    async with engine.session() as session:
        session.add_all([FilterTeam(id=1, name="Red"), FilterTeam(id=2, name="Blue")])
        await session.flush()
        for person in PEOPLE:
            session.add(FilterPerson(**person))
            await session.flush()
    return engine


async def found(engine: AndamiosEngine, filters: Any) -> list[int]:
    rows = await QueryBuilder(FilterPerson, engine).filter(filters).only("id").execute()
    return sorted(row.id for row in rows)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"age": 30}, [1, 3]),
        ({"age": None}, [4]),
        ({"age__eq": 0}, [5]),
        ({"age__ne": 30}, [2, 5, 6]),
        ({"age__ne": None}, [1, 2, 3, 5, 6]),
        ({"age__lt": 17}, [5]),
        ({"age__le": 17}, [2, 5]),
        ({"age__lte": 17}, [2, 5]),
        ({"age__gt": 30}, [6]),
        ({"age__ge": 30}, [1, 3, 6]),
        ({"age__gte": 30, "name__startswith": "1"}, [3]),
        ({"age__in": [0, 17]}, [2, 5]),
        ({"age__in": []}, []),
        ({"age__in": {0, None}}, [4, 5]),
        ({"age__not_in": [30, 0]}, [2, 6]),
        ({"age__not_in": [30, None]}, [2, 5, 6]),
        ({"age__not_in": []}, [1, 2, 3, 4, 5, 6]),
        ({"age__between": (17, 30)}, [1, 2, 3]),
        ({"age__is_null": True}, [4]),
        ({"age__is_null": False}, [1, 2, 3, 5, 6]),
        ({"name": "jose"}, [2]),
        ({"name__like": "_os%"}, [1, 2]),
        ({"name__like": "J%"}, [1]),
        ({"name__ilike": "j%"}, [1, 2]),
        ({"name__ilike": "JOSÉ"}, [1]),
        ({"name__contains": "100%"}, [3]),
        ({"name__contains": "JOS"}, []),
        ({"name__icontains": "OSÉ"}, [1]),
        ({"name__startswith": "a_b/"}, [5]),
        ({"name__endswith": "_b/c"}, [5]),
        ({"name__endswith": "b_c"}, []),
        ({"name__istartswith": "JO"}, [1, 2]),
        ({"name__iendswith": "B/C"}, [5]),
        ({"name": "x" * 300}, []),
        ({"code__contains": "much too long"}, []),
        ({"code": "much too long"}, []),
        ({"pay": Decimal("10.5")}, [1]),
        ({"pay": 10.5}, [1]),
        ({"pay__gt": 10}, [1]),
        ({"height": 1.5}, [2]),
        ({"height__gt": 1}, [2]),
        ({"is_here": True}, [2]),
        ({"is_here": False}, [3]),
        ({"mood": FilterMood.calm}, [1]),
        ({"mood": "calm"}, [1]),
        ({"born__ge": dt.datetime(1999, 1, 1, tzinfo=dt.UTC)}, [6]),
        ({"team.name": "Red"}, [3, 4]),
        ({"team.name__ne": "Red"}, [5]),
        ({"team.shouted": "RED"}, [3, 4]),
        ({"team.people.age": 30}, [3, 4]),
        ({"team__is_null": True}, [1, 2, 6]),
        ({"team__is_null": False}, [3, 4, 5]),
        ({"boss.name": "José"}, [2]),
        ({"boss.team.name": "Red"}, [4]),
    ],
)
async def test_dict(people: AndamiosEngine, filters: dict[str, Any], expected: list[int]) -> None:
    """A dict finds the same rows on every backend."""
    assert expected == await found(people, filters)


async def test_across_a_collection(people: AndamiosEngine) -> None:
    """A path across a collection asks for at least one row there, and gives each team once."""
    teams = QueryBuilder(FilterTeam, people)

    assert ["Red"] == [t.name for t in await teams.filter({"people.age__gte": 1}).execute()]
    assert 2 == await teams.filter({"people__is_null": False}).count()


async def test_methods_say_what_dicts_say(people: AndamiosEngine) -> None:
    """Every method has its operator."""
    builder = FilterBuilder(FilterPerson)
    (
        builder.eq("age", 30)
        .ne("age", 31)
        .lt("age", 31)
        .le("age", 30)
        .gt("age", 29)
        .ge("age", 30)
        .in_("age", {30})
        .not_in("age", [1])
        .between("age", 30, 30)
        .like("name", "J%")
        .ilike("name", "j%")
        .contains("name", "os")
        .contains("name", "OS", ignore_case=True)
        .startswith("name", "J")
        .startswith("name", "j", ignore_case=True)
        .endswith("name", "é")
        .endswith("name", "É", ignore_case=True)
        .is_null("code")
    )

    assert 18 == len(builder.conditions)
    assert [1] == await found(people, builder)


async def test_logic(people: AndamiosEngine) -> None:
    """and_, or_ and not_ take dicts, builders and expressions."""
    either = FilterBuilder(FilterPerson).or_({"age": 17}, FilterPerson.name == "1000")
    both = FilterBuilder(FilterPerson).and_(either, {"age__is_null": True})
    neither = FilterBuilder(FilterPerson).not_(either)

    assert [2, 4] == await found(people, either)
    assert [4] == await found(people, both)
    assert [1, 3, 5, 6] == await found(people, neither)
    assert [] == await found(people, FilterBuilder(FilterPerson).or_())
    assert 6 == len(await found(people, FilterBuilder(FilterPerson).and_()))


async def test_not_keeps_rows_with_null(people: AndamiosEngine) -> None:
    """What does not fit includes rows of which nobody knows."""
    assert [2, 4, 5, 6] == await found(people, FilterBuilder(FilterPerson).not_({"age": 30}))
    excluded = await QueryBuilder(FilterPerson, people).exclude({"age": 30}).only("id").execute()
    assert [2, 4, 5, 6] == sorted(row.id for row in excluded)


async def test_query_copies_a_builder(people: AndamiosEngine) -> None:
    """What is added to a builder later does not change a query that has it."""
    builder = FilterBuilder(FilterPerson).ge("age", 30)
    query = QueryBuilder(FilterPerson, people).filter(builder)
    builder.eq("id", 1)

    assert 3 == await query.count()


@pytest.mark.parametrize(
    ("filters", "suggestion"),
    [
        ({"nmae": "x"}, "'name'"),
        ({"age__gtee": 1}, "'gt'"),
        ({"team.nam": "x"}, "'name'"),
        ({"team__name": "x"}, "'team.name'"),
        ({"name.first": "x"}, "no relationship"),
        ({"__": "x"}, "There are"),
        ({"team__in": [1]}, "team.id__in"),
        ({"people__gt": 1}, "There are"),
    ],
)
def test_unknown_names(filters: dict[str, Any], suggestion: str) -> None:
    """An unknown field or operator is refused with the nearest one."""
    with pytest.raises(UnknownFieldError) as caught:
        FilterBuilder(FilterPerson).from_dict(filters)

    assert suggestion in str(caught.value)


@pytest.mark.parametrize(
    "filters",
    [
        {"age": "30"},
        {"age": True},
        {"age": 1.0},
        {"age": [30]},
        {"age__gt": None},
        {"age__in": "30"},
        {"age__in": 30},
        {"age__in": None},
        {"age__not_in": None},
        {"age__in": [30, "31"]},
        {"age__between": 3},
        {"age__between": (3, None)},
        {"age__is_null": 1},
        {"age__contains": "3"},
        {"age": 2**63},
        {"level": 2**31},
        {"name": 5},
        {"name__like": 5},
        {"pay": "10.5"},
        {"height": "1.5"},
        {"is_here": 1},
        {"mood": "angry"},
        {"mood": 3},
        {"born": "2000-01-01"},
        {"born": dt.date(2000, 1, 1)},
        {"team.name": 3},
        {"team": 1},
    ],
)
def test_wrong_values(filters: dict[str, Any]) -> None:
    """A value that does not fit is refused before any SQL, without being quoted."""
    with pytest.raises(DataError):
        FilterBuilder(FilterPerson).from_dict(filters)


@pytest.mark.parametrize("condition", [True, "age > 3", 5, object()])
def test_no_condition(condition: Any) -> None:
    """What cannot be a condition is refused, a comparison by 'is' among it."""
    with pytest.raises(QueryError, match="condition"):
        QueryBuilder(FilterPerson).filter(condition)


@pytest.mark.parametrize("method", ["and_", "or_", "not_"])
def test_empty_parts(method: str) -> None:
    """An empty part is refused, since one cannot tell whether it means all or nothing."""
    with pytest.raises(QueryError, match="empty"):
        getattr(FilterBuilder(FilterPerson), method)({})


async def test_expressions_are_values(people: AndamiosEngine) -> None:
    """A column, a function or a subquery can stand for a value."""
    oldest = sa.select(sa.func.max(FilterPerson.age)).scalar_subquery()
    named = sa.select(FilterPerson.id).where(FilterPerson.name == "jose")

    assert [6] == await found(people, {"age": oldest})
    assert [2] == await found(people, {"id__in": named})
    assert [1, 3, 6] == await found(people, {"age__gt": FilterPerson.id + 25})


async def test_any_iterable_is_a_collection(people: AndamiosEngine) -> None:
    """in_ and not_in take generators too."""
    builder = FilterBuilder(FilterPerson).in_("id", (number for number in range(3)))

    assert [1, 2] == await found(people, builder.not_in("age", iter([5])))


async def test_related_objects_are_values(people: AndamiosEngine) -> None:
    """A relationship is compared with an object, or with nothing."""
    red = await QueryBuilder(FilterTeam, people).filter_by(name="Red").one()

    assert [3, 4] == await found(people, {"team": red})
    assert [1, 2, 6] == await found(people, {"team": None})
    assert [3, 4, 5] == await found(people, {"team__ne": None})


EXPRESSIONS: dict[str, Any] = {
    "equal": lambda: FilterPerson.age == "18",
    "turned around": lambda: "18" > FilterPerson.age,
    "in": lambda: FilterPerson.age.in_([18, "19"]),
    "not in": lambda: FilterPerson.age.not_in(["18"]),
    "negated": lambda: ~(FilterPerson.age == "18"),
    "nested": lambda: sa.or_(FilterPerson.name == "Ana", sa.and_(FilterPerson.age < "3")),
    "out of range": lambda: FilterPerson.age == 1 << 70,
}


@pytest.mark.parametrize("name", EXPRESSIONS)
async def test_wrong_type_in_an_expression(engine: AndamiosEngine, name: str) -> None:
    """A value of the wrong type is refused alike, whoever wrote the comparison."""
    with pytest.raises(DataError, match="age"):
        await QueryBuilder(FilterPerson, engine).filter(EXPRESSIONS[name]()).execute()


async def test_right_types_in_an_expression(engine: AndamiosEngine) -> None:
    """What fits its column passes: NULL, SQL, and types that databases compare."""
    fitting = [
        FilterPerson.age == None,  # noqa: E711  SQLAlchemy's spelling
        FilterPerson.age == sa.func.length("abc"),
        FilterPerson.age.in_([]),
        FilterPerson.age.in_(sa.select(FilterPerson.id)),
        FilterPerson.name.like("A%"),
        FilterPerson.age > 17.5,
        FilterPerson.age.in_([17.5, 18]),
        FilterPerson.level < sa.literal(1 << 40, sa.BigInteger),
        FilterPerson.day <= dt.datetime(2000, 1, 1),  # noqa: DTZ001  as its column is
        FilterPerson.local >= dt.date(2000, 1, 1),
    ]
    for condition in fitting:
        assert [] == await QueryBuilder(FilterPerson, engine).filter(condition).execute()
