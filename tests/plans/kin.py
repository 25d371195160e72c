"""Models that belong to one another in every way that a relationship knows."""

import uuid

import sqlalchemy as sa
from sqlalchemy.orm import (
    Mapped,
    attribute_keyed_dict,
    column_property,
    mapped_column,
    relationship,
)

from andamios import AndamiosEngine, BaseModel, SoftDeleteModel, UUIDModel

__all__ = [
    "KinBadge",
    "KinHouse",
    "KinNote",
    "KinPerson",
    "KinRemark",
    "KinSeal",
    "KinTag",
    "KinTeam",
    "KinToken",
    "fill",
]

tagged = sa.Table(
    "kin_tagged",
    BaseModel.metadata,
    sa.Column("person_id", sa.ForeignKey("kin_person.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("kin_tag.id"), primary_key=True),
)


class KinTeam(BaseModel):
    """Has members, who may have none."""

    name: Mapped[str]


class KinTag(SoftDeleteModel):
    """Has many persons, of whom each has many."""

    name: Mapped[str]


class KinPerson(BaseModel):
    """Has everything."""

    name: Mapped[str]
    team_id: Mapped[int | None] = mapped_column(sa.ForeignKey("kin_team.id"))
    boss_id: Mapped[int | None] = mapped_column(sa.ForeignKey("kin_person.id"))

    team: Mapped[KinTeam | None] = relationship()
    boss: Mapped["KinPerson | None"] = relationship(
        remote_side="KinPerson.id", back_populates="staff"
    )
    staff: Mapped[list["KinPerson"]] = relationship(
        back_populates="boss", order_by="KinPerson.name.desc()"
    )
    notes: Mapped[list["KinNote"]] = relationship(
        back_populates="person",
        foreign_keys="KinNote.person_id",
        order_by="(KinNote.text, KinNote.id)",
        cascade="all, delete-orphan",
    )
    tags: Mapped[list[KinTag]] = relationship(secondary=tagged, order_by=KinTag.name)
    badge: Mapped["KinBadge | None"] = relationship(back_populates="person")
    by_text: Mapped[dict[str, "KinNote"]] = relationship(
        foreign_keys="KinNote.person_id",
        collection_class=attribute_keyed_dict("text"),
        viewonly=True,
    )
    in_set: Mapped[set["KinNote"]] = relationship(
        foreign_keys="KinNote.person_id", collection_class=set, viewonly=True
    )
    short_notes: Mapped[list["KinNote"]] = relationship(
        primaryjoin="and_(KinPerson.id == KinNote.person_id, KinNote.text < 'c')", viewonly=True
    )
    any_note: Mapped["KinNote | None"] = relationship(
        foreign_keys="KinNote.person_id", uselist=False, viewonly=True
    )
    seals: Mapped[list["KinSeal"]] = relationship()


class KinNote(SoftDeleteModel):
    """Is about a person, and by another one."""

    text: Mapped[str]
    person_id: Mapped[int] = mapped_column(sa.ForeignKey(KinPerson.id), index=True)
    writer_id: Mapped[int | None] = mapped_column(sa.ForeignKey(KinPerson.id))

    person: Mapped[KinPerson] = relationship(
        back_populates="notes", foreign_keys=person_id, innerjoin=True
    )
    writer: Mapped[KinPerson | None] = relationship(foreign_keys=writer_id)
    remarks: Mapped[list["KinRemark"]] = relationship(order_by="KinRemark.id")


class KinRemark(BaseModel):
    """Is about a note."""

    note_id: Mapped[int] = mapped_column(sa.ForeignKey(KinNote.id))
    text: Mapped[str]


class KinBadge(BaseModel):
    """Has one person, who has one of it."""

    person_id: Mapped[int] = mapped_column(sa.ForeignKey(KinPerson.id), unique=True)
    number: Mapped[int]

    person: Mapped[KinPerson] = relationship(back_populates="badge")


class KinSeal(BaseModel):
    """Has an expression, with a value of its own."""

    person_id: Mapped[int] = mapped_column(sa.ForeignKey(KinPerson.id))
    size: Mapped[int]
    double: Mapped[int] = column_property(sa.type_coerce(sa.literal(2), sa.BigInteger()))


class KinToken(UUIDModel):
    """Has a key that is no number."""

    house_name: Mapped[str] = mapped_column(sa.String(20), sa.ForeignKey("kin_house.name"))
    twin_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("kin_token.id"))

    house: Mapped["KinHouse"] = relationship(back_populates="tokens")
    twins: Mapped[list["KinToken"]] = relationship()


class KinHouse(BaseModel):
    """Has a text as its key."""

    name: Mapped[str] = mapped_column(sa.String(20), primary_key=True)

    tokens: Mapped[list[KinToken]] = relationship(back_populates="house", order_by=KinToken.id)


async def fill(engine: AndamiosEngine) -> None:
    """Store a few of each, of whom some have nothing and some were deleted."""
    async with engine.session() as session:
        teams = [KinTeam(name=name) for name in ("red", "blue")]
        tags = [KinTag(name=name) for name in ("x", "y", "z")]
        boss = KinPerson(name="Ana", team=teams[0], tags=tags[:2])
        session.add_all([*teams, *tags, boss])
        staff = [
            KinPerson(name="Beto", boss=boss, team=teams[1], tags=tags),
            KinPerson(name="Caro", boss=boss),
            KinPerson(name="Dora", boss=boss, team=teams[0], tags=tags[2:]),
        ]
        session.add_all(staff)
        await session.flush()
        notes = [
            KinNote(text=text, person=person, writer=writer)
            for text, person, writer in [
                *(("b", boss, staff[0]), ("a", boss, boss), ("gone", boss, None)),
                *(("d", staff[0], boss), ("e", staff[2], staff[0])),
            ]
        ]
        session.add_all(
            [*notes, KinBadge(person=boss, number=7), KinSeal(person_id=boss.id, size=3)]
        )
        await session.flush()
        session.add_all(
            KinRemark(note_id=notes[place].id, text=text)
            for place, text in [(0, "one"), (0, "two"), (3, "three")]
        )
        house = KinHouse(name="Sol")
        keys = [uuid.UUID(int=number) for number in (1, 2)]
        session.add_all([house, KinHouse(name="sol y mar")])
        session.add(KinToken(id=keys[0], house=house))
        await session.flush()
        session.add(KinToken(id=keys[1], house=house, twin_id=keys[0]))
        await session.flush()
        await session.delete(notes[2])
        await session.delete(tags[1])
