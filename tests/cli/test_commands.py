"""The commands beside the tour, each as somebody types it in a folder with a program."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
from sqlalchemy import select
from sqlalchemy.orm import Mapped
from andamios import BaseModel, QueryBuilder

class ShopItem(BaseModel):
    name: Mapped[str]
    price: Mapped[int]

cheap = select(ShopItem).where(ShopItem.price == 3).order_by(ShopItem.name)

def dear():
    return QueryBuilder(ShopItem).filter(ShopItem.price > 5)
"""

FILL = """
import andamios
from andamios import AndamiosEngine, GenericRepository
from shop import ShopItem

async def main():
    async with AndamiosEngine("sqlite:///shop.db") as engine:
        await engine.create_all(ShopItem)
        rows = ({"name": f"n{i}", "price": i % 500} for i in range(5000))
        await GenericRepository[ShopItem](engine).create_many(rows)

andamios.run(main())
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a module of models in it."""
    (tmp_path / "shop.py").write_text(PROGRAM)
    return tmp_path


def andamios(
    folder: Path, *arguments: str, stdin: str = "", **environment: str
) -> tuple[int, str, str]:
    """Run a command in a folder, on the database shop.db there unless told otherwise."""
    set_ = {"ANDAMIOS_DATABASE_URL": "sqlite:///shop.db", **environment}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "andamios", *arguments],
        cwd=folder,
        env={**os.environ, **set_, "COLUMNS": "200"},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_health(shop: Path) -> None:
    """A database that answers is healthy, in a table and as JSON."""
    code, table, _errors = andamios(shop, "health")
    _code, text, _errors = andamios(shop, "health", "--json")

    assert 0 == code
    assert "database" in table
    assert json.loads(text)["is_healthy"]


def test_health_of_what_is_not_there(shop: Path) -> None:
    """A server that does not answer is unhealthy, and ends with 1."""
    url = "postgresql://u:hidden@127.0.0.1:1/x"
    code, text, errors = andamios(shop, "health", "--json", "--database-url", url)

    assert (1, "") == (code, errors)
    assert not json.loads(text)["checks"]["database"]["is_healthy"]
    assert "hidden" not in text


def test_no_database_is_one_line(shop: Path) -> None:
    """Who names no database is told how to."""
    code, output, errors = andamios(shop, "health", ANDAMIOS_DATABASE_URL="")

    assert (2, "", 1) == (code, output, len(errors.splitlines()))
    assert "ANDAMIOS_DATABASE_URL" in errors


def test_migrations_from_nothing_and_back(shop: Path) -> None:
    """Generate, apply, check, list, and undo."""
    before = andamios(shop, "migrate", "check", "--models", "shop")
    made = andamios(shop, "migrate", "generate", "items", "--models", "shop")
    sql = andamios(shop, "migrate", "sql")
    applied = andamios(shop, "migrate", "apply")
    after = andamios(shop, "migrate", "check", "--models", "shop")
    _code, history, _errors = andamios(shop, "migrate", "history", "--json")
    undone = andamios(shop, "migrate", "rollback", "base")

    assert (1, 0, 0, 0, 0) == (before[0], made[0], applied[0], after[0], undone[0])
    assert "shop_item" in before[1]
    assert "CREATE TABLE shop_item" in sql[1]
    assert "1/1" in applied[1]
    assert [("items", True)] == [(each["message"], each["applied"]) for each in json.loads(history)]
    assert json.loads(history)[0]["revision"] in undone[1]


def test_a_dangerous_migration_is_found(shop: Path) -> None:
    """Lint needs no database, and ends with 1 when it finds something."""
    andamios(shop, "migrate", "generate", "items", "--models", "shop")
    (script,) = (shop / "migrations" / "versions").glob("*.py")
    text = script.read_text()
    begin, end = text.index("def upgrade"), text.index("def downgrade")
    drop = "def upgrade():\n    op.drop_column('a', 'b')\n\n\n"
    script.write_text(text[:begin] + drop + text[end:])
    code, found, _errors = andamios(
        shop, "migrate", "lint", "--backend", "postgresql", ANDAMIOS_DATABASE_URL=""
    )

    assert 1 == code
    assert "drop" in found.lower()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("migrate", "apply"), "migrations"),
        (("migrate", "check", "--models", "shopp"), "shopp"),
        (("migrate", "check", "--models", "shop:nothing"), "nothing"),
        (("migrate", "check", "--models", "shop:cheap"), "declarative base"),
        (("explain", "shop:nothing"), "nothing"),
        (("explain", "SELEC 1"), "SELEC 1"),
    ],
)
def test_a_mistake_is_one_line(shop: Path, arguments: tuple[str, ...], says: str) -> None:
    """What cannot be done is said in one line that names it."""
    code, output, errors = andamios(shop, *arguments)

    assert (2, "", 1) == (code, output, len(errors.splitlines()))
    assert says in errors


