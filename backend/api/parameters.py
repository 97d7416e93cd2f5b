"""The parameters of an address: read once for each way they are written, documented as FastAPI documents its own.

FastAPI takes a quarter of a millisecond to read seventeen of them: as long as for all else it does for an answer.
"""

from functools import lru_cache
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams

KEPT = 4_096
"""Addresses' parameters that a process remembers."""


class FromQuery:
    """What a route depends on that has parameters: they come as one model. Used as `Depends(FromQuery(Model))`."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model

    async def __call__(self, request: Request) -> BaseModel:
        """Of this request. Raises RequestValidationError, which names the parameters that can't be used."""
        return _read(self.model, request.scope["query_string"])

    def documented(self) -> list[dict[str, Any]]:
        """As OpenAPI has it."""
        schema = self.model.model_json_schema()
        required = schema.get("required", ())
        return [
            {"name": name, "in": "query", "required": name in required, "schema": _in_address(shape)}
            | ({"description": shape["description"]} if "description" in shape else {})
            for name, shape in schema["properties"].items()
        ]


class DocumentedRoute(APIRoute):
    """A route whose documentation tells of `FromQuery` too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for dependency in self.dependant.dependencies:
            if isinstance(dependency.call, FromQuery):
                self.openapi_extra = {"parameters": dependency.call.documented()}


def _in_address(shape: dict[str, Any]) -> dict[str, Any]:
    """An address has text only, where a body may have a number too, and no null: what is not given is left out."""
    if shape.get("type") == "array":
        return shape | {"items": _in_address(shape["items"])}
    if "anyOf" not in shape:
        return shape
    kinds = [_in_address(kind) for kind in shape["anyOf"] if kind != {"type": "null"}]
    texts = [kind for kind in kinds if kind["type"] == "string"]
    rest = {key: value for key, value in shape.items() if key != "anyOf" and value is not None}
    return rest | (texts or kinds)[0]


# What can't be used raises, and is not remembered. Nobody changes what is.
@lru_cache(KEPT)
def _read(model: type[BaseModel], written: bytes) -> BaseModel:
    given = QueryParams(written)
    values = {name: given.getlist(name) if name in _lists(model) else given[name] for name in _asked(model, given)}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        told = error.errors(include_url=False)
        raise RequestValidationError([one | {"loc": ("query", *one["loc"])} for one in told]) from None


def _asked(model: type[BaseModel], given: QueryParams) -> list[str]:
    return [name for name in model.model_fields if name in given]


@lru_cache
def _lists(model: type[BaseModel]) -> frozenset[str]:
    """The parameters that may stand there several times."""
    properties = model.model_json_schema()["properties"]
    return frozenset(name for name, shape in properties.items() if shape.get("type") == "array")
