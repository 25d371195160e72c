"""Pydantic models from mapped objects and back."""

import datetime as dt
import enum
import json
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import pydantic
import pytest
import sqlalchemy as sa
import sqlalchemy.ext.asyncio as sa_asyncio
from annotated_types import Ge, MaxLen
from sqlalchemy import ForeignKey
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    column_property,
    mapped_column,
    relationship,
)

from andamios import (
    AndamiosEngine,
    AuditMixin,
    BaseModel,
    ConfigurationError,
    DataError,
    FieldValidationError,
    GenericRepository,
    LazyLoadError,
    QueryBuilder,
    SoftDeleteModel,
    UnknownFieldError,
    VersioningMixin,
)
from andamios.integrations.pydantic import PydanticModelAdapter


class WireColour(enum.Enum):
    red = "r"
    blue = "b"


class WireValues(BaseModel):
    """One column of every type."""

    text: Mapped[str]
    long: Mapped[Annotated[str, MaxLen(100_000)]]
    number: Mapped[int]
    real: Mapped[float]
    exact: Mapped[Decimal]
    moment: Mapped[dt.datetime]
    day: Mapped[dt.date]
    clock: Mapped[dt.time]
    span: Mapped[dt.timedelta]
    binary: Mapped[bytes]
    document: Mapped[dict[str, Any]]
    items: Mapped[list[int]]
    colour: Mapped[WireColour]
    size: Mapped[Literal["s", "l"]]
    token: Mapped[uuid.UUID]
    flag: Mapped[bool]


VALUES: list[dict[str, Any]] = [
    {
        "text": "José 😀\n\"'\\",
        "long": "x" * 20_000,
        "number": 2**63 - 1,
        "real": 0.1,
        "exact": Decimal("12345678901.2345"),
        "moment": dt.datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=dt.UTC),
        "day": dt.date(1, 1, 1),
        "clock": dt.time(23, 59, 59, 1),
        "span": dt.timedelta(days=-1, microseconds=1),
        "binary": bytes(range(256)),
        "document": {"a": [1, None, {"b": "é"}], "": 1.5},
        "items": [3, 1, 2],
        "colour": WireColour.red,
        "size": "l",
        "token": uuid.UUID(int=2**128 - 1),
        "flag": True,
    },
    {
        "text": "",
        "long": "",
        "number": -(2**63),
        "real": -1.7976931348623157e308,
        "exact": Decimal("-0.0001"),
        "moment": dt.datetime(1000, 1, 1, tzinfo=dt.UTC),
        "day": dt.date(9999, 12, 31),
        "clock": dt.time(0),
        "span": dt.timedelta(days=100_000, seconds=1, microseconds=999_999),
        "binary": b"",
        "document": {},
        "items": [],
        "colour": WireColour.blue,
        "size": "s",
        "token": uuid.UUID(int=0),
        "flag": False,
    },
]


class WireUser(VersioningMixin, AuditMixin, SoftDeleteModel):
    name: Mapped[Annotated[str, MaxLen(20)]] = mapped_column(doc="What others call one.")
    age: Mapped[Annotated[int, Ge(0)] | None]
    role: Mapped[str] = mapped_column(default="guest")
    token: Mapped[uuid.UUID] = mapped_column(default=uuid.uuid4)
    level: Mapped[int] = mapped_column(server_default="1")
    password: Mapped[str | None] = mapped_column(info={"secret": True})
    essay: Mapped[str | None] = mapped_column(deferred=True)
    posts: Mapped[list["WirePost"]] = relationship(
        back_populates="user", cascade="all, delete-orphan", order_by="WirePost.id"
    )


class WirePost(BaseModel):
    title: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("wire_user.id"))
    user: Mapped[WireUser] = relationship(back_populates="posts")
    notes: Mapped[list["WireNote"]] = relationship(cascade="all, delete-orphan")


class WireNote(BaseModel):
    text: Mapped[str]
    post_id: Mapped[int | None] = mapped_column(ForeignKey("wire_post.id"))
    post: Mapped[WirePost | None] = relationship(viewonly=True)


