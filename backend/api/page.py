"""The page: one document that the server draws, for looking around without a client program."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.routing import APIRoute
from fastapi.templating import Jinja2Templates

from backend import web
from backend.api.access import COOKIE, Keys, given_key
from backend.api.deps import CurrentWords, Recommender
from backend.api.inputs import MovieId
from backend.api.problems import field_error
from backend.catalog.filters import NO_FILTERS
from backend.database import DATABASE_GONE
from backend.errors import AppError, NotAuthenticatedError, UnavailableError
from backend.ml import answer

WEB = Path(web.__file__).parent
TEMPLATES = Jinja2Templates(WEB)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' https://image.tmdb.org; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
ERRORS: dict[int, tuple[str, dict[str, str]]] = {
    401: ("A key is needed", {"WWW-Authenticate": "Bearer"}),
    404: ("Not found", {}),
    422: ("That can't be looked up", {}),
    503: ("Not available at the moment", {"Retry-After": "1"}),
}
"""By status: what the page says above the detail, and the headers that belong to it."""
SIGN_IN = (
    "Open the link that the service printed when it started: it signs you in. "
    "With a key of your own, add ?key= and the key to the address of this page."
)
COOKIE_SECONDS = 365 * 86400


class PageRoute(APIRoute):
    """Answers errors in the layout of the page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler that FastAPI makes, with errors caught."""
        handle = super().get_route_handler()

        async def handle_or_explain(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                found = [field_error(item) for item in error.errors()]
                return _problem(request, 422, "; ".join(f"{one['field']}: {one['message']}." for one in found))
            except AppError as error:
                return _problem(request, error.status, error.detail)
            except DATABASE_GONE:
                return _problem(request, UnavailableError.status, UnavailableError().detail)

        return handle_or_explain


router = APIRouter(route_class=PageRoute)


@router.get("/")
def show(
    request: Request,
    recommender: Recommender,
    words: CurrentWords,
    q: Annotated[str, Query(max_length=500)] = "",
    film: MovieId | None = None,
    key: str | None = None,
) -> Response:
    """A film and its like, the hits of a search, or films to start from."""
    if key is not None:
        return _sign_in(request, key)
    _require_key(request, given_key(request))
    if film is not None:
        seed = recommender.detail(film)
        similar = recommender.similar(film, answer.Request(explain=True))
        return _page(request, film=seed, films=similar.rows, source=similar.source)
    # PostgreSQL has no NUL in text.
    if query := q.replace("\0", " ").strip():
        meaning = words.find_meaning(query)
        hits = recommender.search(query, answer.Request(n=20), meaning=meaning)
        return _page(request, q=query, films=hits.rows, titles_only=meaning is None)
    films, total = recommender.browse(NO_FILTERS, limit=12, offset=0)
    return _page(request, films=films, total=total)


@router.get("/page.css")
def style() -> Response:
    """What the page looks like."""
    return FileResponse(WEB / "page.css", headers=HEADERS | {"Cache-Control": "public, max-age=3600"})


def _sign_in(request: Request, key: str) -> Response:
    """Keep the key in a cookie, and lead to the same page without the key in the address."""
    _require_key(request, key)
    root = request.scope["root_path"]
    response = RedirectResponse(f"{root}/", 303, HEADERS)
    if request.app.state.keys.client:
        secure = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, key, COOKIE_SECONDS, path=root or "/", secure=secure, httponly=True, samesite="strict"
        )
    return response


def _require_key(request: Request, key: str) -> None:
    keys: Keys = request.app.state.keys
    if not keys.open_to_clients(key):
        raise NotAuthenticatedError(SIGN_IN)


def _problem(request: Request, status: int, detail: str) -> Response:
    heading, headers = ERRORS[status]
    return _page(request, status, headers, heading=heading, detail=detail)


def _page(request: Request, status: int = 200, headers: dict[str, str] | None = None, **content: Any) -> Response:
    context = content | {"root": request.scope["root_path"], "status": status}
    return TEMPLATES.TemplateResponse(request, "page.html", context, status, HEADERS | (headers or {}))
