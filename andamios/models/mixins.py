"""What a model can have besides its columns: an author, and a version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import event, literal_column
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from andamios.core.session import Session
from andamios.errors import ConfigurationError
from andamios.models.actor import current_actor

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper, ORMExecuteState

__all__ = ["AuditMixin", "VersioningMixin", "count_version"]


class AuditMixin:
    """
    ``created_by`` and ``updated_by``, from the user that :func:`acting_as` names.

    Outside of ``acting_as`` they are None: nobody is known. With ``__history__ = True`` in the
    class each state of its rows is kept, too (:mod:`andamios.models.history`).

    Example:
        >>> from andamios import AuditMixin, BaseModel
        >>> class Invoice(AuditMixin, BaseModel):
        ...     pass
        >>> sorted(Invoice.__table__.c.keys())
        ['created_by', 'id', 'updated_by']
    """

    __history__: ClassVar[bool] = False

    created_by: Mapped[str | None] = mapped_column(default=current_actor, sort_order=910)
    updated_by: Mapped[str | None] = mapped_column(
        default=current_actor, onupdate=current_actor, sort_order=911
    )


class VersioningMixin:
    """
    Optimistic locking: a write that was prepared on an older version loses.

    Raises:
        StaleVersionError: Somebody else changed or removed the row first.

    Example:
        >>> from andamios import BaseModel, VersioningMixin
        >>> class Seat(VersioningMixin, BaseModel):
        ...     pass
        >>> Seat.__mapper__.version_id_col.name
        'version'
    """

    # Statements that the listener below cannot add to count by the column's own rule.
    version: Mapped[int] = mapped_column(sort_order=920, onupdate=literal_column("version") + 1)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        """Tell SQLAlchemy which column is the version."""
        return {"version_id_col": vars(cls).get("version", cls.version)}


@event.listens_for(VersioningMixin, "after_mapper_constructed", propagate=True)
def _require_version(mapper: Mapper[Any], model: type[Any]) -> None:
    if mapper.version_id_col is None:
        raise ConfigurationError(
            f"{model.__name__} has __mapper_args__ of its own, which hide those of "
            "VersioningMixin. Map the column in the class itself, version: Mapped[int] = "
            'mapped_column(), and add "version_id_col": version to them.'
        )


@event.listens_for(Session, "do_orm_execute")
def _count_version(state: ORMExecuteState) -> None:
    # A list of parameters is an update by primary key, which brings its versions along.
    if state.is_update and state.bind_mapper and not isinstance(state.parameters, list):
        state.statement = count_version(state.statement, state.bind_mapper)


def count_version(statement: Any, mapper: Mapper[Any]) -> Any:
    """
    Count the version in a set-based UPDATE too, so that whoever read before it loses.

    Args:
        statement: An UPDATE.
        mapper: That of the updated model, which may have no version.

    Returns:
        The statement; as it was if it sets a version itself.
    """
    column = mapper.version_id_col
    if column is None or column.key in statement.compile().params:
        return statement
    attribute = mapper.get_property_by_column(column).class_attribute
    try:
        return statement.values({attribute: attribute + 1})
    except InvalidRequestError:  # its values are ordered, and can take no more
        return statement