class WireCase(BaseModel):
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parts: Mapped[list["WirePart"]] = relationship()


class WirePart(BaseModel):
    case_number: Mapped[int] = mapped_column(
        ForeignKey("wire_case.number"), primary_key=True, autoincrement=False
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class WireBase(DeclarativeBase):
    pass


class WirePlain(WireBase):
    __tablename__ = "wire_plain"
    code = mapped_column(sa.String(3), primary_key=True)
    amount = mapped_column(sa.Numeric(5, 2), nullable=False)
    added = mapped_column(sa.DateTime, server_default=sa.func.now())
    doubled = column_property(amount * 2)
    _hidden = mapped_column("hidden", sa.Integer)


class WireData(MappedAsDataclass, WireBase):
    __tablename__ = "wire_data"
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str]
    other: Mapped[str | None] = mapped_column(default=None)


users = PydanticModelAdapter(WireUser, exclude=["essay"])


def fields(schema: type[pydantic.BaseModel]) -> list[str]:
    return list(schema.model_fields)


@pytest.mark.parametrize("values", VALUES, ids=["full", "empty"])
async def test_every_type_goes_there_and_back(
    engine: AndamiosEngine, values: dict[str, Any]
) -> None:
    """Stored, shown, sent as JSON, read and stored again, every value is the same."""
    adapter = PydanticModelAdapter(WireValues)
    repository = GenericRepository[WireValues](engine)
    stored = await repository.get_one((await repository.create(WireValues(**values))).id)
    text = adapter.to_pydantic(stored).model_dump_json()
    back = adapter.from_pydantic(adapter.read_schema.model_validate_json(text))
    assert values == {name: getattr(back, name) for name in values}
    assert stored.id == back.id
    created = adapter.create_schema.model_validate_json(text)
    again = await repository.create(adapter.from_pydantic(created))
    fresh = await repository.get_one(again.id)
    assert values == {name: getattr(fresh, name) for name in values}


def test_a_create_schema_has_what_one_may_send() -> None:
    """Keys, versions, timestamps and authors are made, and what has a default is optional."""
    schema = users.create_schema
    assert ["name", "age", "role", "token", "level", "password"] == fields(schema)
    assert ["name"] == schema.model_json_schema()["required"]
    assert "WireUserCreate" == schema.__name__


def test_an_update_schema_is_optional_throughout() -> None:
    """Nothing is required; null is only for what may be null."""
    schema = users.update_schema
    assert "required" not in schema.model_json_schema()
    assert fields(users.create_schema) == fields(schema)
    assert set() == schema().model_fields_set
    schema(age=None)
    with pytest.raises(pydantic.ValidationError):
        schema(name=None)


def test_a_read_schema_has_all_but_secrets() -> None:
    """What is made for an object is shown; secret columns and excluded ones are not."""
    shown = set(fields(users.read_schema))
    assert {"id", "version", "created_at", "deleted_at", "created_by", "name"} <= shown
    assert {"password", "essay", "posts"}.isdisjoint(shown)


def test_the_json_schema_has_rules_and_descriptions() -> None:
    """What the model says of a field, the schema says too."""
    properties = users.create_schema.model_json_schema()["properties"]
    assert 20 == properties["name"]["maxLength"]
    assert "What others call one." == properties["name"]["description"]
    assert "guest" == properties["role"]["default"]
    assert 255 == properties["role"]["maxLength"]
    assert {"type": "integer", "minimum": 0} in properties["age"]["anyOf"]


@pytest.mark.parametrize(
    "values",
    [
        {"name": "x" * 21},
        {"name": "x", "age": -1},
        {"name": "x", "role": "y" * 256},
        {"age": 1},
    ],
)
def test_rules_hold_for_what_is_sent(values: dict[str, Any]) -> None:
    """A broken rule is found by the schema, before there is an object."""
    with pytest.raises(pydantic.ValidationError):
        users.create_schema(**values)


