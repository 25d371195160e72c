"""What ``import andamios`` brings along, and that the rest comes when a program uses it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "aiomysql",
    "aiosqlite",
    "alembic",
    "annotated_types",
    "asyncpg",
    "cryptography",
    "difflib",
    "fastapi",
    "matplotlib",
    "msgspec",
    "opentelemetry",
    "prometheus_client",
    "pydantic",
    "pymysql",
    "redis",
    "rich",
    "sqlalchemy.dialects.mysql",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "sqlite3",
    "starlette",
    "tenacity",
    "typer",
    "uvloop",
)
"""What takes long to import, and what not every program uses."""

MODEL = """
from decimal import Decimal
from andamios import BaseModel
from sqlalchemy.orm import Mapped

class Crate(BaseModel):
    name: Mapped[str]
    price: Mapped[Decimal]
    is_open: Mapped[bool]
"""

JSON_MODEL = """
from andamios import BaseModel
from sqlalchemy.orm import Mapped

class Crate(BaseModel):
    labels: Mapped[dict[str, str]]
"""

FIELD_RULE = """
from typing import Annotated
from andamios import BaseModel, FieldValidationError
from annotated_types import Ge
from sqlalchemy.orm import Mapped

class Crate(BaseModel):
    weight: Mapped[Annotated[int, Ge(0)]]

try:
    Crate(weight=-1)
except FieldValidationError:
    print("refused")
"""

QUERY_STRING = """
from andamios import BaseModel, FilterBuilder
from sqlalchemy.orm import Mapped

class Crate(BaseModel):
    weight: Mapped[int]

print(FilterBuilder(Crate).from_query_params("weight=7", "weight").conditions[0].right.value)
"""

SCHEMA = """
from andamios import AndamiosEngine, BaseModel, QueryBuilder, run
from sqlalchemy.orm import Mapped

class Crate(BaseModel):
    weight: Mapped[int]

async def main():
    from pydantic import BaseModel as Schema

    class CrateRead(Schema):
        weight: int

    async with AndamiosEngine("sqlite://") as engine:
        await engine.create_all(BaseModel)
        print(await QueryBuilder(Crate, engine).as_models(CrateRead))

run(main())
"""

MISSPELT = """
from andamios import BaseModel, QueryBuilder, UnknownFieldError
from sqlalchemy.orm import Mapped

class Crate(BaseModel):
    weight: Mapped[int]

try:
    QueryBuilder(Crate).order_by("wieght").statement()
except UnknownFieldError as error:
    print("'weight'?" in str(error))
"""


def run(code: str) -> tuple[str, set[str]]:
    """Give what a new process prints, and those of ``HEAVY`` that it has imported in the end."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    printed, _, modules = done.stdout.strip().rpartition("\n")
    return printed, set(HEAVY) & set(modules.split())


def test_nothing_is_imported_that_is_not_used() -> None:
    """The package comes without dialects, drivers, pydantic and what its extras need."""
    _, found = run("import andamios")
    assert set() == found


def test_a_plain_model_needs_little() -> None:
    """A model of plain types needs MySQL's dialect alone, which checks a table's collation."""
    _, found = run(MODEL)
    assert {"sqlalchemy.dialects.mysql"} == found


@pytest.mark.parametrize("dialect", ["mysql", "postgresql", "sqlite"])
def test_an_engine_brings_its_own_dialect(dialect: str) -> None:
    """An engine imports the dialect of its backend, and no other."""
    url = "sqlite://" if dialect == "sqlite" else f"{dialect}://user:secret@localhost/shop"
    _, found = run(f"from andamios import AndamiosEngine\nAndamiosEngine({url!r})")
    assert {f"sqlalchemy.dialects.{dialect}"} == {name for name in found if "dialects" in name}
    assert "pydantic" not in found


@pytest.mark.parametrize(
    ("code", "printed", "brings"),
    [
        (FIELD_RULE, "refused", "pydantic"),
        (QUERY_STRING, "7", "pydantic"),
        (SCHEMA, "[]", "pydantic"),
        (MISSPELT, "True", "difflib"),
        (JSON_MODEL, "", "sqlalchemy.dialects.postgresql"),
    ],
)
def test_what_is_used_comes_in_time(code: str, printed: str, brings: str) -> None:
    """What a program uses is imported when it does, and works then."""
    found = run(code)
    assert (printed, True) == (found[0], brings in found[1])
