"""Text: every character, compared by code point and nothing else."""

import pytest

from andamios import AsyncSession, DuplicateError, GenericRepository, QueryBuilder
from harness.conformance.models import ConformanceTicket
from harness.conformance.rows import labels, read_back, values

__all__ = ["TestText"]

TEXTS = {
    "accents": "José Ñandú Þórr",
    "combining": "Jose\u0301",
    "emoji": "🧉👩🏽‍🚀🏳️‍🌈",
    "scripts": "Ελληνικά русский עברית العربية 漢字 かな 한글",
    "spaces": "  both ends \t\n",
    "nothing": "",
    "quotes": "'\"`\\;--/*%s:x?{}",
    "largest": "\U0010ffff\uffff\ue000",
}

DIFFERENT = ["jose", "Jose", "JOSE", "José", "Jose\u0301", "jose ", " jose", "straße", "strasse"]


class TestText:
    """What goes in comes out, and equal means the same code points."""

    @pytest.mark.capability("text: every character comes back")
    @pytest.mark.parametrize("name", TEXTS)
    async def test_round_trip(self, db_session: AsyncSession, name: str) -> None:
        """Nothing is normalized, trimmed or replaced."""
        text = TEXTS[name]
        value = await read_back(db_session, label=text, long=text)

        assert (text, text) == (value.label, value.long)
        assert [text] == await labels(db_session, {"label": text})

    @pytest.mark.capability("text: length counts characters")
    async def test_length(self, db_session: AsyncSession) -> None:
        """Ten characters of four bytes each fit where ten characters fit."""
        assert "🧉" * 10 == (await read_back(db_session, short="🧉" * 10)).short

    @pytest.mark.capability("text: a million characters")
    async def test_long(self, db_session: AsyncSession) -> None:
        """A long text keeps its end."""
        text = "añ🧉" * 350_000

        assert text == (await read_back(db_session, long=text)).long

    @pytest.mark.capability("text: case, accents and spaces make a difference")
    async def test_equality(self, db_session: AsyncSession) -> None:
        """Each of these texts equals itself alone."""
        await values(db_session, *({"label": text} for text in DIFFERENT))
        found = [await labels(db_session, {"label": text}) for text in DIFFERENT]

        assert [[text] for text in DIFFERENT] == found

    @pytest.mark.capability("text: case, accents and spaces make a difference")
    async def test_uniqueness(self, db_session: AsyncSession) -> None:
        """A unique column takes each of them, and each once."""
        tickets = GenericRepository[ConformanceTicket](db_session)
        await tickets.create_many({"code": text} for text in DIFFERENT)
        for text in DIFFERENT:
            with pytest.raises(DuplicateError):
                await tickets.create(ConformanceTicket(code=text))

        assert len(DIFFERENT) == await tickets.count()

    @pytest.mark.capability("text: case, accents and spaces make a difference")
    async def test_groups(self, db_session: AsyncSession) -> None:
        """Grouping and DISTINCT keep them apart."""
        tickets = GenericRepository[ConformanceTicket](db_session)
        await tickets.create_many({"holder": text} for text in DIFFERENT * 2)
        query = QueryBuilder(ConformanceTicket, db_session)

        assert len(DIFFERENT) == await query.group_by("holder").count()
        assert len(DIFFERENT) == await query.only("holder").distinct().count()

    @pytest.mark.capability("text: ordered by code point")
    async def test_order(self, db_session: AsyncSession) -> None:
        """Capitals come before small letters, both before accents, emoji last."""
        texts = ["", " ", "10", "9", "B", "a", "aa", "a\u0301", "á", "z", "漢", "\ue000", "🧉"]
        await values(db_session, *({"label": text} for text in reversed(texts)))

        assert sorted(texts) == await labels(db_session, None)
        assert ["漢", "\ue000", "🧉"] == await labels(db_session, {"label__gt": "á"})

    @pytest.mark.capability("text: case is folded beyond ASCII")
    async def test_folding(self, db_session: AsyncSession) -> None:
        """A search that ignores case ignores it for accented letters too."""
        await values(db_session, {"label": "ÑANDÚ"}, {"label": "nandu"})

        assert ["ÑANDÚ"] == await labels(db_session, {"label__icontains": "ñandú"})
