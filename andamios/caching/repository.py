"""A repository whose reads are answered from the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from andamios.errors import ConfigurationError, NotFoundError
from andamios.queries.fields import key_attributes
from andamios.repositories.base import BaseRepository, IRepository
from andamios.repositories.reading import checked_key

if TYPE_CHECKING:
    import builtins

    from andamios.queries.builder import QueryBuilder
    from andamios.queries.filters import Filters

__all__ = ["CachedRepository"]

T = TypeVar("T")


class CachedRepository(IRepository[T]):
    """
    Reads by key, lists, counts and looks for existence through the cache.

    Everything else goes to the repository that it was made from, writes too: the cache
    learns of them from the engine. What is read belongs to no session and to nobody else.

    Args:
        repository: The one that it was made from, bound to an engine or a session.
        ttl: Seconds for which answers may be kept.

    Example:
        >>> import andamios
        >>> from sqlalchemy import String
        >>> from sqlalchemy.orm import mapped_column
        >>> from andamios import AndamiosEngine, BaseModel, GenericRepository
        >>> from andamios.caching import CacheManager
        >>> class Quay(BaseModel):
        ...     name = mapped_column(String(50))
        >>> async def main() -> tuple[int, int]:
        ...     async with AndamiosEngine("sqlite://") as engine, CacheManager() as cache:
        ...         cache.watch(engine)
        ...         await engine.create_all(BaseModel)
        ...         quays = cache.repository(GenericRepository[Quay](engine))
        ...         before = await quays.count()
        ...         await quays.create(Quay(name="East"))
        ...         return before, await quays.count()
        >>> andamios.run(main())
        (0, 1)
    """

    def __init__(self, repository: IRepository[T], ttl: float) -> None:
        if not isinstance(repository, BaseRepository):
            raise ConfigurationError(
                f"{type(repository).__name__} has no queries whose answers could be cached; give "
                "a GenericRepository or another child of BaseRepository."
            )
        self._repository: BaseRepository[T] = repository
        self._ttl = ttl

    async def get_by_id(self, id: Any) -> T | None:  # noqa: A002
        """Give the object with this key, or None; that there is none is cached too."""
        model = self._repository.model
        pairs = zip(key_attributes(model), checked_key(model, id), strict=True)
        return await self._query(*(left == right for left, right in pairs)).one_or_none()

    async def get_one(self, id: Any) -> T:  # noqa: A002
        """
        Give the object with this key.

        Raises:
            NotFoundError: There is none.
        """
        found = await self.get_by_id(id)
        if found is None:
            name = self._repository.model.__name__
            raise NotFoundError(f"There is no {name} with the key {id}.")
        return found

    async def find_one(self, filters: Filters) -> T | None:
        """
        Give the only object that fits, or None.

        Raises:
            MultipleFoundError: Several fit.
        """
        return await self._query(filters).one_or_none()

    async def list(self, filters: Filters = None) -> builtins.list[T]:
        """Give what fits, or everything."""
        return await self._query(filters).execute()

    async def count(self, filters: Filters = None) -> int:
        """Count what fits."""
        return await self._query(filters).count()

    async def exists(self, filters: Filters = None) -> bool:
        """Whether anything fits."""
        return await self._query(filters).exists()

    async def create(self, entity: T) -> T:
        """Store a new object."""
        return await self._repository.create(entity)

    async def update(self, entity: T) -> T:
        """Store the changes of an object."""
        return await self._repository.update(entity)

    async def delete(self, id: Any) -> bool:  # noqa: A002
        """Delete the object with this key; say whether there was one."""
        return await self._repository.delete(id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)

    def _query(self, *filters: Any) -> QueryBuilder[T]:
        return self._repository.query().filter(*filters).cached(self._ttl)
