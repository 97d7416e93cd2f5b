"""Files of what people did elsewhere."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Request, Response

from backend.api.deps import AskDatabase, PersonPath
from backend.api.render import JSONBytes
from backend.api.schemas import Imported
from backend.errors import UnusableFileError
from backend.feedback.imports import import_upload
from backend.feedback.reading import ImportSummary

router = APIRouter(tags=["people"], dependencies=[AskDatabase])

AT_ONCE = CapacityLimiter(2)
"""Files that are read at a time; the others wait, and do not take the threads that answer."""

FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file itself, at most 20 MB: Letterboxd (ZIP or CSV), IMDb (CSV), Trakt (ZIP or JSON). "
        "What it is is told by what is in it.",
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}}
            for media_type in ("application/octet-stream", "application/zip", "text/csv", "application/json")
        },
    }
}


async def get_content(request: Request) -> bytes:
    """The body as it came. Raises UnusableFileError where there is none, or it is a form."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise UnusableFileError("The file itself is the body of the request, not a field of a form.")
    content = await request.body()
    if not content:
        raise UnusableFileError("The file is empty.")
    return content


Content = Annotated[bytes, Depends(get_content)]
ListedAs = Annotated[
    Literal["watched", "watchlist", "like"] | None,
    Query(alias="kind", description="What it means that a film is on a list which does not say so itself."),
]


@router.post(
    "/users/{user_id}/import",
    response_model=Imported,
    openapi_extra=FILE,
    summary="Take over what a person did elsewhere, from a file",
)
async def import_file(user_id: PersonPath, content: Content, listed_as: ListedAs = None) -> Response:
    work = partial(import_upload, content, user_id, listed_as=listed_as)
    return JSONBytes(_told(await run_sync(work, limiter=AT_ONCE)))


def _told(summary: ImportSummary) -> dict[str, Any]:
    names = ("format", "read", "changed", "merged", "pending", "rejected")
    left = [{"reason": reason, "count": count} for reason, count in summary.left_alone.most_common()]
    films = [
        {"movie_id": film.tmdb_id, "imdb_id": film.imdb_id, "title": film.title, "release_year": film.year}
        for film in summary.pending_films
    ]
    return {name: getattr(summary, name) for name in names} | {
        "matched": summary.stored,
        "pending_films": films,
        "left_alone": left,
        "rejected_rows": [asdict(reject) for reject in summary.rejects],
    }