def test_a_naive_datetime_is_refused() -> None:
    """As by the column, but before it."""
    schema = PydanticModelAdapter(WireValues).update_schema
    with pytest.raises(pydantic.ValidationError):
        schema(moment=dt.datetime(2024, 1, 1))  # noqa: DTZ001


def test_what_was_not_sent_has_the_models_default() -> None:
    """A default that is made for each object is made by the model, not by the schema."""
    user = users.from_pydantic(users.create_schema(name="a"))
    assert ("a", "guest") == (user.name, user.role)
    assert {"token", "level"}.isdisjoint(vars(user))


def test_a_stored_row_that_breaks_a_rule_can_be_read() -> None:
    """Rules guard what comes in; what is there already is shown."""
    user = WireUser(name="a", role="r", level=1, token=uuid.uuid4(), id=1, version=1)
    now = dt.datetime.now(dt.UTC)
    vars(user).update(age=-5, created_at=now, updated_at=now)
    assert -5 == users.to_pydantic(user).age  # type: ignore[attr-defined]


async def test_an_update_touches_only_what_was_sent(engine: AndamiosEngine) -> None:
    """Columns and relationships that were not sent stay as they are."""
    adapter = PydanticModelAdapter(WireUser, relationships=[WireUser.posts], exclude=["essay"])
    async with engine.session() as session:
        user = WireUser(name="a", age=5, posts=[WirePost(title="p")])
        session.add(user)
        await session.flush()
        adapter.apply(user, adapter.update_schema(name="b"))
        await session.flush()
    [stored] = await QueryBuilder(WireUser, engine).load(WireUser.posts).execute()
    assert ("b", 5, ["p"]) == (stored.name, stored.age, [post.title for post in stored.posts])
    adapter.apply(stored, adapter.update_schema(age=None))
    assert ("b", None, 1) == (stored.name, stored.age, len(stored.posts))


async def test_a_relationship_that_was_sent_is_replaced(engine: AndamiosEngine) -> None:
    """Known keys change their object, others are new, missing ones go."""

    class PostPart(pydantic.BaseModel):
        id: int | None = None
        title: str

    class UserPart(pydantic.BaseModel):
        posts: list[PostPart]

    adapter = PydanticModelAdapter(WireUser)
    async with engine.session() as session:
        user = WireUser(name="a", posts=[WirePost(title="1"), WirePost(title="2")])
        session.add(user)
        await session.flush()
        first = user.posts[0]
        sent = UserPart(posts=[PostPart(id=first.id, title="one"), PostPart(title="new")])
        adapter.apply(user, sent)
        assert user.posts[0] is first
    [stored] = await QueryBuilder(WireUser, engine).load(WireUser.posts).execute()
    assert ["one", "new"] == [post.title for post in stored.posts]
    assert first.id == stored.posts[0].id
    assert 2 == await QueryBuilder(WirePost, engine).count()


@pytest.mark.parametrize(
    "adapter", [PydanticModelAdapter(WirePlain), PydanticModelAdapter(WireCase)]
)
def test_an_update_has_no_key(adapter: PydanticModelAdapter[Any]) -> None:
    """Not even one that people choose: to change it would rename the row."""
    keys = {column.name for column in sa.inspect(adapter.model).primary_key}
    assert keys <= set(fields(adapter.create_schema))
    assert keys.isdisjoint(fields(adapter.update_schema))
    assert {"version", "created_at", "updated_at"}.isdisjoint(fields(users.update_schema))


async def stored_user(engine: AndamiosEngine) -> WireUser:
    """A user with the posts "1" and "2", loaded."""
    posts = [WirePost(title="1", notes=[WireNote(text="n")]), WirePost(title="2")]
    await GenericRepository[WireUser](engine).create(WireUser(name="a", posts=posts))
    loaded = sa.orm.selectinload(WireUser.posts).selectinload(WirePost.notes)
    return await QueryBuilder(WireUser, engine).load(loaded).one()


