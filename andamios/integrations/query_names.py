"""Which query parameters a route takes: those of its handler and of all that it depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pydantic
from fastapi.security import APIKeyQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi.dependencies.models import Dependant
    from fastapi.requests import Request
    from pydantic.fields import FieldInfo

__all__ = ["unknown_names"]


def unknown_names(request: Request) -> list[str]:
    """
    Find the query parameters of a request that nothing on its route reads by name.

    Args:
        request: One that FastAPI answers.

    Returns:
        Their names; none if a model that takes any name (``extra="allow"``) is there.
    """
    declared = list(_declared(_dependant(request)))
    if any(_takes_all(info) for _, info in declared):
        return []
    known = {name for field, info in declared for name in _names(field, info)}
    known.update(_key_names(_dependant(request)))
    return [name for name in request.query_params if name not in known]


def _dependant(request: Request) -> Dependant:
    # A route of an included router does not know what was added where it was included.
    included = request.scope.get("fastapi", {}).get("effective_route_context")
    found: Dependant = (included or request.scope["route"]).dependant
    return found


def _declared(dependant: Dependant) -> Iterator[tuple[str, FieldInfo]]:
    for item in dependant.query_params:
        yield item.name, item.field_info
    for each in dependant.dependencies:
        yield from _declared(each)


def _key_names(dependant: Dependant) -> Iterator[str]:
    if isinstance(dependant.call, APIKeyQuery):
        yield dependant.call.model.name
    for each in dependant.dependencies:
        yield from _key_names(each)


def _model(info: FieldInfo) -> type[pydantic.BaseModel] | None:
    kinds: tuple[Any, ...] = (info.annotation, *get_args(info.annotation))
    found = (kind for kind in kinds if isinstance(kind, type))
    return next((kind for kind in found if issubclass(kind, pydantic.BaseModel)), None)


def _takes_all(info: FieldInfo) -> bool:
    model = _model(info)
    return model is not None and model.model_config.get("extra") == "allow"


def _names(field: str, info: FieldInfo) -> Iterator[str]:
    """Give the names by which a parameter, or each field of a model of them, is read."""
    model = _model(info)
    if model is not None:
        for name, inside in model.model_fields.items():
            yield from _aliases(name, inside)
    else:
        yield from _aliases(field, info)


def _aliases(name: str, info: FieldInfo) -> Iterator[str]:
    alias = info.validation_alias or info.alias or name
    for choice in alias.choices if isinstance(alias, pydantic.AliasChoices) else [alias]:
        yield choice if isinstance(choice, str) else str(choice.path[0])
