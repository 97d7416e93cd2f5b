"""The viewer of the API's description: Swagger UI, from an installed package and from no other site."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from backend import web

OWN = Path(web.__file__).parent
VIEWER = Path(fastapi_offline.__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}

router = APIRouter(prefix="/docs")


@router.get("")
def show() -> Response:
    """The description, to look through and to try."""
    return FileResponse(OWN / "docs.html", headers=HEADERS)


@router.get("/start.js")
def start() -> Response:
    """What starts the viewer: a file of its own, for no script may stand in the page."""
    return FileResponse(OWN / "docs.js", headers=HEADERS)


@router.get("/swagger-ui.css")
def style() -> Response:
    """What the viewer looks like."""
    return FileResponse(VIEWER / "swagger-ui.css", headers=HEADERS)


@router.get("/swagger-ui-bundle.js")
def viewer() -> Response:
    """The viewer."""
    return FileResponse(VIEWER / "swagger-ui-bundle.js", headers=HEADERS)