async def test_a_nested_update_changes_the_object_it_names(engine: AndamiosEngine) -> None:
    """The schema has the key, so that no row is deleted and made anew."""
    adapter = PydanticModelAdapter(WireUser, relationships=[WireUser.posts, WirePost.notes])
    user = await stored_user(engine)
    first, second = [post.id for post in user.posts]
    note = user.posts[0].notes[0].id
    sent = [{"id": first, "notes": [{"id": note, "text": "m"}]}, {"id": second, "title": "two"}]
    adapter.apply(user, adapter.update_schema.model_validate({"posts": [*sent, {"title": "3"}]}))
    async with engine.session() as session:
        await session.merge(user)
    posts = (await stored_posts(engine))[:3]
    assert [(first, "1"), (second, "two")] == [(post.id, post.title) for post in posts[:2]]
    assert "3" == posts[2].title
    assert [(note, "m")] == [(item.id, item.text) for item in posts[0].notes]


async def stored_posts(engine: AndamiosEngine) -> list[WirePost]:
    return list(await QueryBuilder(WirePost, engine).load(WirePost.notes).order_by("id").execute())


@pytest.mark.parametrize(
    ("posts", "wrong"),
    [
        ([{"id": 999_999, "title": "x"}], "WirePost.id"),
        ([{"id": 0}, {"id": 0}], "WirePost.id"),
        ([{"title": "x", "notes": [{"id": 0, "text": "n"}]}], "WireNote.id"),
        ([{}], "WirePost.title"),
        ([{"title": "x", "notes": [{}]}], "WireNote.text"),
    ],
)
async def test_a_nested_update_that_names_nothing_is_refused(
    engine: AndamiosEngine, posts: list[dict[str, Any]], wrong: str
) -> None:
    """An unknown key is no new object, and a new one needs what it needs to be created."""
    adapter = PydanticModelAdapter(WireUser, relationships=[WireUser.posts, WirePost.notes])
    user = await stored_user(engine)
    for item in posts:
        if item.get("id") == 0:
            item["id"] = user.posts[0].id
    with pytest.raises(FieldValidationError, match=wrong):
        adapter.apply(user, adapter.update_schema.model_validate({"name": "b", "posts": posts}))
    assert ("a", ["1", "2"]) == (user.name, [post.title for post in user.posts])


def test_a_key_that_people_choose_makes_a_new_nested_object() -> None:
    """The part of it that the parent says is not asked for, nor compared."""
    adapter = PydanticModelAdapter(WireCase, relationships=[WireCase.parts])
    assert ["position"] == fields(
        adapter.update_schema.model_fields["parts"].annotation.__args__[0]
    )  # type: ignore[union-attr]
    part = WirePart(case_number=1, position=1)
    case = WireCase(number=1, parts=[part])
    sent = {"parts": [{"position": 2}, {"position": 1}]}
    adapter.apply(case, adapter.update_schema.model_validate(sent))
    assert [2, 1] == [item.position for item in case.parts]
    assert part is case.parts[1]
    with pytest.raises(FieldValidationError, match=r"WirePart\.position"):
        adapter.apply(case, adapter.update_schema.model_validate({"parts": [{}]}))


def test_a_nested_parent_is_named_by_its_key() -> None:
    """The object that is referred to is changed, or another is made; never renamed."""
    adapter = PydanticModelAdapter(WirePost, relationships=[WirePost.user])
    user = WireUser(id=5, name="a")
    post = WirePost(title="p", user=user)
    adapter.apply(post, adapter.update_schema.model_validate({"user": {"id": 5, "name": "b"}}))
    assert (user, 5, "b") == (post.user, user.id, user.name)
    adapter.apply(post, adapter.update_schema.model_validate({"user": {"name": "c"}}))
    assert (None, "c") == (post.user.id, post.user.name)
    with pytest.raises(FieldValidationError, match=r"WireUser\.id"):
        adapter.apply(post, adapter.update_schema.model_validate({"user": {"id": 6}}))


