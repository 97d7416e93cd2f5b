"""Every error is an honest problem: it names the field and the request, gives nothing away, stores nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, text
from structlog.testing import capture_logs

from backend import database
from backend.api import movies
from backend.api.middleware import MAX_BODY
from backend.api.request_id import HEADER
from tests.api.answers import JSON, assert_problem
from tests.api.conftest import RowCounts
from tests.api.routes import EVERY_ROUTE, LIKE, WRITES, Call, meet_ada, name
from tests.catalogue import TOY_STORY

LISTS = (
    f"/similar/{TOY_STORY}",
    "/recommendations/ada",
    "/recommendations?user_id=ada",
    "/search?q=toy",
    "/movies",
)
NEED_NO_DATABASE = {
    "GET /similar/{movie_id}",
    "GET /recommendations/{user_id}",
    "GET /recommendations/{user_id}/why/{movie_id}",
    "GET /recommendations",
    "GET /rows/{user_id}",
    "POST /recommendations",
    "GET /movies",
    "GET /movies/{movie_id}",
    "GET /metrics",
    "GET /health/live",
    "GET /health/ready",
}
"""Another layer answers, or nobody is asked: see `test_layers`."""
HUGE = "9" * 40

BAD_FILTERS = [
    ("genre=Noir", "genre"),
    ("genre=99999", "genre"),
    (f"genre={'1' * 5000}", "genre"),
    ("genre=%00", "genre"),
    ("genre=", "genre"),
    ("&".join(["genre=Drama"] * 21), "genre"),
    ("exclude_genre=Noir", "exclude_genre"),
    ("year_min=x", "year_min"),
    ("year_min=0", "year_min"),
    (f"year_max={HUGE}", "year_max"),
    ("year_max=1999.5", "year_max"),
    ("runtime_min=-1", "runtime_min"),
    (f"runtime_max={HUGE}", "runtime_max"),
    ("vote_average_min=NaN", "vote_average_min"),
    ("vote_average_min=11", "vote_average_min"),
    ("vote_average_min=inf", "vote_average_min"),
    ("vote_count_min=-1", "vote_count_min"),
    (f"vote_count_min={2**31}", "vote_count_min"),
    ("original_language=english", "original_language"),
    ("original_language=EN", "original_language"),
    ("original_language=en%0A", "original_language"),
    ("exclude=862,x", "exclude.1"),
    (f"exclude={HUGE}", "exclude.0"),
    ("exclude=-1", "exclude.0"),
    ("exclude=" + ",".join(["862"] * 1001), "exclude"),
    ("n=0", "n"),
    ("n=101", "n"),
    ("n=1000000", "n"),
    ("n=ten", "n"),
    ("n=1.5", "n"),
    (f"n={HUGE}", "n"),
    ("n=", "n"),
    ("page=0", "page"),
    ("page=100001", "page"),
    ("page=x", "page"),
]

BAD_LISTS = [
    ("diversity_boost=2", "diversity_boost"),
    ("diversity_boost=-0.1", "diversity_boost"),
    ("diversity_boost=NaN", "diversity_boost"),
    ("diversity_boost=x", "diversity_boost"),
    ("explain=perhaps", "explain"),
    ("page=501", "page"),
]

BAD_REQUESTS: list[tuple[str, str, int, str | None]] = [
    ("GET", "/similar/abc", 422, "movie_id"),
    ("GET", f"/similar/{HUGE}", 422, "movie_id"),
    ("GET", "/similar/0", 422, "movie_id"),
    ("GET", "/similar/-1", 422, "movie_id"),
    ("GET", "/similar/8.62", 422, "movie_id"),
    ("GET", "/similar/tt1", 422, "movie_id"),
    ("GET", "/similar/%00", 422, "movie_id"),
    ("GET", "/similar/424242", 404, "movie_id"),
    ("GET", "/similar/862?user_id=a/b", 422, "user_id"),
    ("GET", "/similar/862?by=magic", 422, "by"),
    ("GET", "/movies/abc", 422, "movie_id"),
    ("GET", "/movies/424242", 404, "movie_id"),
    ("GET", "/recommendations", 422, "user_id"),
    ("GET", "/recommendations?user_id=", 422, "user_id"),
    ("GET", "/recommendations/a%0Ab", 422, "user_id"),
    ("GET", f"/recommendations/{'a' * 129}", 422, "user_id"),
    ("GET", "/search", 422, "q"),
    ("GET", "/search?q=", 422, "q"),
    ("GET", "/search?q=%20%20", 422, "q"),
    ("GET", "/search?q=toy%00story", 422, "q"),
    ("GET", f"/search?q={'a' * 501}", 422, "q"),
    ("GET", "/users/a%00/interactions", 422, "user_id"),
    ("GET", "/users/ada/interactions?n=0", 422, "n"),
    ("GET", "/users/ada/interactions?page=0", 422, "page"),
    ("GET", f"/users/ada/interactions?page={HUGE}", 422, "page"),
    ("GET", "/users/a%00/export", 422, "user_id"),
    ("GET", "/users/nobody/export", 404, "user_id"),
    ("DELETE", "/users/%7F", 422, "user_id"),
    ("DELETE", "/users/ada/interactions/abc", 422, "movie_id"),
    ("DELETE", f"/users/ada/interactions/{HUGE}", 422, "movie_id"),
    ("DELETE", f"/users/ada/interactions/{TOY_STORY}?kind=love", 422, "kind"),
    ("DELETE", f"/users/a%0A/interactions/{TOY_STORY}", 422, "user_id"),
    ("GET", "/nowhere", 404, None),
    ("GET", "/v1/nowhere", 404, None),
    ("GET", "/recommendations/a%2Fb", 404, None),
    ("GET", "/interactions", 405, None),
    ("POST", "/genres", 405, None),
    ("PUT", "/movies/862", 405, None),
    ("DELETE", "/stats", 405, None),
]

BAD_BODIES: list[tuple[bytes, str]] = [
    (b"", "body"),
    (b"{", "body"),
    (b'{"liked": [862]', "body"),
    (b"[862]", "body"),
    (b"862", "body"),
    (b"null", "body"),
    (b'"862"', "body"),
    (b"\xff\xfe", "body"),
    (b'{"liked": "\xff"}', "body"),
    (b"[" * 100_000, "body"),
    (b'{"user_id": ' + b"1" * 5000 + b"}", "body"),
]

BAD_QUESTIONS: list[tuple[bytes, str]] = [
    *BAD_BODIES,
    (b'{"liked": 862}', "liked"),
    (b'{"liked": ["Toy Story"]}', "liked.0"),
    (b'{"liked": [862, null]}', "liked.1"),
    (b'{"liked": [NaN]}', "liked.0"),
    (b'{"liked": [' + b"862," * 500 + b"862]}", "liked"),
    (b'{"disliked": [-1]}', "disliked.0"),
    (b'{"query": ""}', "query"),
    (b'{"query": 7}', "query"),
    (b'{"query": "a\\u0000"}', "query"),
    (b'{"query": "\\ud800"}', "query"),
    (b'{"n": 0}', "n"),
    (b'{"n": 1000000}', "n"),
    (b'{"n": NaN}', "n"),
    (b'{"diversity_boost": NaN}', "diversity_boost"),
    (b'{"diversity_boost": -Infinity}', "diversity_boost"),
    (b'{"genre": ["Noir"]}', "genre"),
    (b'{"genre": ["\\ud800"]}', "genre"),
    (b'{"genre": "Drama"}', "genre"),
    (b'{"exclude": ["x"]}', "exclude.0"),
    (b'{"year_min": "long ago"}', "year_min"),
    (b'{"user_id": "ada"}', "user_id"),
]


@pytest.fixture
def counted(client: TestClient, row_counts: RowCounts) -> Iterator[TestClient]:
    """The service; whatever is asked of it, nothing may be stored."""
    meet_ada(client)
    before = row_counts()
    yield client
    assert row_counts() == before


@pytest.mark.parametrize(("query", "field"), BAD_FILTERS, ids=lambda value: value[:30])
def test_a_bad_filter_is_named_wherever_films_are_listed(counted: TestClient, query: str, field: str) -> None:
    for path in LISTS:
        assert_problem(counted.get(f"{path}{'&' if '?' in path else '?'}{query}"), 422, field=field)


@pytest.mark.parametrize(("query", "field"), BAD_LISTS)
def test_a_bad_wish_is_named_wherever_films_are_ranked(counted: TestClient, query: str, field: str) -> None:
    for path in LISTS[:3]:
        assert_problem(counted.get(f"{path}{'&' if '?' in path else '?'}{query}"), 422, field=field)


@pytest.mark.parametrize(("method", "path", "status", "field"), BAD_REQUESTS, ids=lambda value: str(value)[:50])
def test_a_bad_request_is_a_problem(
    counted: TestClient, method: str, path: str, status: int, field: str | None
) -> None:
    assert_problem(counted.request(method, path), status, field=field)


@pytest.mark.parametrize(("content", "field"), BAD_QUESTIONS, ids=lambda value: str(value)[:40])
def test_a_bad_question_is_a_problem(counted: TestClient, content: bytes, field: str) -> None:
    response = counted.post("/recommendations", content=content, headers=JSON)
    assert_problem(response, 422, field=field)


@pytest.mark.parametrize(("content", "field"), BAD_BODIES, ids=lambda value: str(value)[:40])
def test_a_bad_interaction_is_a_problem(counted: TestClient, content: bytes, field: str) -> None:
    assert_problem(counted.post("/interactions", content=content, headers=JSON), 422, field=field)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png", None])
def test_a_body_must_say_that_it_is_json(counted: TestClient, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    body = b'{"user_id": "bob", "movie_id": 862, "kind": "like"}'
    assert_problem(counted.post("/interactions", content=body, headers=headers), 422, field="body")


def test_several_mistakes_are_all_named(counted: TestClient) -> None:
    response = counted.get(f"/similar/{TOY_STORY}?n=0&page=0&year_min=x")
    assert [error["field"] for error in response.json()["errors"]] == ["year_min", "n", "page"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/movies", "GET"),
        ("/v1/movies/862", "GET"),
        ("/recommendations", "GET, POST"),
        ("/v1/recommendations", "GET, POST"),
        ("/users/ada", "DELETE"),
        ("/health/live", "GET"),
        ("/docs", "GET"),
    ],
)
def test_wrong_methods_are_told_the_right_ones(counted: TestClient, path: str, allowed: str) -> None:
    assert_problem(counted.put(path), 405, code="method_not_allowed")
    assert counted.put(path).headers["Allow"] == allowed


def chunks(size: int) -> Iterator[bytes]:
    """A body whose length is not told."""
    for _ in range(size // 2**16):
        yield b" " * 2**16


@pytest.mark.parametrize("path", ["/interactions", "/recommendations", "/v1/interactions", "/nowhere", "/genres"])
def test_a_body_of_twenty_megabytes_is_refused(counted: TestClient, path: str) -> None:
    response = counted.post(path, content=b" " * 20_000_000, headers=JSON)
    assert_problem(response, 413, field="body", code="body_too_large")


@pytest.mark.parametrize("path", ["/interactions", "/recommendations"])
def test_so_it_is_when_its_length_is_not_told(counted: TestClient, path: str) -> None:
    response = counted.post(path, content=chunks(20_000_000), headers=JSON)
    assert_problem(response, 413, field="body", code="body_too_large")


def test_a_body_up_to_the_limit_is_read(client: TestClient) -> None:
    body = b'{"user_id": "ada", "movie_id": 862, "kind": "like"}'
    assert client.post("/interactions", content=body.ljust(MAX_BODY), headers=JSON).status_code == 200
    response = client.post("/interactions", content=body.ljust(MAX_BODY + 1), headers=JSON)
    assert_problem(response, 413)


@pytest.fixture
def without_database(
    make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> TestClient:
    """A service whose database is gone."""
    app = make_app()
    nowhere = create_engine(f"postgresql+psycopg2://postgres@/none?host={tmp_path}")
    monkeypatch.setattr(database, "get_engine", lambda: nowhere)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("call", [call for call in EVERY_ROUTE if call.route not in NEED_NO_DATABASE], ids=name)
def test_what_needs_the_database_is_to_be_tried_again_without(without_database: TestClient, call: Call) -> None:
    response = call.send(without_database)
    assert_problem(response, 503, code="database_unavailable")
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("call", [call for call in EVERY_ROUTE if call.route in NEED_NO_DATABASE], ids=name)
def test_all_else_is_answered_without_the_database(without_database: TestClient, call: Call) -> None:
    assert call.send(without_database).status_code == 200


def test_a_connection_that_was_cut_is_made_anew(
    make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch, catalogue_engine: Engine
) -> None:
    app = make_app()
    engine = create_engine(catalogue_engine.url, pool_size=1, max_overflow=0)
    monkeypatch.setattr(database, "get_engine", lambda: engine)
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/movies").status_code == 200
    with engine.connect() as connection:
        backend = connection.scalar(text("SELECT pg_backend_pid()"))
    with catalogue_engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend})
    assert_problem(client.post("/interactions", json=LIKE), 503, code="database_unavailable")
    assert client.get("/movies").status_code == 200
    engine.dispose()


def test_where_a_write_can_not_be_stored_the_answer_is_to_try_again(
    make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch, catalogue_engine: Engine
) -> None:
    app = make_app()
    standby = create_engine(catalogue_engine.url, connect_args={"options": "-c default_transaction_read_only=on"})
    monkeypatch.setattr(database, "get_engine", lambda: standby)
    client = TestClient(app, raise_server_exceptions=False)
    for call in WRITES:
        response = call.send(client)
        assert_problem(response, 503, code="database_unavailable")
        assert response.headers["Retry-After"]
    assert client.get("/movies").status_code == 200
    standby.dispose()


def test_when_all_connections_are_busy_the_answer_is_to_try_again(
    make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch, catalogue_engine: Engine
) -> None:
    app = make_app()
    engine = create_engine(catalogue_engine.url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    monkeypatch.setattr(database, "get_engine", lambda: engine)
    client = TestClient(app, raise_server_exceptions=False)
    with engine.connect():
        assert_problem(client.post("/interactions", json=LIKE), 503, code="database_unavailable")
        assert client.get("/movies").status_code == 200
    assert client.get("/genres").status_code == 200
    engine.dispose()


def test_what_nobody_expected_is_a_problem_that_gives_nothing_away(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: Any, **__: Any) -> None:
        raise RuntimeError("the inside of the machine")

    monkeypatch.setattr(movies, "genre_counts", break_down)
    with capture_logs() as logged:
        response = client.get("/genres", headers={HEADER: "of-the-caller"})
    assert_problem(response, 500, code="internal_error")
    assert "inside" not in response.text
    assert response.headers[HEADER] == "of-the-caller"
    (line,) = logged
    assert (line["event"], line["route"]) == ("unexpected_error", "/genres")
    assert "inside" in str(line["exc_info"])
    assert 'route="/genres",status="500"' in client.get("/metrics").text


@pytest.mark.parametrize("given", ["abc", "A-1_b.2", "x" * 64])
def test_the_callers_request_id_comes_back(client: TestClient, given: str) -> None:
    assert client.get("/genres", headers={HEADER: given}).headers[HEADER] == given
    assert client.get("/similar/0", headers={HEADER: given}).json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "<script>", "a\tb", "ä".encode("latin-1"), "%0A"])
def test_one_that_is_not_fit_to_be_logged_is_replaced(client: TestClient, given: str | bytes) -> None:
    response = client.get("/similar/0", headers={HEADER: given})
    chosen = response.headers[HEADER]
    assert len(chosen) == 32
    assert chosen.isalnum()
    assert response.json()["request_id"] == chosen


def test_every_request_has_an_id_of_its_own(client: TestClient) -> None:
    chosen = {client.get("/health/live").headers[HEADER] for _ in range(5)}
    assert len(chosen) == 5
