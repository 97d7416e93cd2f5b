"""The pages, for people and for who runs it: documents and modules, as they lie in backend/web.

All else they ask the public API for.
"""

import os
from importlib.metadata import distribution
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import Scope

from backend import web
from backend.api.access import COOKIE, Keys, given_key

WEB = Path(web.__file__).parent
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "connect-src 'self'; img-src 'self' https://image.tmdb.org data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    # A browser asks whether a file is still the same, and is told so by its ETag.
    "Cache-Control": "private, no-cache",
}
COOKIE_SECONDS = 365 * 86400
DOCUMENTS = {"/": "index.html", "/ops": "ops.html"}
SERVED = {".css", ".js", ".svg", ".woff2"}
VENDOR = {
    "vendor/uplot.js": "youplot/vendor/uplot.iife.min.js",
    "vendor/uplot.css": "youplot/vendor/uplot.min.css",
}
"""Scripts and styles of others: the names that they are served under, and where the package youplot has them."""

router = APIRouter()


class PageFiles(StaticFiles):
    """Styles, modules, fonts: nothing secret, so no key is asked for."""

    def __init__(self) -> None:
        super().__init__(directory=WEB)

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Where a file lies, and how it is: ours, or exactly one of a package."""
        if path not in VENDOR:
            return super().lookup_path(path)
        file = Path(str(distribution("youplot").locate_file(VENDOR[path])))
        return str(file), file.stat()

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, under the rules of the page. Raises HTTPException where there is none."""
        if Path(path).suffix not in SERVED:
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


@router.get("/")
async def show(request: Request, key: str | None = None) -> Response:
    """The page of films."""
    return _show("/", request, key)


@router.get("/ops")
async def show_ops(request: Request, key: str | None = None) -> Response:
    """The page that tells how the service is."""
    return _show("/ops", request, key)


def _show(place: str, request: Request, key: str | None) -> Response:
    """The document; a key in the address signs in and leaves the address."""
    keys: Keys = request.app.state.keys
    if not keys.open_to_clients(given_key(request) if key is None else key):
        return FileResponse(WEB / "sign-in.html", 401, HEADERS | {"WWW-Authenticate": "Bearer"})
    return FileResponse(WEB / DOCUMENTS[place], headers=HEADERS) if key is None else _sign_in(place, request, key)


def _sign_in(place: str, request: Request, key: str) -> Response:
    """Keep the key in a cookie, and lead to the same page without the key in the address."""
    root = request.scope["root_path"]
    response = RedirectResponse(f"{root}{place}", 303, HEADERS)
    if request.app.state.keys.client:
        secure = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, key, COOKIE_SECONDS, path=root or "/", secure=secure, httponly=True, samesite="strict"
        )
    return response