async def test_a_relationship_is_not_replaced_unseen(engine: AndamiosEngine) -> None:
    """What is not loaded cannot be compared: the error says how to load it."""
    adapter = PydanticModelAdapter(WireUser, relationships=[WireUser.posts])
    user = await GenericRepository[WireUser](engine).create(WireUser(name="a"))
    [user] = await QueryBuilder(WireUser, engine).execute()
    with pytest.raises(LazyLoadError, match=r"\.load\(WireUser\.posts\)"):
        adapter.apply(user, adapter.update_schema(name="b", posts=[]))
    assert "a" == user.name


def test_a_refused_update_changes_nothing() -> None:
    """All values are checked before the first is set."""

    class Loose(pydantic.BaseModel):
        name: str
        age: int

    user = WireUser(name="a", age=1)
    with pytest.raises(FieldValidationError):
        users.apply(user, Loose(name="b", age=-1))
    assert ("a", 1) == (user.name, user.age)


async def test_relationships_are_nested(engine: AndamiosEngine) -> None:
    """Those that were asked for are shown and can be created, as deep as asked."""
    nested = [WireUser.posts, WirePost.notes, WirePost.user, WireNote.post]
    adapter = PydanticModelAdapter(WireUser, relationships=nested, exclude=["essay"])
    data = {"name": "a", "posts": [{"title": "p", "notes": [{"text": "n"}]}]}
    async with engine.session() as session:
        user = adapter.from_pydantic(adapter.create_schema.model_validate(data))
        session.add(user)
        await session.flush()
    loads = (WireUser.posts, WirePost.notes)
    notes = [sa.orm.selectinload(*loads[:1]).selectinload(WirePost.notes)]
    query = (
        QueryBuilder(WireUser, engine)
        .load(*notes)
        .load(
            sa.orm.selectinload(WireUser.posts).selectinload(WirePost.user).undefer(WireUser.essay)
        )
    )
    [stored] = await query.execute()
    stored.posts[0].notes[0].__dict__["post"] = stored.posts[0]
    shown = json.loads(adapter.to_pydantic(stored).model_dump_json())
    [post] = shown["posts"]
    assert ("p", "n", "a") == (post["title"], post["notes"][0]["text"], post["user"]["name"])
    # A relationship that leads back ends there.
    assert "posts" not in post["user"]
    assert "notes" not in post["notes"][0]["post"]


def test_nested_schemas_have_names_of_their_own() -> None:
    """One application can have all of them without a clash."""
    nested = PydanticModelAdapter(WireUser, relationships=[WireUser.posts])
    posts = PydanticModelAdapter(WirePost, relationships=[WirePost.user])
    assert {"WirePostRead"} == nested.read_schema.model_json_schema()["$defs"].keys()
    assert {"WireUserPostCreate"} == {
        name.replace("WireUserWire", "WireUser")
        for name in nested.create_schema.model_json_schema()["$defs"]
    }
    assert {"WireUserRead"} == posts.read_schema.model_json_schema()["$defs"].keys()
    named = PydanticModelAdapter(WireUser, name="Person")
    assert "PersonRead" == named.read_schema.__name__


def test_a_nested_object_needs_no_foreign_key() -> None:
    """Its parent says it; beside a nested parent the key is optional."""
    nested = PydanticModelAdapter(WireUser, relationships=[WireUser.posts])
    nested.create_schema.model_validate({"name": "a", "posts": [{"title": "p"}]})
    posts = PydanticModelAdapter(WirePost, relationships=[WirePost.user])
    post = posts.from_pydantic(
        posts.create_schema.model_validate({"title": "p", "user": {"name": "a"}})
    )
    assert "a" == post.user.name
    posts.create_schema.model_validate({"title": "p", "user_id": 1})
    with pytest.raises(pydantic.ValidationError):
        PydanticModelAdapter(WirePost).create_schema.model_validate({"title": "p"})


def test_an_objects_own_key_is_required_beside_its_children() -> None:
    """Their foreign keys are what they say; its own key nobody else does."""
    nested = PydanticModelAdapter(WireCase, relationships=[WireCase.parts])
    nested.create_schema.model_validate({"number": 1, "parts": [{"position": 1}]})
    with pytest.raises(pydantic.ValidationError, match="number"):
        nested.create_schema.model_validate({"parts": [{"position": 1}]})


