"""Statements without values: what is hidden, what stays, and which ones are the same."""

import pytest

from andamios.monitoring.fingerprints import fingerprint, mask_literals, operation_of

EVERYWHERE = [
    ("SELECT 1", "SELECT ?"),
    ("SELECT  a,\n\tb FROM t", "SELECT a, b FROM t"),
    ("SELECT * FROM t WHERE a = 'x' AND b = 'it''s'", "SELECT * FROM t WHERE a = ? AND b = ?"),
    ("WHERE a = '' OR b = ''''", "WHERE a = ? OR b = ?"),
    ("WHERE a = '--' AND b = '/*' AND c = '*/'", "WHERE a = ? AND b = ? AND c = ?"),
    ("WHERE a = 1.5e-3 AND b = .5 AND c = 0xFF", "WHERE a = ? AND b = ? AND c = ?"),
    ("WHERE a = -5", "WHERE a = -?"),
    ("SELECT t1.col2 FROM t1", "SELECT t1.col2 FROM t1"),
    ("SELECT 1 -- a secret's comment\nFROM t", "SELECT ? FROM t"),
    ("SELECT /* 'secret */ 1", "SELECT ?"),
    ("WHERE a IN (1, 2, 3)", "WHERE a IN (...)"),
    ("WHERE a IN ( 'x' )", "WHERE a IN (...)"),
    ("WHERE a IN (?, ?)", "WHERE a IN (...)"),
    ("WHERE a IN (:a, :b)", "WHERE a IN (...)"),
    ("WHERE a in (%s,%s)", "WHERE a in (...)"),
    ("WHERE a IN (%(a)s)", "WHERE a IN (...)"),
    ("VALUES (1, 'a'), (2, 'b')", "VALUES (...)"),
    ("WHERE a IN (SELECT 1)", "WHERE a IN (SELECT ?)"),
    ("f(1, 2)", "f(?, ?)"),
    ("WHERE a = 'no end, secret", "WHERE a = ?"),
    ("SELECT 1 /* no end 'secret'", "SELECT ?"),
    ("WHERE naïve = 'é'", "WHERE naïve = ?"),
    ("WHERE a = X'6162'", "WHERE a = ?"),
]

ON_ONE = [
    ("postgresql", r"a = 'C:\' AND b = 'secret'", "a = ? AND b = ?"),
    ("postgresql", r"a = E'it\'s' AND b = 'secret'", "a = ? AND b = ?"),
    ("postgresql", r"a = E'\\' AND b = 'secret'", "a = ? AND b = ?"),
    ("postgresql", "a = $$it's a secret$$ AND b = 1", "a = ? AND b = ?"),
    ("postgresql", "a = $tag$ $$ it's $tag$ AND b = 'x'", "a = ? AND b = ?"),
    ("postgresql", "a = $t$ no end: secret", "a = ?"),
    ("postgresql", "a$b$c = 'x'", "a$b$c = ?"),
    ("postgresql", "a = U&'d\\0061t' AND b = B'01'", "a = ? AND b = ?"),
    ("postgresql", "\"it's\" = 'secret'", '"it\'s" = ?'),
    ("postgresql", "a = $1::INTEGER", "a = ?::INTEGER"),
    ("postgresql", "IN ($1::INTEGER, $2::INTEGER)", "IN (...)"),
    ("postgresql", "IN ($1::TIMESTAMP WITH TIME ZONE, $2::TEXT[])", "IN (...)"),
    ("postgresql", "a #> '{b}' AND c = 'x'", "a #> ? AND c = ?"),
    ("sqlite", r"a = 'C:\' AND b = 'secret'", "a = ? AND b = ?"),
    ("sqlite", "`it's` = 'secret'", "`it's` = ?"),
    ("mysql", r"a = 'it\'s' AND b = 'secret'", "a = ? AND b = ?"),
    ("mysql", r"a = 'C:\\' AND b = 'secret'", "a = ? AND b = ?"),
    ("mysql", r"""a = "sec'ret\" too" AND b = "x""y" """, "a = ? AND b = ?"),
    ("mysql", "a = 1 # don't\nAND b = 'secret'", "a = ? AND b = ?"),
    ("mysql", "a = 5--1 AND b = 'secret'", "a = ?--? AND b = ?"),
    ("mysql", "`it's` = 'secret'", "`it's` = ?"),
    ("mariadb", r"a = 'it\'s' AND b = 'secret'", "a = ? AND b = ?"),
]

BACKENDS = ["sqlite", "postgresql", "mysql", "mariadb"]


@pytest.mark.parametrize("dialect", BACKENDS)
@pytest.mark.parametrize(("statement", "masked"), EVERYWHERE)
def test_masked_everywhere(statement: str, masked: str, dialect: str) -> None:
    """Strings, numbers, comments and lists of values are hidden; names stay."""
    assert masked == mask_literals(statement, dialect)


@pytest.mark.parametrize(("dialect", "statement", "masked"), ON_ONE)
def test_masked_as_the_backend_reads_it(dialect: str, statement: str, masked: str) -> None:
    """Quotes, escapes and comments are those of the backend, so that no value slips out."""
    assert masked == mask_literals(statement, dialect)


def test_equal_but_for_values() -> None:
    """A fingerprint is that of the statement, not of its values, spaces or comments."""
    same = {
        fingerprint(statement, "sqlite")
        for statement in (
            "SELECT a FROM t WHERE b IN (1, 2)",
            "SELECT a  FROM t\nWHERE b IN ('x')",
            "SELECT a FROM t /* page 3 */ WHERE b IN (?, ?, ?)",
        )
    }
    assert 1 == len(same)
    assert same != {fingerprint("SELECT b FROM t WHERE b IN (1)", "sqlite")}
    assert 12 == len(same.pop())


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("SELECT 1", "select"),
        ("  select 1", "select"),
        ("-- why\nSELECT 1", "select"),
        ("/* update */ (SELECT 1) UNION SELECT 2", "select"),
        ("INSERT INTO t VALUES (1)", "insert"),
        ("REPLACE INTO t VALUES (1)", "insert"),
        ("update t SET a = 'select'", "update"),
        ("DELETE FROM t", "delete"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "select"),
        ("WITH a AS (DELETE FROM t RETURNING id) INSERT INTO u SELECT * FROM a", "insert"),
        ("WITH a AS (SELECT ')') UPDATE t SET a = 1", "update"),
        ("BEGIN IMMEDIATE", "other"),
        ("PRAGMA foreign_keys", "other"),
        ("SELECTED", "other"),
        ("", "other"),
        ("'", "other"),
    ],
)
def test_operation(statement: str, operation: str) -> None:
    """What a statement does is found behind comments, brackets and WITH."""
    assert operation == operation_of(statement, "postgresql")


def test_long_statements_take_little_time() -> None:
    """Ten thousand values are masked at once, whatever they are nested in."""
    values = ", ".join(f"'{number}'" for number in range(10_000))
    assert "a IN (...)" == mask_literals(f"a IN ({values})", "postgresql")
    assert "a IN (" == mask_literals(f"a IN ({values} x", "postgresql")[:6]
