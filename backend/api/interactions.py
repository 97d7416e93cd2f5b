"""What people do with films, and what is held about them."""

import datetime as dt
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import TypeAdapter, ValidationError

from backend.api.access import require_admin
from backend.api.deps import AskDatabase, CurrentIds, MoviePath, PersonPath, ReadSession
from backend.api.inputs import InteractionBatch, InteractionBody, Interactions
from backend.api.problems import ADMIN_ONLY, field_error
from backend.api.render import JSONBytes, RecommendationIds, pages
from backend.api.schemas import Deleted, History, PersonExport, Stored
from backend.catalog.store import find_refs
from backend.database import session_scope
from backend.errors import InvalidInputError, PersonNotFoundError
from backend.feedback import store
from backend.feedback.records import NewInteraction
from backend.feedback.weights import Kind

router = APIRouter(tags=["people"], dependencies=[AskDatabase])

_ITEM = TypeAdapter(InteractionBody)


@router.post("/interactions", response_model=Stored, summary="Record what people did: one, or up to 1,000")
def record(body: Interactions, ids: CurrentIds) -> Response:
    accepted, rejected = _check(body, ids)
    with session_scope() as session:
        recorded = store.record(session, [_new_interaction(item) for item in accepted])
    pending = dict.fromkeys(accepted[index].movie_id for index in recorded.pending)
    stored = sum(item.movie_id not in pending for item in accepted)
    return JSONBytes({"stored": stored, "pending": list(pending), "rejected": rejected})


@router.get("/users/{user_id}/interactions", response_model=History, summary="What a person did, newest first")
def history(
    user_id: PersonPath,
    session: ReadSession,
    n: Annotated[int, Query(ge=1, le=100)] = 50,
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Response:
    items, total = store.history(session, user_id, limit=n, offset=(page - 1) * n)
    body = {"results": [asdict(item) for item in items], "page": page}
    return JSONBytes(body | {"total_results": total, "total_pages": pages(total, n)})


@router.delete(
    "/users/{user_id}/interactions/{movie_id}",
    response_model=Deleted,
    summary="Undo what a person did with a film",
)
def undo(user_id: PersonPath, movie_id: MoviePath, kind: Kind | None = None) -> Response:
    imdb_id = movie_id if isinstance(movie_id, str) else None
    with session_scope() as session:
        number = find_refs(session, [movie_id]).get(movie_id) if imdb_id else movie_id
        assert not isinstance(number, str)
        deleted = store.remove(session, user_id, number, imdb_id=imdb_id, kind=kind)
    return JSONBytes({"deleted": deleted})


@router.delete(
    "/users/{user_id}",
    response_model=Deleted,
    dependencies=[Depends(require_admin)],
    responses=ADMIN_ONLY,
    summary="Erase a person and everything about them",
)
def erase(user_id: PersonPath) -> Response:
    with session_scope() as session:
        deleted = store.erase(session, user_id)
    return JSONBytes({"deleted": deleted})


@router.get(
    "/users/{user_id}/export",
    response_model=PersonExport,
    dependencies=[Depends(require_admin)],
    responses=ADMIN_ONLY,
    summary="Everything that is held about a person",
)
def export(user_id: PersonPath, session: ReadSession) -> Response:
    held = store.export(session, user_id)
    if held is None:
        raise PersonNotFoundError(field="user_id")
    return JSONBytes(asdict(held))


def _check(
    body: InteractionBody | InteractionBatch, ids: RecommendationIds
) -> tuple[list[InteractionBody], list[dict[str, Any]]]:
    """The items that can be used, and what is wrong with the others; alone, a wrong one is an error."""
    if isinstance(body, InteractionBody):
        _check_token(body, ids)
        return [body], []
    accepted, rejected = [], []
    for index, raw in enumerate(body.interactions):
        try:
            item = _ITEM.validate_python(raw)
            _check_token(item, ids)
            accepted.append(item)
        except ValidationError as error:
            first = error.errors()[0]
            # Located as FastAPI does it for one that comes alone.
            rejected.append({"index": index, **field_error({**first, "loc": ("body", "one", *first["loc"])})})
        except InvalidInputError as error:
            rejected.append({"index": index, "field": error.field, "code": error.code, "message": error.detail})
    return accepted, rejected


def _check_token(item: InteractionBody, ids: RecommendationIds) -> None:
    if item.recommendation_id is not None:
        ids.check(item.recommendation_id)


def _new_interaction(item: InteractionBody) -> NewInteraction:
    return NewInteraction(
        user_id=item.user_id,
        kind=item.kind,
        value=item.value,
        at=item.at or dt.datetime.now(dt.UTC),
        tmdb_id=item.movie_id if isinstance(item.movie_id, int) else None,
        imdb_id=item.movie_id if isinstance(item.movie_id, str) else None,
        title=None,
        year=None,
        recommendation_id=item.recommendation_id,
        position=item.position,
    )
