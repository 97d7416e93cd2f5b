"""The map of films."""

from fastapi import APIRouter, Request, Response

from backend.api.deps import AskDatabase, CurrentSettings, ReadSession
from backend.api.render import JSONBytes
from backend.api.schemas import FilmMap
from backend.errors import MapNotMadeError
from backend.ml import map_store

router = APIRouter(tags=["films"], dependencies=[AskDatabase])


@router.get(
    "/map",
    response_model=FilmMap,
    responses={304: {"description": "It is the one that `If-None-Match` names"}},
    summary="The best-known films as points: near each other is what is alike",
)
def film_map(request: Request, session: ReadSession, settings: CurrentSettings) -> Response:
    made = map_store.find_made(session)
    if made is None:
        raise MapNotMadeError()
    headers = {"ETag": f'"{made["version"]}"', "Cache-Control": "private, no-cache"}
    if headers["ETag"] in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    films = map_store.mapped_films(session, include_adult=settings.include_adult)
    return JSONBytes({**made, "films": films}, headers=headers)
