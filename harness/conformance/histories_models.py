"""The tables for histories and hooks."""

from sqlalchemy.orm import Mapped

from andamios import AuditMixin, BaseModel, SoftDeleteModel, VersioningMixin
from harness.conformance.models import CONFORMANCE_METADATA

__all__ = ["ConformanceContract", "ConformanceLetter"]


class ConformanceContract(AuditMixin, VersioningMixin, SoftDeleteModel):
    """Keeps what it was, and is marked when it is deleted."""

    metadata = CONFORMANCE_METADATA
    __history__ = True

    title: Mapped[str]
    price: Mapped[int | None]


class ConformanceLetter(BaseModel):
    """Writes down which of its hooks were called, beside its columns."""

    metadata = CONFORMANCE_METADATA

    text: Mapped[str]

    @property
    def called(self) -> list[str]:
        """The names of the hooks, in their order."""
        called: list[str] = self.__dict__.setdefault("_called", [])
        return called

    async def before_create(self) -> None:
        """Strip the text."""
        self.called.append("before_create")
        self.text = self.text.strip()

    def after_create(self) -> None:
        """Note it."""
        self.called.append("after_create")

    def before_update(self) -> None:
        """Strip the text."""
        self.called.append("before_update")
        self.text = self.text.strip()

    async def after_update(self) -> None:
        """Note it."""
        self.called.append("after_update")

    def before_delete(self) -> None:
        """Refuse to go, if asked to."""
        self.called.append("before_delete")
        if self.text == "stays":
            message = "this one stays"
            raise LookupError(message)

    def after_delete(self) -> None:
        """Note it."""
        self.called.append("after_delete")

    async def after_commit(self) -> None:
        """Note it."""
        self.called.append("after_commit")

    def after_load(self) -> None:
        """Note it."""
        self.called.append("after_load")