def test_explain(shop: Path) -> None:
    """A plan of SQL; of a query of the program also the index that helps, with its proof."""
    subprocess.run([sys.executable, "-c", FILL], cwd=shop, check=True, timeout=60)
    plain = andamios(shop, "explain", "SELECT * FROM shop_item WHERE price = 3")
    select = andamios(shop, "explain", "shop:cheap")
    code, builder, _errors = andamios(shop, "explain", "shop:dear", "--json")

    assert (0, 0, 0) == (plain[0], select[0], code)
    assert "sequential scan on shop_item" in plain[1]
    assert "CREATE INDEX ix_shop_item_price" in select[1]
    assert "times less" in select[1]
    assert "sequential scan" == json.loads(builder)["plan"]["node"]


def test_secrets(shop: Path) -> None:
    """Kept encrypted, used by name, listed without values, and brought under another key."""
    keys = {"ANDAMIOS_SECRETS_KEY_FILE": "one.key"}
    made = [andamios(shop, "secrets", "key", name) for name in ("one.key", "two.key")]
    added = andamios(shop, "secrets", "add", "main", stdin="sqlite:///named.db\n", **keys)
    used = andamios(shop, "health", "--database-url", "secret:main", **keys)
    rotated = andamios(shop, "secrets", "rotate", "two.key", **keys)
    old = andamios(shop, "secrets", "list", **keys)
    keys = {"ANDAMIOS_SECRETS_KEY_FILE": "two.key"}
    listed = andamios(shop, "secrets", "list", "--json", **keys)
    shown = andamios(shop, "secrets", "show", "main", **keys)

    assert [0] * 4 == [code for code, _output, _errors in (*made, added, rotated)]
    assert (0, True) == (used[0], (shop / "named.db").exists())
    assert (2, "", 1) == (*old[:2], len(old[2].splitlines()))
    assert ["main"] == json.loads(listed[1])
    assert "sqlite:///named.db\n" == shown[1]
    assert b"named.db" not in (shop / "andamios-secrets").read_bytes()
    assert "named.db" not in added[1] + added[2] + old[2]


def test_an_audit_trail_is_verified(shop: Path) -> None:
    """What was sealed is intact until somebody changes it, and then the end is 1."""
    trail = """
import andamios
from andamios.security import AuditLogger

async def main():
    async with andamios.AndamiosEngine("sqlite:///shop.db") as engine:
        audit = AuditLogger(engine)
        await audit.create_tables()
        for row in range(3):
            await audit.log_data_access("ann", "patient", "read", row=row)

andamios.run(main())
"""
    subprocess.run([sys.executable, "-c", trail], cwd=shop, check=True, timeout=60)
    sealed = andamios(shop, "audit", "seal")
    intact = andamios(shop, "audit", "verify", "--json")
    head = json.loads(intact[1])["head"]
    with closing(sqlite3.connect(shop / "shop.db")) as connection:
        (table,) = connection.execute(
            "SELECT name FROM sqlite_master WHERE sql LIKE '%user_id%' AND type = 'table'"
        ).fetchone()
        connection.execute(f"UPDATE {table} SET user_id = 'bob' WHERE id = 2")
        connection.commit()
    expected = f"{head['sealed']}:{head['hash']}"
    broken = andamios(shop, "audit", "verify", "--expected-head", expected)
    wrong = andamios(shop, "audit", "verify", "--expected-head", "nonsense")

    assert (0, 0, 1, 2) == (sealed[0], intact[0], broken[0], wrong[0])
    assert "Sealed 3" in sealed[1]
    assert json.loads(intact[1])["is_intact"]
    assert "link 2 was changed" in broken[1]
