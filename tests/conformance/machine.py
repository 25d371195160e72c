"""
A repository beside a plain dict: whatever is done to both, they hold the same.

Hypothesis chooses the operations and their values, and shortens a sequence that fails.
A nightly run takes more and longer ones: ``--hypothesis-profile=nightly``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import delete
from sqlalchemy.orm import Mapped, mapped_column

from andamios import (
    AndamiosEngine,
    AsyncSession,
    DuplicateError,
    GenericRepository,
    NotFoundError,
    SoftDeleteModel,
    StaleVersionError,
    VersioningMixin,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

__all__ = ["MachineCrate", "RepositoryMachine"]

R = TypeVar("R")
Order = tuple[str, bool, bool]
"""A field, whether it is descending, and whether NULLs come first."""

CODES = st.sampled_from(["a", "A", "b", "é", "e", "", " ", "100%", "a_b"])
WEIGHTS = st.none() | st.sampled_from([-1, 0, 1, 2, 2**62])
LABELS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
ORDERS = st.lists(
    st.tuples(st.sampled_from(["weight", "label", "code"]), st.booleans(), st.booleans()),
    min_size=1,
    max_size=3,
    unique_by=lambda part: part[0],
)
PICKS = st.integers(0, 50)
"""Which of the stored rows, counted round and round; so that any number finds one."""


class MachineCrate(VersioningMixin, SoftDeleteModel):
    """A unique text, a value that may be missing, a version and a mark of deletion."""

    code: Mapped[str] = mapped_column(unique=True)
    weight: Mapped[int | None]
    label: Mapped[str]


@dataclass(frozen=True)
class Crate:
    """What is known of a row."""

    code: str
    weight: int | None
    label: str
    version: int = 1
    is_deleted: bool = False

    def changed(self, **values: Any) -> Crate:
        """What it is after an update."""
        return replace(self, version=self.version + 1, **values)


def _expression(part: Order) -> Any:
    name, descending, nulls_first = part
    attribute = getattr(MachineCrate, name)
    ordered = attribute.desc() if descending else attribute.asc()
    return ordered.nulls_first() if nulls_first else ordered.nulls_last()


class RepositoryMachine(RuleBasedStateMachine):
    """
    Every rule does the same to the database and to the dict.

    Args:
        runner: Runs what has to be awaited.
        engine: Of a database that has the table.
    """

    def __init__(self, runner: asyncio.Runner, engine: AndamiosEngine) -> None:
        super().__init__()
        self._runner = runner
        self._engine = engine
        self._manager: AbstractAsyncContextManager[AsyncSession] | None = None
        self._bind: AndamiosEngine | AsyncSession = engine
        self.rows: dict[int, Crate] = {}
        self._before: dict[int, Crate] = {}

    # -- how

    def run(self, work: Awaitable[R]) -> R:
        """Wait for something."""

        async def wait() -> R:
            return await work

        return self._runner.run(wait())

    @property
    def crates(self) -> GenericRepository[MachineCrate]:
        """The repository, on the open session or on the engine."""
        return GenericRepository[MachineCrate](self._bind)

    def teardown(self) -> None:
        """Leave an empty table."""
        self.end(commit=False)

        async def empty() -> None:
            async with self._engine.connections.acquire() as connection, connection.begin():
                await connection.execute(delete(MachineCrate.__table__))

        self.run(empty())

    def live(self, fits: Callable[[Crate], bool] = lambda _: True) -> dict[int, Crate]:
        """The rows that are to be seen."""
        return {k: row for k, row in self.rows.items() if not row.is_deleted and fits(row)}

    def pick(self, pick: int) -> int:
        """Choose a key: of a row, deleted or not, or of none."""
        keys = [*sorted(self.rows), 2**40]
        return keys[pick % len(keys)]

    def is_taken(self, code: str, key: int | None = None) -> bool:
        """Whether another row that is there has this code."""
        return any(row.code == code for k, row in self.live().items() if k != key)

    # -- transactions

    @precondition(lambda self: self._manager is None)
    @rule()
    def begin(self) -> None:
        """Work in one session for a while."""
        self._manager = self._engine.session(is_current=False)
        self._bind = self.run(self._manager.__aenter__())
        self._before = dict(self.rows)

    @precondition(lambda self: self._manager is not None)
    @rule(commit=st.booleans())
    def end(self, *, commit: bool) -> None:
        """Commit the session, or roll it back."""
        manager, session = self._manager, self._bind
        if manager is None or not isinstance(session, AsyncSession):
            return
        if not commit:
            self.run(session.rollback())
            self.rows = self._before
        self.run(manager.__aexit__(None, None, None))
        self._manager, self._bind = None, self._engine

    # -- writes

    @rule(code=CODES, weight=WEIGHTS, label=LABELS)
    def create(self, code: str, weight: int | None, label: str) -> None:
        """A new row, unless its code is taken."""
        work = self.crates.create(MachineCrate(code=code, weight=weight, label=label))
        if self.is_taken(code):
            self.refused(DuplicateError, work)
            return
        crate = self.run(work)
        assert crate.id not in self.rows
        self.rows[crate.id] = Crate(code, weight, label)

    @rule(codes=st.lists(CODES, max_size=4), weight=WEIGHTS)
    def create_many(self, codes: list[str], weight: int | None) -> None:
        """All of them, or none."""
        rows = [{"code": code, "weight": weight, "label": ""} for code in codes]
        work = self.crates.create_many(rows, returning="keys", batch=2)
        if len(set(codes)) < len(codes) or any(map(self.is_taken, codes)):
            self.refused(DuplicateError, work)
            return
        keys = self.run(work)
        assert len(codes) == len(keys)
        self.rows |= {k: Crate(code, weight, "") for k, code in zip(keys, codes, strict=True)}

    def by_code(self, code: str) -> int | None:
        """The key of the row that has this code, if one is to be seen."""
        return next(iter(self.live(lambda row: row.code == code)), None)

    @rule(code=CODES, weight=WEIGHTS, label=LABELS)
    def upsert(self, code: str, weight: int | None, label: str) -> None:
        """A new row, or other values in the one with this code."""
        values = {"code": code, "weight": weight, "label": label}
        crate = self.run(self.crates.upsert(values, on=["code"]))
        self._upserted(crate.id, values)
        assert self.rows[crate.id].version == crate.version

    @rule(codes=st.lists(CODES, max_size=4, unique=True), weight=WEIGHTS, label=LABELS)
    def upsert_many(self, codes: list[str], weight: int | None, label: str) -> None:
        """The same for several rows at once."""
        rows = [{"code": code, "weight": weight, "label": label} for code in codes]
        assert len(codes) == self.run(self.crates.upsert_many(rows, on=["code"], batch=3))
        for row in rows:
            found = self.run(self.crates.find_one({"code": row["code"]}))
            assert found is not None
            self._upserted(found.id, row)

    def _upserted(self, key: int, values: dict[str, Any]) -> None:
        assert self.by_code(values["code"]) in {None, key}
        row = self.rows.get(key)
        self.rows[key] = Crate(**values) if row is None else row.changed(**values)

    @rule(code=CODES, weight=WEIGHTS)
    def get_or_create(self, code: str, weight: int | None) -> None:
        """A new row, or the one that is there, as it is."""
        known = self.by_code(code)
        defaults = {"weight": weight, "label": "new"}
        crate, is_new = self.run(self.crates.get_or_create({"code": code}, defaults))
        assert (known is None, known or crate.id) == (is_new, crate.id)
        if is_new:
            self.rows[crate.id] = Crate(code, weight, "new")

    @rule(code=CODES, label=LABELS)
    def update_or_create(self, code: str, label: str) -> None:
        """A new row, or another label on the one that is there."""
        known = self.by_code(code)
        crate, is_new = self.run(self.crates.update_or_create({"code": code}, {"label": label}))
        assert (known is None, known or crate.id) == (is_new, crate.id)
        if is_new:
            self.rows[crate.id] = Crate(code, None, label)
        elif self.rows[crate.id].label != label:
            self.rows[crate.id] = self.rows[crate.id].changed(label=label)

    @rule(pick=PICKS, code=CODES, weight=WEIGHTS)
    def update(self, pick: int, code: str, weight: int | None) -> None:
        """One row changes, and its version with it, if anything differs."""
        key = self.pick(pick)
        crate = self.run(self.crates.get_by_id(key))
        assert (crate is not None) == (key in self.live())
        if crate is None:
            return
        crate.code, crate.weight = code, weight
        if self.is_taken(code, key):
            self.refused(DuplicateError, self.crates.update(crate))
            return
        row = self.rows[key]
        if (code, weight) != (row.code, row.weight):
            row = row.changed(code=code, weight=weight)
        assert row.version == self.run(self.crates.update(crate)).version
        self.rows[key] = row

    @precondition(lambda self: self._manager is None)
    @rule(pick=PICKS, label=LABELS)
    def stale(self, pick: int, label: str) -> None:
        """Whoever read before somebody else wrote loses."""
        key = self.pick(pick)
        crate = self.run(self.crates.get_by_id(key))
        if crate is None:
            return
        self.run(self.crates.update_where({"id": key}, {"label": label}))
        self.rows[key] = self.rows[key].changed(label=label)
        crate.label = label + "!"
        self.refused(StaleVersionError, self.crates.update(crate))

    @rule(pick=PICKS, weight=WEIGHTS, label=LABELS)
    def update_many(self, pick: int, weight: int | None, label: str) -> None:
        """Two rows at once, or none when one is missing."""
        keys = {self.pick(pick), self.pick(pick + 1)}
        rows = [{"id": key, "weight": weight, "label": label} for key in keys]
        if not keys <= self.live().keys():
            self.refused(NotFoundError, self.crates.update_many(rows))
            return
        assert len(keys) == self.run(self.crates.update_many(rows))
        for key in keys:
            row = self.rows[key]
            if (weight, label) != (row.weight, row.label):
                self.rows[key] = row.changed(weight=weight, label=label)

    @rule(least=WEIGHTS.filter(lambda weight: weight is not None), weight=WEIGHTS)
    def update_where(self, least: int, weight: int | None) -> None:
        """Every row that fits, NULLs aside; each version counts."""
        fitting = self.live(lambda row: row.weight is not None and row.weight >= least)
        work = self.crates.update_where({"weight__gte": least}, {"weight": weight})
        assert len(fitting) == self.run(work)
        self.rows |= {key: row.changed(weight=weight) for key, row in fitting.items()}

    @rule(pick=PICKS)
    def delete(self, pick: int) -> None:
        """A row is marked, and its code is free."""
        key = self.pick(pick)
        assert (key in self.live()) == self.run(self.crates.delete(key))
        if key in self.live():
            self.rows[key] = self.rows[key].changed(is_deleted=True)

    @rule(code=CODES)
    def delete_where(self, code: str) -> None:
        """Every row that fits is marked."""
        fitting = self.live(lambda row: row.code == code)
        assert len(fitting) == self.run(self.crates.delete_where({"code": code}))
        self.rows |= {key: row.changed(is_deleted=True) for key, row in fitting.items()}

    @rule(pick=PICKS)
    def restore(self, pick: int) -> None:
        """A marked row comes back, unless its code was taken meanwhile."""
        key = self.pick(pick)
        row = self.rows.get(key)
        work = self.crates.restore(key)
        if row is None or not row.is_deleted:
            assert not self.run(work)
        elif self.is_taken(row.code):
            self.refused(DuplicateError, work)
        else:
            assert self.run(work)
            self.rows[key] = row.changed(is_deleted=False)

    @rule(pick=PICKS)
    def hard_delete(self, pick: int) -> None:
        """A row is gone, marked or not."""
        key = self.pick(pick)
        assert (self.rows.pop(key, None) is not None) == self.run(self.crates.hard_delete(key))

    # -- reads

    @rule(code=CODES)
    def find(self, code: str) -> None:
        """Filters see what is there; texts compare as they are."""
        fitting = self.live(lambda row: row.code == code)
        found = self.run(self.crates.find_one({"code": code}))
        assert fitting.keys() == ({found.id} if found else set())
        assert bool(fitting) == self.run(self.crates.exists({"code": code}))

    @rule(size=st.integers(1, 4), order=ORDERS)
    def pages(self, size: int, order: list[Order]) -> None:
        """Pages by position, one after the other and back again, are the sorted rows."""
        query = self.crates.query().order_by(*map(_expression, order))
        expected = self._sorted(order)
        pages, cursor = [], None
        while True:
            page = self.run(query.page_after(cursor, size))
            pages.append([crate.id for crate in page.items])
            cursor = page.next
            if cursor is None:
                break
        assert expected == [key for page in pages for key in page]
        cursor, back = page.previous, [pages[-1]]
        while cursor is not None:
            page = self.run(query.page_after(cursor, size))
            back.insert(0, [crate.id for crate in page.items])
            cursor = page.previous
        assert expected == [key for page in back for key in page]

    def _sorted(self, order: list[Order]) -> list[int]:
        # Ties are in the order of the key, in the direction of the last field.
        keys = sorted(self.live(), reverse=order[-1][1])
        for name, descending, nulls_first in reversed(order):
            nulls = [key for key in keys if getattr(self.rows[key], name) is None]
            rest = [key for key in keys if key not in nulls]
            rest.sort(key=lambda key: getattr(self.rows[key], name), reverse=descending)
            keys = nulls + rest if nulls_first else rest + nulls
        return keys

    @invariant()
    def same(self) -> None:
        """The table holds what the dict holds, deleted rows too."""
        query = self.crates.query().include_deleted()
        found = {
            crate.id: Crate(crate.code, crate.weight, crate.label, crate.version, crate.is_deleted)
            for crate in self.run(query.execute())
        }
        assert self.rows == found
        assert len(self.live()) == self.run(self.crates.count())

    def refused(self, error: type[Exception], work: Awaitable[object]) -> None:
        """Something is refused, and nothing of it happened."""
        try:
            self.run(work)
        except error:
            return
        raise AssertionError(f"{error.__name__} was expected")
