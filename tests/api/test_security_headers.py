"""What a browser is told with every answer: guess nothing, frame nothing, keep nothing, let no other site ask."""

import re
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.api.routes import EVERY_ROUTE, LIKE, Call, meet_ada, name
from tests.catalogue import TOY_STORY

MakeApp = Callable[..., FastAPI]
SITE = "https://films.example.org"
PREFLIGHT = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
DOCS = ["/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"]


def assert_secure(headers: dict[str, str]) -> None:
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] in ("no-referrer", "same-origin")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"]
    assert not [header for header in headers if header.startswith("access-control-")]


@pytest.mark.parametrize("call", EVERY_ROUTE, ids=name)
def test_every_answer_is_safe_and_kept_by_nobody(client: TestClient, call: Call) -> None:
    meet_ada(client)
    for prefix in ("", "/v1"):
        response = call.send(client, prefix=prefix)
        assert_secure(dict(response.headers))
        # But for the map, which is of no one person: it is asked for anew by its version.
        assert response.headers["cache-control"] == ("private, no-cache" if call.path == "/map" else "no-store")


@pytest.mark.parametrize(
    "path", ["/nowhere", "/similar/x", "/similar/999999999", "/openapi.json", "/users/ada/export"]
)
def test_so_is_every_error(client: TestClient, path: str) -> None:
    for method in ("GET", "PUT", "OPTIONS", "HEAD"):
        assert_secure(dict(client.request(method, path).headers))
    assert_secure(dict(client.post("/interactions", content=b"x" * 2_000_000).headers))


def test_so_is_an_error_of_our_own(make_app: MakeApp) -> None:
    app = make_app()

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("as it happens")

    response = TestClient(app, raise_server_exceptions=False).get("/broken")
    assert response.status_code == 500
    assert_secure(dict(response.headers))


def test_the_viewer_of_the_description_is_served_from_here_alone(client: TestClient) -> None:
    for path in DOCS:
        response = client.get(path)
        assert response.status_code == 200
        assert_secure(dict(response.headers))
    html = client.get("/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert {f"/{address}" for address in loaded} == set(DOCS[1:])
    assert not re.search(r"<script[^>]*>[^<]|<style|\sstyle=|\son\w+=", html), (
        "only files, for no script in a page runs"
    )
    # It names the description as its neighbour, which holds below any root path.
    assert 'url: "openapi.json"' in client.get("/docs/start.js").text
    assert client.get("/redoc").status_code == 404


@pytest.mark.parametrize("path", ["/", "/?film=862", "/docs"])
def test_pages_run_no_script_of_their_own_and_ask_no_other_site(client: TestClient, path: str) -> None:
    policy = client.get(path).headers["content-security-policy"]
    assert set(re.findall(r"https?://[^ ;]+", policy)) <= {"https://image.tmdb.org"}
    assert "*" not in policy


def test_unless_listed_no_other_site_may_ask(client: TestClient) -> None:
    assert_secure(dict(client.options("/interactions", headers=PREFLIGHT).headers))
    assert_secure(dict(client.get("/genres", headers={"Origin": SITE}).headers))


def test_a_listed_site_may_ask_with_a_key_and_another_may_not(make_app: MakeApp) -> None:
    app = make_app(cors_origins=f" {SITE}, http://localhost:3000", api_keys="sesame", rate_limit="3/hour")
    client = TestClient(app)
    preflight = client.options(
        "/interactions", headers=PREFLIGHT | {"Access-Control-Request-Headers": "X-API-Key, Content-Type"}
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == SITE
    answer = client.get(f"/similar/{TOY_STORY}", headers={"Origin": SITE, "X-API-Key": "sesame"})
    assert answer.headers["access-control-allow-origin"] == SITE
    assert "access-control-allow-credentials" not in answer.headers
    assert client.get("/genres", headers={"Origin": SITE}).status_code == 401

    other = {"Origin": "https://elsewhere.example", "X-API-Key": "sesame"}
    assert "access-control-allow-origin" not in client.get("/genres", headers=other).headers
    assert client.options("/interactions", headers=PREFLIGHT | other).status_code == 400


@pytest.mark.parametrize("status", [401, 422, 429])
def test_a_listed_site_can_read_its_errors(make_app: MakeApp, status: int) -> None:
    client = TestClient(make_app(cors_origins=SITE, api_keys="sesame", rate_limit="2/hour"))
    headers = {"Origin": SITE, "X-API-Key": "sesame"}
    for _ in range(2 if status == 429 else 0):
        client.get("/genres", headers=headers)
    answer = client.get("/similar/x", headers=headers if status != 401 else {"Origin": SITE})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == SITE


@pytest.mark.parametrize(
    "value", ["*", "films.example.org", f"{SITE}/", f"{SITE},*", "https://*.example.org", "null"]
)
def test_what_is_no_origin_is_refused_at_the_start(make_app: MakeApp, value: str) -> None:
    with pytest.raises(ValueError, match="cors_origins"):
        make_app(cors_origins=value)


def test_a_form_writes_nothing(client: TestClient, row_counts: Callable[[], dict[str, int]]) -> None:
    """What a browser sends to another site without asking first: a body that is not declared as JSON."""
    before = row_counts()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        body = f'{{"user_id": "{LIKE["user_id"]}", "movie_id": {TOY_STORY}, "kind": "like"}}'
        headers = {"Content-Type": kind} if kind else {}
        assert client.post("/interactions", content=body.encode(), headers=headers).status_code == 422
    assert row_counts() == before
