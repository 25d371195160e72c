"""The FastAPI integration: one session a request, committed before the answer."""

import asyncio
import contextlib
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect
from sqlalchemy import event
from sqlalchemy.util import await_only

from andamios import (
    AndamiosEngine,
    BaseRepository,
    ConfigurationError,
    GenericRepository,
    IRepository,
    QueryBuilder,
)
from andamios.core.current import current_session
from andamios.integrations.fastapi import FastAPIIntegration
from tests.core.server import Server, eventually
from tests.integrations.application import ApiBook, ApiBookRepository, ApiShelfRepository, make_app

REQUESTS = 1_000
AT_ONCE = 8


async def book_count(engine: AndamiosEngine) -> int:
    return await QueryBuilder(ApiBook, engine).count()


async def test_a_row_is_there_when_the_answer_is(
    engine: AndamiosEngine, served: httpx.AsyncClient
) -> None:
    """Of 1,000 answers none came before its commit, as another connection sees it."""
    # On loopback a COMMIT is over before a client can look; over a network it is not.
    event.listen(
        engine.async_engine.sync_engine, "commit", lambda _: await_only(asyncio.sleep(0.002))
    )
    numbers = iter(range(REQUESTS))
    found = sa.select(ApiBook.id)
    async with AndamiosEngine(engine.url, uvloop=False, pool_size=AT_ONCE) as watcher:
        outside = watcher.async_engine.execution_options(isolation_level="AUTOCOMMIT")

        async def count_invisible() -> int:
            count = 0
            async with outside.connect() as other:
                for title in (f"t{number}" for number in numbers):
                    answer = await served.post("/books", json={"title": title})
                    assert 201 == answer.status_code
                    count += await other.scalar(found.where(ApiBook.title == title)) is None
            return count

        invisible = sum(await asyncio.gather(*(count_invisible() for _ in range(AT_ONCE))))
    assert 0 == invisible, f"{invisible} of {REQUESTS}"


async def test_repositories_of_a_request_share_its_session(client: httpx.AsyncClient) -> None:
    """Two repositories, the session and a query without one all work in one transaction."""
    answer = await client.post("/same-session")
    assert (200, True) == (answer.status_code, answer.json())


async def test_a_commit_that_fails_is_answered_as_its_error(
    engine: AndamiosEngine, client: httpx.AsyncClient
) -> None:
    """What is only flushed by the commit may be refused there, and is no 200."""
    assert 200 == (await client.post("/unflushed/a")).status_code
    answer = await client.post("/unflushed/a")
    assert (409, "duplicate") == (answer.status_code, answer.json()["code"])
    assert 1 == await book_count(engine)


async def test_a_deferred_constraint_is_answered_as_its_error(
    engine: AndamiosEngine, backend: str
) -> None:
    """A constraint that the database checks in COMMIT itself is no 200 either."""
    if backend == "mysql":
        pytest.skip("MySQL defers no constraints")
    metadata = sa.MetaData()
    deferred = {"deferrable": True, "initially": "DEFERRED"}
    table = sa.Table(
        "api_deferred",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("other", sa.ForeignKey("api_deferred.id", **deferred)),
    )
    await engine.create_all(metadata)
    integration = FastAPIIntegration(engine)
    app = FastAPI()
    integration.install(app)

    @app.post("/")
    async def insert(session: Any = integration.session) -> None:
        await session.execute(table.insert().values(id=1, other=2))

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        answer = await client.post("/")
    await engine.drop_all(metadata)
    assert (409, "reference") == (answer.status_code, answer.json()["code"])


async def test_a_refusal_undoes_what_was_written(
    engine: AndamiosEngine, client: httpx.AsyncClient
) -> None:
    """An HTTPException of the handler rolls the session back."""
    assert 403 == (await client.post("/refused/a")).status_code
    assert 0 == await book_count(engine)
    assert 0 == engine.connections.stats().in_use


async def test_a_streamed_body_sees_the_commit(client: httpx.AsyncClient) -> None:
    """The body of a stream is made after the commit, in a session of its own."""
    assert "1" == (await client.post("/streamed/a")).text
    assert "2" == (await client.post("/streamed/b")).text


