"""Errors: the same mistake raises the same class with the same facts."""

import decimal
from typing import Any

import pytest
import sqlalchemy as sa

from andamios import (
    AsyncSession,
    CheckViolationError,
    ConstraintError,
    DataError,
    DuplicateError,
    ForeignKeyError,
    GenericRepository,
    NotNullError,
    QueryBuilder,
    QueryError,
)
from harness.conformance.models import ConformanceAuthor, ConformanceTicket, ConformanceValue

__all__ = ["TestConstraints", "TestDataErrors"]

TABLE = "conformance_ticket"

Facts = tuple[str | None, tuple[str, ...] | None, str | None]


def facts(error: ConstraintError) -> Facts:
    """Give constraint, columns and table of an error."""
    return error.constraint, error.columns, error.table


async def refused(
    session: AsyncSession, kind: type[ConstraintError], **columns: Any
) -> ConstraintError:
    """Store a ticket that a constraint forbids and give the error."""
    with pytest.raises(kind) as caught:
        await GenericRepository[ConformanceTicket](session).create(ConformanceTicket(**columns))
    assert kind is type(caught.value)
    return caught.value


class TestConstraints:
    """Rules of the table."""

    @pytest.mark.capability("errors: DuplicateError tells constraint, columns, table")
    async def test_duplicate(self, db_session: AsyncSession) -> None:
        """A value that is taken."""
        await GenericRepository[ConformanceTicket](db_session).create(ConformanceTicket(code="a"))
        error = await refused(db_session, DuplicateError, code="a")

        assert ("uq_conformance_ticket_code", ("code",), TABLE) == facts(error)

    @pytest.mark.capability("errors: DuplicateError tells constraint, columns, table")
    async def test_duplicate_pair(self, db_session: AsyncSession) -> None:
        """Two values that are taken together; each alone is free."""
        tickets = GenericRepository[ConformanceTicket](db_session)
        await tickets.create_many([{"train": "a", "number": 1}, {"train": "a", "number": 2}])
        error = await refused(db_session, DuplicateError, train="a", number=1)

        assert ("uq_conformance_ticket_train_number", ("train", "number"), TABLE) == facts(error)

    @pytest.mark.capability("errors: DuplicateError tells constraint, columns, table")
    async def test_duplicate_key(self, db_session: AsyncSession) -> None:
        """A primary key that is taken."""
        tickets = GenericRepository[ConformanceTicket](db_session)
        key = (await tickets.create(ConformanceTicket())).id
        db_session.expunge_all()
        error = await refused(db_session, DuplicateError, id=key)

        assert ("pk_conformance_ticket", ("id",), TABLE) == facts(error)

    @pytest.mark.capability("errors: DuplicateError in a set-based update")
    async def test_duplicate_by_update(self, db_session: AsyncSession) -> None:
        """An update that makes two rows equal."""
        tickets = GenericRepository[ConformanceTicket](db_session)
        await tickets.create_many([{"code": "a"}, {"code": "b"}])
        with pytest.raises(DuplicateError) as caught:
            await tickets.update_where({"code": "b"}, {"code": "a"})

        assert ("uq_conformance_ticket_code", ("code",), TABLE) == facts(caught.value)

    @pytest.mark.capability("errors: ForeignKeyError for a missing parent")
    async def test_missing_parent(self, db_session: AsyncSession) -> None:
        """A row that refers to none; the table is that of the row."""
        error = await refused(db_session, ForeignKeyError, parent_id=12345)

        assert TABLE == error.table

    @pytest.mark.capability("errors: ForeignKeyError tells constraint and columns")
    async def test_missing_parent_facts(self, db_session: AsyncSession) -> None:
        """Which of the table's foreign keys it was."""
        error = await refused(db_session, ForeignKeyError, parent_id=12345)

        assert ("fk_conformance_ticket_parent_id", ("parent_id",), TABLE) == facts(error)

    @pytest.mark.capability("errors: ForeignKeyError for a row that is referred to")
    async def test_children(self, db_session: AsyncSession) -> None:
        """A row that others refer to cannot be deleted, and stays usable."""
        tickets = GenericRepository[ConformanceTicket](db_session)
        parent = await tickets.create(ConformanceTicket(code="parent"))
        await tickets.create(ConformanceTicket(parent_id=parent.id))
        with pytest.raises(ForeignKeyError):
            await tickets.delete(parent.id)

        assert ("parent", 2) == (parent.code, await tickets.count())

    @pytest.mark.capability("errors: NotNullError tells columns, table")
    async def test_not_null(self, db_session: AsyncSession) -> None:
        """A value that is required and missing."""
        with pytest.raises(NotNullError) as caught:
            await GenericRepository[ConformanceAuthor](db_session).create(ConformanceAuthor())

        assert (None, ("name",), "conformance_author") == facts(caught.value)

    @pytest.mark.capability("errors: CheckViolationError tells constraint, table")
    async def test_check(self, db_session: AsyncSession) -> None:
        """A CHECK that does not hold."""
        error = await refused(db_session, CheckViolationError, seats=0)

        assert ("ck_conformance_ticket_seats_positive", None, TABLE) == facts(error)

    @pytest.mark.capability("errors: no values in messages")
    async def test_no_values(self, db_session: AsyncSession) -> None:
        """A message names statement and constraint, and shows nobody's data."""
        secret = "ana@example.org"  # noqa: S105
        await GenericRepository[ConformanceTicket](db_session).create(
            ConformanceTicket(code=secret)
        )
        error = await refused(db_session, DuplicateError, code=secret)

        assert secret not in str(error)
        assert "uq_conformance_ticket_code" in str(error)
        assert error.statement is not None


class TestDataErrors:
    """Values that do not fit their column."""

    @pytest.mark.capability("errors: DataError for a value that does not fit")
    @pytest.mark.parametrize(
        "columns",
        [
            {"whole": 1 << 63},
            {"whole": "2"},
            {"amount": decimal.Decimal(10**11)},
            {"amount": decimal.Decimal("NaN")},
            {"moment": "yesterday"},
            {"code": "no uuid"},
            {"colour": "BLUE"},
            {"label": "x" * 256},
            {"label": 5},
        ],
        ids=lambda columns: "-".join(f"{name} {value!r:.15}" for name, value in columns.items()),
    )
    async def test_values(self, db_session: AsyncSession, columns: dict[str, Any]) -> None:
        """Refused by the same class, never cut off, rounded away or taken as it is."""
        with pytest.raises(DataError):
            await GenericRepository[ConformanceValue](db_session).create_many([columns])

        assert 0 == await GenericRepository[ConformanceValue](db_session).count()

    @pytest.mark.capability("errors: QueryError for a statement that is wrong")
    async def test_bad_sql(self, db_session: AsyncSession) -> None:
        """A statement that the database does not understand, with the database's code."""
        with pytest.raises(QueryError) as caught:
            async with db_session.begin_nested():
                await db_session.execute(sa.text("SELECT * FROM conformance_nowhere"))

        assert caught.value.code is not None
        assert 0 == await QueryBuilder(ConformanceTicket, db_session).count()
