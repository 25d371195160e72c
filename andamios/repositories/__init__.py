"""What you do with the data: repositories."""

from andamios.repositories.audited import AuditedRepository, Change
from andamios.repositories.base import BaseRepository, IRepository
from andamios.repositories.generic import GenericRepository
from andamios.repositories.specialized import ReadOnlyRepository

__all__ = [
    "AuditedRepository",
    "BaseRepository",
    "Change",
    "GenericRepository",
    "IRepository",
    "ReadOnlyRepository",
]
