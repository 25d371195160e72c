"""Plans: asked of every database, read as one tree, shown as text and as a picture."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from andamios import BaseModel, GenericRepository, MissingDependencyError, QueryBuilder
from andamios.core.facts import QueryFinished
from andamios.models.base import SoftDeleteModel
from andamios.queries import QueryOptimizer, QueryPlan
from andamios.queries.planning import mariadb, mysql, postgresql, sqlite

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class PlanCity(BaseModel):
    name: Mapped[str] = mapped_column(index=True)
    size: Mapped[int]


class PlanHouse(SoftDeleteModel):
    city_id: Mapped[int]
    rooms: Mapped[int]


async def _fill(engine: AndamiosEngine, count: int = 2000) -> None:
    cities = ({"name": f"city {number}", "size": number % 100} for number in range(count))
    await GenericRepository[PlanCity](engine).create_many(cities)


async def test_a_key_is_looked_up(engine: AndamiosEngine) -> None:
    """Every database has the same word for the shortest way to a row."""
    await _fill(engine)
    plan = await QueryOptimizer(engine).analyze_query(sa.select(PlanCity).where(PlanCity.id == 5))
    assert ["primary key lookup"] == [each.node for each in plan.walk()][-1:]


async def test_an_index_is_named(engine: AndamiosEngine) -> None:
    """The plan says which table is read through which index."""
    await _fill(engine)
    plan = await QueryBuilder(PlanCity, engine).filter_by(name="city 7").explain()
    assert plan.uses_index("ix_plan_city_name")
    assert "plan_city" in {each.table for each in plan.walk()}


async def test_a_scan_and_a_sort(engine: AndamiosEngine) -> None:
    """What no index serves is a scan of the table, and a sort above it."""
    await _fill(engine)
    plan = await QueryBuilder(PlanCity, engine).order_by("size").explain()
    (sort,) = plan.find("sort")
    assert ["plan_city"] == [each.table for each in sort.find("sequential scan")]


async def test_rows_are_counted(engine: AndamiosEngine, backend: str) -> None:
    """With analyze the statement runs, and says how many rows came."""
    await _fill(engine)
    query = QueryBuilder(PlanCity, engine).filter_by(size=7)
    plan = await query.explain(analyze=True)
    assert (None if backend == "sqlite" else 20) == plan.actual_rows
    assert (await query.explain()).actual_rows is None


async def test_a_join(engine: AndamiosEngine) -> None:
    """A join reads its tables from below."""
    await _fill(engine)
    houses = ({"city_id": number, "rooms": 3} for number in range(1, 500))
    await GenericRepository[PlanHouse](engine).create_many(houses)
    on = PlanHouse.city_id == PlanCity.id
    plan = await QueryBuilder(PlanCity, engine).join(PlanHouse, on).only(PlanCity.name).explain()
    (join,) = [each for each in plan.walk() if each.node.endswith((" join", "nested loop"))]
    assert {"plan_city", "plan_house"} <= {each.table for each in join.walk()}


async def test_inside_a_session(engine: AndamiosEngine, backend: str) -> None:
    """A query of a session is explained in its transaction, with its own rows."""
    async with engine.session() as session:
        session.add_all([PlanCity(name="x", size=1) for _ in range(3)])
        await session.flush()
        plan = await QueryBuilder(PlanCity).filter_by(name="x").explain(analyze=True)
        await session.rollback()
    assert (None if backend == "sqlite" else 3) == plan.actual_rows


async def test_hidden_rows_are_in_the_plan(engine: AndamiosEngine, backend: str) -> None:
    """What is explained is what a session sends, with the condition on deleted rows."""
    houses = GenericRepository[PlanHouse](engine)
    made = [PlanHouse(city_id=number, rooms=3) for number in range(10)]
    await houses.create_many(made)
    await houses.delete_where({"city_id__lt": 4})
    plan = await QueryOptimizer(engine).analyze_query(sa.select(PlanHouse), analyze=True)
    if backend == "sqlite":
        assert "deleted_at" in " ".join(each.detail for each in plan.walk())
    else:
        assert 6 == plan.actual_rows


async def test_values_stay_bound(engine: AndamiosEngine) -> None:
    """No value of the caller gets into the text of a statement, in a plan or in advice."""
    await _fill(engine, 300)
    seen: list[str] = []

    def note(fact: QueryFinished) -> None:
        seen.append(fact.statement)

    engine.hooks.listen(QueryFinished, note)
    query = QueryBuilder(PlanCity, engine).filter_by(name="o'secret", size=4711)
    await query.explain(analyze=True)
    await QueryOptimizer(engine).suggest_indexes(query)
    engine.hooks.remove(QueryFinished, note)
    assert [] != [text for text in seen if "EXPLAIN" in text]
    assert [] == [text for text in seen if "secret" in text or "4711" in text]


TREE = QueryPlan(
    "sort",
    cost=9.5,
    children=(
        QueryPlan(
            "nested loop",
            children=(
                QueryPlan("sequential scan", "city", estimated_rows=2000, actual_rows=1999),
                QueryPlan("index scan", "house", "ix_house_city"),
            ),
        ),
    ),
)


def test_text() -> None:
    """The text is a tree."""
    expected = (
        "sort  (9.5 cost)\n"
        "└─ nested loop\n"
        "   ├─ sequential scan on city  (2,000 rows, 1,999 came)\n"
        "   └─ index scan on house using ix_house_city"
    )
    assert expected == str(TREE)


def test_a_notebook_stores_the_tree_as_text() -> None:
    """Where only text can be shown, the tree is, and not the fields of its nodes."""
    pretty = pytest.importorskip("IPython.lib.pretty")
    assert str(TREE) == pretty.pretty(TREE)
    inside = pretty.pretty([TREE]).splitlines()
    assert (str(TREE).splitlines()[0], 4) == (inside[0].removeprefix("["), len(inside))


def test_postgresqls_hash_has_a_word() -> None:
    """The table that a hash join looks into is built by a node of its own."""
    scan = {"Node Type": "Seq Scan", "Relation Name": "city"}
    build = {"Node Type": "Hash", "Plans": [scan]}
    answer = [{"Plan": {"Node Type": "Hash Join", "Plans": [scan, build]}}]
    nodes = [each.node for each in postgresql.read([(answer,)]).walk()]
    assert ["hash join", "sequential scan", "hash", "sequential scan"] == nodes


def test_picture() -> None:
    """The picture has each node, in a notebook too."""
    figure = TREE.plot()
    words = {text.get_text() for text in figure.axes[0].texts}
    assert {each.title for each in TREE.walk()} == words
    assert "<svg" in str(TREE._repr_svg_())


def test_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib the error names the extra, and a notebook shows the text."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"andamios\[tour\]"):
        TREE.plot()
    assert TREE._repr_svg_() is None


# As MariaDB 10.11 answers to ANALYZE FORMAT=JSON of a join, without its times.
MARIADB = """{"query_optimization": {"r_total_time_ms": 0.1}, "query_block": {
"select_id": 1, "r_loops": 1, "filesort": {"sort_key": "zz.b", "r_output_rows": 1,
"temporary_table": {"nested_loop": [
{"table": {"table_name": "zz", "access_type": "ref", "key": "a", "rows": 2, "r_rows": 2,
"filtered": 100, "r_filtered": 50, "attached_condition": "zz.c <> 'it\\'s'"}},
{"table": {"table_name": "yy", "access_type": "eq_ref", "key": "PRIMARY", "rows": 1, "r_rows": 0,
"using_index": true}}]}}}}"""

MARIADB_TREE = """\
sort  (1 came)
└─ materialize
   └─ nested loop
      ├─ filter  (2 rows, 1 came)
      │  └─ index scan on zz using a  (2 rows, 2 came)
      └─ primary key lookup on yy using PRIMARY  (1 rows, 0 came)"""

# As MySQL 8 answers to EXPLAIN FORMAT=JSON.
MYSQL_8 = """{"query_block": {"select_id": 1, "cost_info": {"query_cost": "2.50"},
"ordering_operation": {"using_filesort": true, "table": {"table_name": "zz",
"access_type": "ALL", "rows_examined_per_scan": 20, "cost_info": {"prefix_cost": "2.25"}}}}}"""


@pytest.mark.parametrize(
    ("read", "answer", "expected"),
    [
        (
            mariadb.read,
            MARIADB,
            MARIADB_TREE,
        ),
        (
            mysql.read,
            MYSQL_8,
            "result  (2.5 cost)\n└─ sort\n   └─ sequential scan on zz  (20 rows, 2.2 cost)",
        ),
    ],
)
def test_answers_in_blocks(read: Any, answer: str, expected: str) -> None:
    """The blocks of MariaDB, and of MySQL before version 9, are read into the same tree."""
    assert expected == str(read([(answer,)]))


def test_sqlites_words() -> None:
    """Rows with ids and parents become a tree, with what is done to them above."""
    rows = [
        (3, 0, 0, "CO-ROUTINE recent"),
        (7, 3, 0, "SCAN b USING COVERING INDEX ix_b"),
        (20, 0, 0, "SCAN recent"),
        (30, 0, 0, "SEARCH a USING AUTOMATIC COVERING INDEX (x=?)"),
        (40, 0, 0, "USE TEMP B-TREE FOR GROUP BY"),
        (50, 0, 0, "USE TEMP B-TREE FOR ORDER BY"),
    ]
    expected = (
        "sort\n"
        "└─ aggregate\n"
        "   └─ nested loop\n"
        "      ├─ subquery\n"
        "      │  └─ index only scan on b using ix_b\n"
        "      ├─ sequential scan on recent\n"
        "      └─ index only scan on a"
    )
    assert expected == str(sqlite.read(rows))
