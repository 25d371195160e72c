"""Who wrote a row, and when."""

import asyncio
import datetime as dt
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from andamios import AsyncSession, acting_as, current_actor
from tests.models.domain import LibInvoice


async def saved(session: AsyncSession, total: int = 1) -> LibInvoice:
    """Write an invoice."""
    invoice = LibInvoice(total=Decimal(total))
    session.add(invoice)
    await session.flush()
    return invoice


async def test_nobody_is_known_outside_of_acting_as(db_session: AsyncSession) -> None:
    """Without a name there is none."""
    invoice = await saved(db_session)
    assert (None, None) == (invoice.created_by, invoice.updated_by)


async def test_author_is_who_acts(db_session: AsyncSession) -> None:
    """The user is kept as text."""
    with acting_as(42):
        invoice = await saved(db_session)
    assert ("42", "42") == (invoice.created_by, invoice.updated_by)


async def test_change_names_who_changed(db_session: AsyncSession) -> None:
    """A change names its own author, and leaves the first one alone."""
    with acting_as("ana"):
        invoice = await saved(db_session)
    with acting_as("julio"):
        invoice.total = Decimal(2)
        await db_session.flush()
    assert ("ana", "julio") == (invoice.created_by, invoice.updated_by)


async def test_bulk_update_names_who_changed(db_session: AsyncSession) -> None:
    """A set-based UPDATE names its author too."""
    with acting_as("ana"):
        invoice = await saved(db_session)
    with acting_as("julio"):
        await db_session.execute(update(LibInvoice).values(total=2))
    await db_session.refresh(invoice)
    assert ("ana", "julio") == (invoice.created_by, invoice.updated_by)


def test_blocks_nest() -> None:
    """The innermost block counts, and its end brings back the outer one."""
    with acting_as("ana"):
        with acting_as("julio"):
            assert "julio" == current_actor()
        assert "ana" == current_actor()
    assert current_actor() is None


def test_block_ends_after_an_error() -> None:
    """An error does not leave the user behind."""
    with pytest.raises(KeyError), acting_as("ana"):
        raise KeyError
    assert current_actor() is None


async def test_child_tasks_act_for_the_same_user() -> None:
    """A task inherits the user, and what it changes stays its own."""

    async def work() -> str | None:
        seen = current_actor()
        with acting_as("other"):
            await asyncio.sleep(0)
        return seen

    with acting_as("ana"):
        assert ["ana", "ana"] == await asyncio.gather(work(), work())
        assert "ana" == current_actor()


async def test_times_are_set_on_creation(db_session: AsyncSession) -> None:
    """Both times are those of the write, in UTC, on the object at once."""
    before = dt.datetime.now(dt.UTC)
    invoice = await saved(db_session)
    assert before <= invoice.created_at <= dt.datetime.now(dt.UTC)
    assert before <= invoice.updated_at <= dt.datetime.now(dt.UTC)


async def test_change_sets_its_time(db_session: AsyncSession) -> None:
    """A change leaves the time of creation and sets that of the change."""
    invoice = await saved(db_session)
    created, updated = invoice.created_at, invoice.updated_at
    await asyncio.sleep(0.001)
    invoice.total = Decimal(2)
    await db_session.flush()
    await db_session.refresh(invoice)
    assert created == invoice.created_at
    assert updated < invoice.updated_at


async def test_bulk_update_sets_its_time(db_session: AsyncSession) -> None:
    """A set-based UPDATE sets the time as well."""
    invoice = await saved(db_session)
    created, updated = invoice.created_at, invoice.updated_at
    await asyncio.sleep(0.001)
    await db_session.execute(update(LibInvoice).values(total=2))
    found = (await db_session.execute(select(LibInvoice.created_at, LibInvoice.updated_at))).one()
    assert created == found.created_at
    assert updated < found.updated_at


async def test_times_keep_microseconds(db_session: AsyncSession) -> None:
    """What comes back is what was written, to the microsecond."""
    invoices = [await saved(db_session) for _ in range(3)]
    times = [invoice.created_at for invoice in invoices]
    db_session.expunge_all()
    found = await db_session.scalars(select(LibInvoice.created_at).order_by(LibInvoice.id))
    assert times == list(found)
