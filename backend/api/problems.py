"""Every error as problem details (RFC 9457), in one place."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from psycopg2.errors import ReadOnlySqlTransaction
from sqlalchemy.exc import InternalError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from backend.api.request_id import HEADER, request_id
from backend.api.schemas import Problem
from backend.api.security import with_security
from backend.database import DATABASE_GONE
from backend.errors import AppError, InvalidInputError, UnavailableError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
UNION_TAGS = {"one", "batch"}

DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": title}
    for status, title in (
        (401, "A key is needed"),
        (404, "There is no such film or person"),
        (413, "The body is too large"),
        (422, "A value can't be used; `errors` names the field"),
        (429, "Too many requests; `Retry-After` says when to ask again"),
        (503, "Not available at the moment; `Retry-After` says when to try again"),
    )
}

ADMIN_ONLY: dict[int | str, dict[str, Any]] = {403: {"model": Problem, "description": "The admin key is needed"}}


def problem(
    status: int,
    code: str,
    title: str,
    *,
    detail: str,
    errors: Sequence[dict[str, str]] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """The response that every error becomes."""
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": list(errors),
        "request_id": request_id(),
    }
    return Response(orjson.dumps(body), status, headers, media_type=MEDIA_TYPE)


def app_problem(error: AppError) -> Response:
    """An error of our own."""
    errors = [{"field": error.field, "code": error.code, "message": error.detail}] if error.field else []
    headers = {"Retry-After": "1"} if error.status in (429, 503) else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.status, error.code, error.title, detail=error.detail, errors=errors, headers=headers)


def field_error(error: Any) -> dict[str, str]:
    """One finding of pydantic as field, code and message."""
    location = [str(part) for part in error["loc"]]
    if location[:1] in (["query"], ["path"], ["body"], ["header"]):
        location = location[1:] or location
    if location and location[0] in UNION_TAGS:
        location = location[1:]
    if field := error.get("ctx", {}).get("field"):
        location.append(str(field))
    if error["type"] == "json_invalid" or not location:
        location = ["body"]
    return {"field": ".".join(location), "code": error["type"], "message": error["msg"]}


def register(app: FastAPI) -> None:
    """Have every error of the app answered, and documented, in this form."""
    _document(app)

    @app.exception_handler(AppError)
    def own(_: Request, error: AppError) -> Response:
        return app_problem(error)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        errors = [field_error(item) for item in error.errors()]
        detail = "; ".join(f"{item['field']}: {item['message']}" for item in errors[:3])
        return problem(422, "invalid_input", "A value can't be used.", detail=detail, errors=errors)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400:
            # FastAPI's word for a body that is not UTF-8, nests without end, or has endless numbers.
            return app_problem(InvalidInputError("body: this can't be read as JSON", field="body"))
        title = str(error.detail)
        code = title.lower().replace(" ", "_").replace("'", "")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(request))
        return problem(error.status_code, code, title, detail=title, headers=headers)

    def database_gone(_: Request, error: Exception) -> Response:
        log.warning("database_unavailable", error=type(error).__name__)
        return app_problem(UnavailableError())

    for kind in DATABASE_GONE:
        app.add_exception_handler(kind, database_gone)

    @app.exception_handler(InternalError)
    def read_only(_: Request, error: InternalError) -> Response:
        if not isinstance(error.orig, ReadOnlySqlTransaction):
            raise error
        log.warning("database_read_only")
        return app_problem(UnavailableError("The database takes no writes at the moment; try again shortly."))

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        # Not by its path, in which there may be a person.
        route = getattr(request.scope.get("route"), "path", "unmatched")
        log.error("unexpected_error", route=route, exc_info=error)
        response = app_problem(AppError())
        # Starlette answers these outside of our middleware.
        response.headers[HEADER] = request_id()
        response.raw_headers = with_security(response.raw_headers)
        return response


def _methods(request: Request) -> list[str]:
    """What an address may be asked by; Starlette tells those of the first of its routes only."""
    routes = iter_route_contexts(request.app.routes)
    allowed = [route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted(set().union(*allowed))


def _document(app: FastAPI) -> None:
    """Say in the OpenAPI document that errors are problems; FastAPI gives them the media type of answers."""
    generate = app.openapi

    def with_problems() -> dict[str, Any]:
        document = generate()
        operations = chain.from_iterable(path.values() for path in document["paths"].values())
        for status, answer in chain.from_iterable(one["responses"].items() for one in operations):
            if int(status) >= 400:
                answer["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        return document

    app.openapi = with_problems  # type: ignore[method-assign] # as FastAPI's own documentation has it