async def test_a_background_task_sees_the_commit(app: FastAPI, client: httpx.AsyncClient) -> None:
    """A background task runs after the commit, in a session of its own."""
    assert 200 == (await client.post("/background/a")).status_code
    assert 1 == app.state.seen


async def test_the_session_is_closed_when_a_body_streams(
    engine: AndamiosEngine, client: httpx.AsyncClient
) -> None:
    """A stream that goes on using the request's session fails, and holds no connection."""
    with contextlib.suppress(httpx.HTTPError):
        assert "0" != (await client.get("/streamed-late")).text
    assert 0 == engine.connections.stats().in_use


async def test_a_get_only_reads(engine: AndamiosEngine, client: httpx.AsyncClient) -> None:
    """A request that is safe by HTTP gets a session that refuses to write."""
    assert 500 == (await client.get("/writing-get")).status_code
    assert 0 == await book_count(engine)


async def test_a_get_may_write_when_told_so(engine: AndamiosEngine) -> None:
    """An application whose GETs write says so."""
    transport = httpx.ASGITransport(make_app(engine, read_only_methods=()))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert 200 == (await client.get("/writing-get")).status_code
    assert 1 == await book_count(engine)


async def test_a_cancelled_request_leaves_nothing_open(
    app: FastAPI, engine: AndamiosEngine, client: httpx.AsyncClient, test_database: str
) -> None:
    """Cancelled in the middle of a handler, it gives its connection back and writes nothing."""
    request = asyncio.create_task(client.post("/slow/a"))
    await app.state.gate.reached.wait()
    assert 1 == engine.connections.stats().in_use
    request.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await request
    assert 0 == engine.connections.stats().in_use
    async with AndamiosEngine(test_database, uvloop=False, pool_size=1) as watcher:
        assert 0 == await Server(watcher).open_transactions()
    assert 0 == await book_count(engine)


async def test_a_client_that_goes_away_leaves_nothing_open(
    app: FastAPI, engine: AndamiosEngine, served: httpx.AsyncClient
) -> None:
    """When the client closes the connection, the request ends as usual."""
    with contextlib.suppress(httpx.ReadTimeout):
        await served.post("/slow/a", timeout=0.3)
    app.state.gate.opened.set()

    async def is_idle() -> bool:
        return engine.connections.stats().in_use == 0

    assert await eventually(is_idle)


@pytest.mark.parametrize(("is_own", "expected"), [(False, 0), (True, 1)])
async def test_a_websocket_is_one_request(
    engine: AndamiosEngine, *, is_own: bool, expected: int
) -> None:
    """A disconnect rolls its session back; what has a session of its own stays."""
    integration = FastAPIIntegration(engine)
    books_of = integration.create_repository_dependencies(ApiBookRepository)[ApiBookRepository]
    app = FastAPI()

    @app.websocket("/")
    async def listen(socket: WebSocket, books: ApiBookRepository = books_of) -> None:
        await socket.accept()
        while True:
            title = await socket.receive_text()
            await (ApiBookRepository(engine) if is_own else books).create(ApiBook(title=title))

    messages: Any = iter(
        [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "a"},
            {"type": "websocket.disconnect", "code": 1000},
        ]
    )

    async def receive() -> Any:
        return next(messages)

    async def send(_message: Any) -> None:
        pass

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    with contextlib.suppress(WebSocketDisconnect):
        await app(scope, receive, send)
    assert expected == await book_count(engine)
    assert 0 == engine.connections.stats().in_use


async def test_a_mounted_application_answers_for_itself(engine: AndamiosEngine) -> None:
    """Problems are told where they are installed, and sessions closed in either."""
    integration = FastAPIIntegration(engine)
    books_of = integration.create_repository_dependencies(ApiBookRepository)[ApiBookRepository]
    app, inside, plain = FastAPI(), FastAPI(), FastAPI()
    for each in (app, inside):
        integration.install(each)
    for each in (inside, plain):

        @each.get("/{key}")
        async def read(key: int, books: ApiBookRepository = books_of) -> None:
            await books.get_one(key)

    app.mount("/inside", inside)
    app.mount("/plain", plain)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        found = [(await client.get(f"/{where}/1")).status_code for where in ("inside", "plain")]
    assert [404, 500] == found
    assert 0 == engine.connections.stats().in_use


