"""
Andamios in a FastAPI application: one session a request, committed before the answer.

Named for the framework. The rest of it is in files beside this one: answers to errors
(``problems``), ETag and If-Match (``preconditions``), filters and pages (``parameters``),
health and metrics (``probes``).
"""

from __future__ import annotations

import inspect
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from andamios.errors import ConfigurationError, MissingDependencyError
from andamios.repositories.base import BaseRepository, IRepository

try:
    from fastapi import Depends
    from fastapi.requests import HTTPConnection  # noqa: TC002  FastAPI reads the annotation
except ModuleNotFoundError as error:
    raise MissingDependencyError("fastapi", "fastapi") from error

from andamios.integrations.parameters import CursorParameters, PageParameters, filter_parameters
from andamios.integrations.preconditions import Preconditions, RequiredPreconditions, etag
from andamios.integrations.probes import probe_routes
from andamios.integrations.problems import document_problems, install_problems
from andamios.monitoring.health import HealthChecker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator

    from fastapi import APIRouter, FastAPI

    from andamios.core.engine import AndamiosEngine
    from andamios.core.session import AsyncSession
    from andamios.monitoring.metrics import MetricsCollector

__all__ = [
    "CursorParameters",
    "FastAPIIntegration",
    "PageParameters",
    "Preconditions",
    "RequiredPreconditions",
    "etag",
    "filter_parameters",
]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
"""Those that change nothing. Source: RFC 9110, section 9.2.1."""


class FastAPIIntegration:
    """
    What a FastAPI application needs of an engine.

    All that one request does happens in one session. It is committed when the handler has
    returned and **before** the answer is sent, so that a failing commit is answered as the
    error it is; any exception rolls back. What runs later (a streamed body, a background
    task) opens a session of its own, or uses a repository bound to the engine. So does a
    websocket for each message: it counts as one request, which a disconnect rolls back.

    A dependency of one's own that writes after its ``yield`` is ended before the session if
    it says so, ``Depends(own, scope="function")``; by FastAPI's default it runs its end when
    the answer was sent, and finds the session closed. With two engines in one application
    a query without a session takes the session whose dependency was opened last: name it,
    ``QueryBuilder(User, session)``, or use a repository.

    Args:
        engine: Opened and closed by :meth:`lifespan_handler`.
        read_only_methods: Requests with these methods get a session that only reads, which
            on SQLite waits for no writer; ``()`` lets every request write.
        retry_after: Seconds after which a client may repeat a request that was answered
            with 503.

    Example:
        >>> from typing import Annotated
        >>> from fastapi import FastAPI
        >>> from sqlalchemy import String
        >>> from sqlalchemy.orm import mapped_column
        >>> from andamios import AndamiosEngine, BaseModel, GenericRepository
        >>> from andamios.integrations.fastapi import FastAPIIntegration
        >>> class Lighthouse(BaseModel):
        ...     name = mapped_column(String(50))
        >>> class LighthouseRepository(GenericRepository[Lighthouse]):
        ...     pass
        >>> integration = FastAPIIntegration(AndamiosEngine("sqlite://"))
        >>> app = FastAPI(lifespan=integration.lifespan_handler)
        >>> integration.install(app)
        >>> deps = integration.create_repository_dependencies(LighthouseRepository)
        >>> @app.post("/lighthouses", status_code=201)
        ... async def build(
        ...     name: str,
        ...     lighthouses: Annotated[LighthouseRepository, deps[LighthouseRepository]],
        ... ) -> int:
        ...     return (await lighthouses.create(Lighthouse(name=name))).id
    """

    def __init__(
        self,
        engine: AndamiosEngine,
        *,
        read_only_methods: Collection[str] = SAFE_METHODS,
        retry_after: int = 1,
    ) -> None:
        self._engine = engine
        self._read_only_methods = frozenset(read_only_methods)
        self._retry_after = retry_after
        self._session = Depends(self._open_session, scope="function")

    @property
    def session(self) -> Any:
        """The dependency on the request's session: ``Annotated[AsyncSession, …]``."""
        return self._session

    @asynccontextmanager
    async def lifespan_handler(self, app: FastAPI) -> AsyncGenerator[None, None]:
        """
        Open the engine when the application starts, and close it when it ends.

        A lifespan of one's own takes it in: ``async with integration.lifespan_handler(app):``
        around its ``yield``.

        Args:
            app: The application.

        Raises:
            ConnectionFailedError: The database cannot be reached; the application does not
                start.
        """
        async with self._engine:
            yield

    def install(self, app: FastAPI) -> None:
        """
        Answer Andamios' errors as problem details, and say so in the OpenAPI schema.

        A request that FastAPI itself refuses is answered alike, with FastAPI's list in the
        member ``errors``, without the values that were sent. A handler of one's own for an
        error is added afterwards.

        Args:
            app: The application; routes may be added before or after. One that is mounted in
                another answers for itself, and needs this too.
        """
        install_problems(app, self._retry_after)
        document_problems(app)

    def routes(
        self, *, health: HealthChecker | None = None, metrics: MetricsCollector | None = None
    ) -> APIRouter:
        """
        Give routes for health and metrics, to be included: ``app.include_router(…)``.

        Args:
            health: What ``/health/ready`` asks, which answers 503 when it is not well;
                default: a checker of the engine. ``/health/live`` asks nothing.
            metrics: What ``/metrics`` shows to Prometheus; default: no such route.
        """
        return probe_routes(health or HealthChecker(self._engine), metrics)

    def create_repository_dependencies(self, *classes: type[Any]) -> dict[type[Any], Any]:
        """
        Make dependencies on repositories, which share the session of their request.

        Args:
            classes: Repository classes. Default: every subclass of ``BaseRepository`` that
                has a model and was defined so far.

        Returns:
            By class, what stands in an annotation or as a default:
            ``users: Annotated[UserRepository, deps[UserRepository]]``.

        Raises:
            ConfigurationError: A class is no repository, or has no model.
        """
        for repository in classes:
            _require_repository(repository)
        return {item: self._dependency(item) for item in classes or _known(BaseRepository)}

    async def _open_session(self, connection: HTTPConnection) -> AsyncIterator[AsyncSession]:
        is_read_only = connection.scope.get("method") in self._read_only_methods
        async with self._engine.session(read_only=is_read_only) as session:
            yield session

    def _dependency(self, repository: type[Any]) -> Any:
        # FastAPI would call what is not async in a thread.
        async def give(session: Any = self._session) -> Any:
            return repository(session)

        return Depends(give)


def _known(parent: type[Any]) -> Iterator[type[Any]]:
    for child in parent.__subclasses__():
        if getattr(child, "model", None) is not None and not inspect.isabstract(child):
            yield child
        yield from _known(child)


def _require_repository(repository: Any) -> None:
    if not isinstance(repository, type) or not issubclass(repository, IRepository):
        raise ConfigurationError(f"{repository!r:.60} is no repository class.")
    if issubclass(repository, BaseRepository) and getattr(repository, "model", None) is None:
        raise ConfigurationError(
            f"{repository.__name__} has no model. Name it: {repository.__name__}[User], or a "
            "class of your own with it as parent."
        )
