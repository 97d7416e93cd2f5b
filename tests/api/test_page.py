"""The page at `/`: who gets it, under which rules, and that nothing else of the package goes out with it."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from backend import web
from backend.api.access import COOKIE
from tests.catalogue import TOY_STORY

MakeApp = Callable[..., FastAPI]
WEB = Path(web.__file__).parent
ATTRIBUTION = "This product uses the TMDB API but is not endorsed or certified by TMDB."
ADDRESS = re.compile(r'(?:href|src)="(web/[^"]+)"')
IMPORT = re.compile(r'(?:from|import)\s*\(?"(\.[^"]+)"')
UPLOT_1_6_31 = "2d27e8ad3d228164525ce213f9dc716f39b4e3aee0cc773fb3491c96cf4921a2"
FONT = re.compile(r'url\("([^"]+)"\)')


def test_it_is_a_document_that_names_tmdb(client: TestClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert ATTRIBUTION in response.text


def test_everything_it_is_made_of_is_there(client: TestClient) -> None:
    for document in ("index.html", "ops.html", "sign-in.html"):
        for address in ADDRESS.findall((WEB / document).read_text("utf-8")):
            assert client.get(f"/{address}").status_code == 200, address
    for module in WEB.rglob("*.js"):
        for name in IMPORT.findall(module.read_text("utf-8")):
            assert (module.parent / name).is_file(), (module, name)
    for style in WEB.rglob("*.css"):
        for name in FONT.findall(style.read_text("utf-8")):
            assert (style.parent / name).is_file(), (style, name)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/web/js/main.js", "javascript"),
        ("/web/style/base.css", "text/css"),
        ("/web/fonts/figtree-latin.woff2", "font/woff2"),
        ("/web/icon.svg", "image/svg+xml"),
        ("/web/vendor/uplot.js", "javascript"),
    ],
)
def test_its_files_are_kept_until_they_change(client: TestClient, path: str, kind: str) -> None:
    first = client.get(path)
    assert kind in first.headers["content-type"]
    assert first.headers["cache-control"] == "private, no-cache"
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/?film=abc", "/ops", "/web/js/main.js", "/web/style/base.css"])
def test_every_answer_forbids_what_is_not_ours(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("document", sorted(WEB.glob("*.html")), ids=lambda path: path.name)
def test_no_document_has_script_or_style_of_its_own(document: Path) -> None:
    markup = document.read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", markup)


@pytest.mark.parametrize(
    "path", ["/web/", "/web/nothing.js", "/web/../main.py", "/web/%2e%2e/main.py", "/web/js", "/web/vendor/x.js"]
)
def test_nothing_else_goes_out(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert "import" not in response.text


def test_links_and_the_cookie_stay_below_the_root_path(make_app: MakeApp) -> None:
    client = TestClient(make_app(api_keys="sesame"), root_path="/marquee", follow_redirects=False)
    answer = client.get("/", params={"key": "sesame"})
    assert answer.headers["location"] == "/marquee/"
    assert "Path=/marquee;" in answer.headers["set-cookie"]
    html = client.get("/", headers={"X-API-Key": "sesame"}).text
    assert not re.findall(r'(?:href|src|action)="/', html)


def test_charts_are_drawn_by_what_upstream_published(client: TestClient) -> None:
    script = client.get("/web/vendor/uplot.js").content
    assert hashlib.sha256(script).hexdigest() == UPLOT_1_6_31


@pytest.mark.parametrize("page", ["/", "/ops"])
def test_a_key_in_the_address_signs_in_and_leaves_the_address(make_app: MakeApp, page: str) -> None:
    client = TestClient(make_app(api_keys="sesame"), base_url="https://testserver", follow_redirects=False)
    assert client.get(page).status_code == 401
    answer = client.get(page, params={"key": "sesame"})
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=sesame;")
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Secure"))
    assert client.get(page).status_code == 200
    assert client.get(f"/similar/{TOY_STORY}").status_code == 200


@pytest.mark.parametrize("params", [{}, {"key": "wrong"}, {"key": ""}, {"q": "toy"}, {"film": "862"}])
def test_without_a_valid_key_it_says_how_to_sign_in(make_app: MakeApp, params: dict[str, str]) -> None:
    client = TestClient(make_app(api_keys="sesame"), follow_redirects=False)
    answer = client.get("/", params=params)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "set-cookie" not in answer.headers
    assert "printed when it started" in answer.text
    assert client.get("/web/style/base.css").status_code == 200


def test_an_open_service_keeps_no_key(client: TestClient) -> None:
    answer = client.get("/", params={"key": "日本"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "set-cookie" not in answer.headers
