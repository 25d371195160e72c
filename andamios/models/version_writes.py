"""Set-based updates count the version too, so that whoever read the row before them loses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import event

from andamios.core.session import Session

if TYPE_CHECKING:
    from sqlalchemy.orm import ORMExecuteState

__all__: list[str] = []


@event.listens_for(Session, "do_orm_execute")
def _count_version(state: ORMExecuteState) -> None:
    if not state.is_update or isinstance(state.parameters, list) or state.bind_mapper is None:
        return
    mapper = state.bind_mapper
    if mapper.version_id_col is None:
        return
    statement = state.statement
    if mapper.version_id_col.key not in statement.compile().params:  # type: ignore[attr-defined]
        attribute = mapper.get_property_by_column(mapper.version_id_col).class_attribute
        state.statement = statement.values({attribute: attribute + 1})  # type: ignore[attr-defined]
