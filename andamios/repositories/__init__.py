"""What you do with the data: repositories."""

from andamios.repositories.base import BaseRepository, IRepository
from andamios.repositories.generic import GenericRepository
from andamios.repositories.specialized import ReadOnlyRepository

__all__ = ["BaseRepository", "GenericRepository", "IRepository", "ReadOnlyRepository"]
