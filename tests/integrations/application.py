"""A small application: what the tests of the FastAPI integration ask."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from annotated_types import Ge
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from andamios import (
    AndamiosEngine,
    AsyncSession,
    BaseModel,
    CursorPage,
    FilterBuilder,
    GenericRepository,
    Page,
    QueryBuilder,
    VersioningMixin,
)
from andamios.integrations.fastapi import (
    CursorParameters,
    FastAPIIntegration,
    PageParameters,
    Preconditions,
    RequiredPreconditions,
    filter_parameters,
)
from andamios.integrations.pydantic import PydanticModelAdapter

__all__ = ["ApiBook", "ApiBookRepository", "ApiShelf", "ApiShelfRepository", "make_app"]


class ApiShelf(BaseModel):
    name: Mapped[str]


class ApiBook(VersioningMixin, BaseModel):
    title: Mapped[str] = mapped_column(unique=True)
    pages: Mapped[Annotated[int, Ge(0)] | None]
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("api_shelf.id"))


class ApiBookRepository(GenericRepository[ApiBook]):
    async def titled(self, title: str) -> ApiBook:
        return await self.query().filter_by(title=title).one()


class ApiShelfRepository(GenericRepository[ApiShelf]):
    pass


BOOKS = PydanticModelAdapter(ApiBook)
BookCreate: Any = BOOKS.create_schema
BookRead: Any = BOOKS.read_schema
BookUpdate: Any = BOOKS.update_schema


class Gate:
    """Where a handler waits, so that a test can act in the middle of it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.opened.wait()


def make_app(engine: AndamiosEngine, **options: Any) -> FastAPI:
    """Build the application; ``app.state.gate`` is where ``/slow`` waits."""
    integration = FastAPIIntegration(engine, **options)
    app = FastAPI(lifespan=integration.lifespan_handler)
    integration.install(app)
    app.state.gate = Gate()
    deps = integration.create_repository_dependencies(ApiBookRepository, ApiShelfRepository)
    books_of = Annotated[ApiBookRepository, deps[ApiBookRepository]]
    shelves_of = Annotated[ApiShelfRepository, deps[ApiShelfRepository]]
    session_of = Annotated[AsyncSession, integration.session]
    add_writes(app, books_of, shelves_of, session_of)
    add_late(app, engine, books_of)
    add_reads(app, books_of)
    add_conditional(app, books_of)
    return app


def add_writes(app: FastAPI, books_of: Any, shelves_of: Any, session_of: Any) -> None:
    @app.post("/books", status_code=201, response_model=BookRead)
    async def create(data: BookCreate, books: books_of) -> Any:
        return BOOKS.to_pydantic(await books.create(BOOKS.from_pydantic(data)))

    @app.post("/same-session")
    async def same(books: books_of, shelves: shelves_of, session: session_of) -> bool:
        shelf = await shelves.create(ApiShelf(name="one"))
        book = await books.create(ApiBook(title="b", shelf_id=shelf.id))
        # Without a session a query uses the one of this task: the request's.
        seen = await QueryBuilder(ApiBook).filter_by(title="b").one()
        return seen is book and book in session and shelf in session

    @app.post("/unflushed/{title}")
    async def unflushed(title: str, session: session_of) -> str:
        session.add(ApiBook(title=title))
        return "stored at the commit"

    @app.post("/refused/{title}")
    async def refused(title: str, books: books_of) -> None:
        await books.create(ApiBook(title=title))
        raise HTTPException(403, "No")

    @app.post("/slow/{title}")
    async def slow(title: str, books: books_of) -> None:
        await books.create(ApiBook(title=title))
        await app.state.gate.wait()

    @app.get("/writing-get")
    async def writing(books: books_of) -> None:
        await books.create(ApiBook(title="get"))


def add_late(app: FastAPI, engine: AndamiosEngine, books_of: Any) -> None:
    async def count() -> AsyncIterator[str]:
        yield str(await ApiBookRepository(engine).count())

    @app.post("/streamed/{title}")
    async def streamed(title: str, books: books_of) -> StreamingResponse:
        await books.create(ApiBook(title=title))
        return StreamingResponse(count())

    @app.get("/streamed-late")
    async def late(books: books_of) -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            yield str(await books.count())

        return StreamingResponse(body())

    @app.post("/background/{title}")
    async def background(title: str, tasks: BackgroundTasks, books: books_of) -> None:
        async def look() -> None:
            app.state.seen = await ApiBookRepository(engine).count()

        await books.create(ApiBook(title=title))
        tasks.add_task(look)


def add_reads(app: FastAPI, books_of: Any) -> None:
    filters_of = Annotated[
        FilterBuilder,
        filter_parameters(
            ApiBook, "pages__gte", "title", "id__in", "pages__is_null", search=("title",)
        ),
    ]

    @app.get("/books", response_model=Page[BookRead])
    async def numbered(
        books: books_of, filters: filters_of, page: Annotated[PageParameters, Depends()]
    ) -> Any:
        return await page.of(books.query().filter(filters).order_by("title"))

    @app.get("/continued", response_model=CursorPage[BookRead])
    async def continued(books: books_of, page: Annotated[CursorParameters, Depends()]) -> Any:
        return await page.of(books)


def add_conditional(app: FastAPI, books_of: Any) -> None:
    conditions_of = Annotated[Preconditions, Depends()]
    required_of = Annotated[RequiredPreconditions, Depends()]

    @app.get("/books/{key}", response_model=BookRead)
    async def read(key: int, books: books_of, conditions: conditions_of) -> Any:
        book = await books.get_one(key)
        conditions.check(book)
        return BOOKS.to_pydantic(book)

    async def change(key: int, data: Any, books: Any, conditions: Preconditions) -> Any:
        book = await books.get_one(key)
        conditions.check(book)
        if data.title == "raced":
            app.state.gate.reached.set()
            await app.state.gate.opened.wait()
        book = await books.update(BOOKS.apply(book, data))
        conditions.written(book)
        return BOOKS.to_pydantic(book)

    @app.patch("/books/{key}", response_model=BookRead)
    async def patch(key: int, data: BookUpdate, books: books_of, conditions: conditions_of) -> Any:
        return await change(key, data, books, conditions)

    @app.put("/books/{key}", response_model=BookRead)
    async def put(key: int, data: BookUpdate, books: books_of, conditions: required_of) -> Any:
        return await change(key, data, books, conditions)

    @app.post("/books/{key}/title/{title}")
    async def blind(key: int, title: str, books: books_of, conditions: required_of) -> None:
        version = conditions.expected_version(ApiBook)
        row = {"id": key, "title": title}
        await books.update_many([row if version is None else {**row, "version": version}])

    @app.delete("/books/{key}", status_code=204)
    async def delete(key: int, books: books_of) -> None:
        if not await books.delete(key):
            raise HTTPException(404)