async def test_the_lifespan_opens_and_closes_the_engine(engine: AndamiosEngine) -> None:
    """The pool is empty before and after; closing it warns of nothing."""
    own = AndamiosEngine(engine.url, uvloop=False, pool_size=2)
    integration = FastAPIIntegration(own)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with integration.lifespan_handler(FastAPI()):
            assert 1 == own.connections.stats().idle
            assert 0 == await QueryBuilder(ApiBook, own).count()
        assert 0 == own.connections.stats().idle


async def test_the_lifespan_goes_into_another(engine: AndamiosEngine) -> None:
    """A lifespan of one's own takes it in and keeps its state."""
    own = AndamiosEngine(engine.url, uvloop=False, pool_size=2)
    integration = FastAPIIntegration(own)
    seen: list[int] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        async with integration.lifespan_handler(app):
            seen.append(own.connections.stats().idle)
            yield {"name": "mine"}

    app = FastAPI(lifespan=lifespan)
    async with app.router.lifespan_context(app) as state:
        assert {"name": "mine"} == state
    assert [1] == seen


def test_all_known_repositories_are_offered() -> None:
    """Without arguments every class with a model is there, and none without."""
    deps = FastAPIIntegration(AndamiosEngine("sqlite://")).create_repository_dependencies()
    assert {ApiBookRepository, ApiShelfRepository} <= deps.keys()
    assert {BaseRepository, GenericRepository}.isdisjoint(deps)


def test_what_is_no_repository_is_refused() -> None:
    """A class without a model, or that is no repository, is a configuration error."""
    integration = FastAPIIntegration(AndamiosEngine("sqlite://"))
    for wrong in (GenericRepository, ApiBook, IRepository[Any]):
        with pytest.raises(ConfigurationError):
            integration.create_repository_dependencies(wrong)  # type: ignore[arg-type]


async def test_a_dependency_can_stand_as_a_default(engine: AndamiosEngine) -> None:
    """``users: UserRepository = deps[UserRepository]`` works too, also in other dependencies."""
    integration = FastAPIIntegration(engine)
    books_of = integration.create_repository_dependencies(ApiBookRepository)[ApiBookRepository]
    app = FastAPI()

    async def count(books: ApiBookRepository = books_of) -> int:
        return await books.count()

    @app.get("/")
    async def root(
        counted: Annotated[int, Depends(count)], books: ApiBookRepository = books_of
    ) -> tuple[int, int]:
        return counted, await books.count()

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert [0, 0] == (await client.get("/")).json()


@pytest.mark.parametrize(("scope", "expected"), [("function", 1), (None, 0)])
async def test_the_end_of_a_dependency_of_ones_own(
    engine: AndamiosEngine, scope: Any, expected: int
) -> None:
    """What it writes after its yield is stored if its scope is the function's."""
    integration = FastAPIIntegration(engine)
    books_of = integration.create_repository_dependencies(ApiBookRepository)[ApiBookRepository]
    app = FastAPI()

    async def own(books: ApiBookRepository = books_of) -> AsyncIterator[None]:
        yield
        await books.create(ApiBook(title="late"))

    @app.post("/", dependencies=[Depends(own, scope=scope)])
    async def root() -> None:
        pass

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        await client.post("/")
    assert expected == await book_count(engine)
    assert 0 == engine.connections.stats().in_use


async def test_of_two_engines_the_last_is_asked(engine: AndamiosEngine) -> None:
    """A query without a session takes the session that was opened last."""
    async with AndamiosEngine("sqlite://", uvloop=False) as other:
        first, second = FastAPIIntegration(engine).session, FastAPIIntegration(other).session
        app = FastAPI()

        @app.get("/")
        async def root(one: Any = first, two: Any = second) -> list[bool]:
            return [current_session() is session for session in (one, two)]

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            assert [False, True] == (await client.get("/")).json()


def test_fastapi_is_needed_only_where_it_is_named() -> None:
    """The subpackage imports without it; the module says which extra brings it."""
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        "import andamios.integrations\n"
        "try: import andamios.integrations.fastapi\n"
        "except andamios.MissingDependencyError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'fastapi' is not installed. Run: pip install 'andamios[fastapi]'" == done.stdout.strip()