@pytest.mark.parametrize("is_open", [True, False])
async def test_what_is_not_loaded_is_an_error(engine: AndamiosEngine, is_open: bool) -> None:
    """A relationship, a deferred column, and the same inside of what is nested."""
    await GenericRepository[WireUser](engine).create(
        WireUser(name="a", essay="e", posts=[WirePost(title="p")])
    )

    class PostOut(pydantic.BaseModel):
        title: str
        notes: list[Any]

    class UserOut(pydantic.BaseModel):
        posts: list[PostOut]

    related = PydanticModelAdapter(WireUser, relationships=[WireUser.posts], exclude=["essay"])
    async with engine.session() as session:
        [user] = await QueryBuilder(WireUser, session).execute()
        [full] = await QueryBuilder(WireUser, engine).load(WireUser.posts).execute()
        if not is_open:
            session.expunge(user)
        with pytest.raises(LazyLoadError, match=r"\.load\(WireUser\.posts\)"):
            related.to_pydantic(user)
        with pytest.raises(LazyLoadError, match=r"\.load\(WireUser\.essay\)"):
            PydanticModelAdapter(WireUser).to_pydantic(user)
        with pytest.raises(LazyLoadError, match=r"\.load\(WirePost\.notes\)"):
            PydanticModelAdapter(WireUser, read=UserOut).to_pydantic(full)
        assert "a" == users.to_pydantic(user).name  # type: ignore[attr-defined]


def test_a_schema_of_ones_own() -> None:
    """``read=`` is what to_pydantic gives; properties of the class may be in it."""

    class Shown(pydantic.BaseModel):
        name: str
        is_deleted: bool

    shown = PydanticModelAdapter(WireUser, read=Shown).to_pydantic(WireUser(name="a"))
    assert Shown(name="a", is_deleted=False) == shown


def test_unknown_fields_are_refused() -> None:
    """A field that the class has not is no silent loss, unless it is excluded."""

    class Typo(pydantic.BaseModel):
        nmae: str

    with pytest.raises(UnknownFieldError, match="Did you mean 'name'"):
        users.from_pydantic(Typo(nmae="a"))
    with pytest.raises(UnknownFieldError):
        PydanticModelAdapter(WireUser, exclude=["nmae"])
    with pytest.raises(ConfigurationError):
        PydanticModelAdapter(WireUser, relationships=[WireUser.name])
    with pytest.raises(DataError):
        users.to_pydantic(WirePost(title="a"))  # type: ignore[arg-type]


def test_any_mapped_class_will_do() -> None:
    """Columns without annotations, keys that one chooses, and dataclasses."""
    plain = PydanticModelAdapter(WirePlain)
    assert ["code", "amount", "added"] == fields(plain.create_schema)
    assert {"code", "amount", "added", "doubled"} == set(fields(plain.read_schema))
    made = plain.from_pydantic(plain.create_schema(code="abc", amount="1.50"))
    assert ("abc", Decimal("1.50")) == (made.code, made.amount)
    for wrong in ({"code": "abcd", "amount": 1}, {"code": "a", "amount": "1.555"}):
        with pytest.raises(pydantic.ValidationError):
            plain.create_schema(**wrong)
    data = PydanticModelAdapter(WireData)
    assert WireData(name="n") == data.from_pydantic(data.create_schema(name="n"))
    read = data.read_schema(id=5, name="n", other=None)
    assert 5 == data.from_pydantic(read).id


async def test_nothing_is_loaded_in_a_foreign_session(engine: AndamiosEngine) -> None:
    """SQLAlchemy's own session is not asked either."""
    await GenericRepository[WirePost](engine).create(WirePost(title="p", user=WireUser(name="a")))
    async with sa_asyncio.AsyncSession(engine.async_engine) as session:
        [post] = (await session.scalars(sa.select(WirePost))).all()
        with pytest.raises(LazyLoadError):
            PydanticModelAdapter(WirePost, relationships=[WirePost.user]).to_pydantic(post)
