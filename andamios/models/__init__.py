"""What the data is: base classes, types, field rules and mixins."""

from andamios.models.actor import acting_as, current_actor
from andamios.models.base import BaseModel, SoftDeleteModel, TimestampedModel, UUIDModel
from andamios.models.hooks import has_hooks, hook_failures
from andamios.models.keys import uuid7
from andamios.models.mixins import AuditMixin, VersioningMixin
from andamios.models.recording import keeps_history
from andamios.models.soft_delete import hard_delete, is_soft_delete
from andamios.models.types import Duration, UTCDateTime
from andamios.models.unique import live_indexes

__all__ = [
    "AuditMixin",
    "BaseModel",
    "Duration",
    "SoftDeleteModel",
    "TimestampedModel",
    "UTCDateTime",
    "UUIDModel",
    "VersioningMixin",
    "acting_as",
    "current_actor",
    "hard_delete",
    "has_hooks",
    "hook_failures",
    "is_soft_delete",
    "keeps_history",
    "live_indexes",
    "uuid7",
]
