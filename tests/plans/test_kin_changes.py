"""Objects whose relationships were changed, or given: what is stored is what they say."""

from typing import Any

import pytest

from andamios import AndamiosEngine, GenericRepository, QueryBuilder
from tests.plans.both_ways import both_ways
from tests.plans.kin import KinBadge, KinNote, KinPerson, KinTag, KinTeam

pytestmark = pytest.mark.isolation("committing")

Persons = GenericRepository[KinPerson]


async def _team(engine: AndamiosEngine) -> KinTeam:
    return await GenericRepository[KinTeam](engine).create(KinTeam(name="red"))


async def test_an_object_that_was_none(engine: AndamiosEngine) -> None:
    """Where nothing was loaded, an object is set, taken away, and set again."""

    async def ask(engine: AndamiosEngine) -> Any:
        persons, team, found = Persons(engine), await _team(engine), []
        key = (await persons.create(KinPerson(name="n"))).id
        for given in (team, None, team):
            person = await persons.get_one(key, load=KinPerson.team)
            person.team = given
            await persons.update(person)
            stored = (await persons.get_one(key)).team_id
            found.append("the team" if stored == team.id else stored)
        return found

    assert ["the team", None, "the team"] == await both_ways(engine, ask)


async def test_an_object_of_the_other_side(engine: AndamiosEngine) -> None:
    """The one object whose table refers to ours is stored along."""

    async def ask(engine: AndamiosEngine) -> Any:
        persons = Persons(engine)
        key = (await persons.create(KinPerson(name="n"))).id
        person = await persons.get_one(key, load=KinPerson.badge)
        person.badge = KinBadge(number=9)
        await persons.update(person)
        return await QueryBuilder(KinBadge, engine).filter({"person_id": key}).count()

    assert 1 == await both_ways(engine, ask)


async def test_collections_that_were_empty(engine: AndamiosEngine) -> None:
    """What is added to a collection that was loaded empty is stored, one's own and shared."""

    async def ask(engine: AndamiosEngine) -> Any:
        persons = Persons(engine)
        key = (await persons.create(KinPerson(name="n"))).id
        person = await persons.get_one(key, load=[KinPerson.notes, KinPerson.tags])
        person.notes.append(KinNote(text="new"))
        person.tags = [KinTag(name="new")]
        await persons.update(person)
        notes = await QueryBuilder(KinNote, engine).filter({"person_id": key}).count()
        return notes, await QueryBuilder(KinPerson, engine).filter(
            {"id": key, "tags.name": "new"}
        ).count()

    assert (1, 1) == await both_ways(engine, ask)


@pytest.mark.parametrize("order", ["key first", "object first"])
async def test_a_key_beside_no_object(engine: AndamiosEngine, order: str) -> None:
    """Given a key, and None for its object, the same is stored as SQLAlchemy stores."""

    async def ask(engine: AndamiosEngine) -> Any:
        persons, team = Persons(engine), await _team(engine)
        given: dict[str, Any] = {"team_id": team.id, "team": None}
        if order == "object first":
            given = dict(reversed(given.items()))
        person = await persons.create(KinPerson(name="n", **given))
        stored = (await persons.get_one(person.id)).team_id
        return stored is None, person.team_id is None, person.team

    assert await both_ways(engine, ask) is not None


async def test_a_key_beside_no_object_of_many(engine: AndamiosEngine) -> None:
    """Of many at once, too."""

    async def ask(engine: AndamiosEngine) -> Any:
        persons, team = Persons(engine), await _team(engine)
        many = [KinPerson(name="n", team_id=team.id, team=None) for _ in range(2)]
        made = await persons.create_many(many, returning="entities")
        stored = await persons.get_many([each.id for each in made])
        return [each.team_id is None for each in stored]

    assert await both_ways(engine, ask) is not None
