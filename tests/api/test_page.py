"""The page at `/`: films and their like for people, whatever they type, and nobody else's business."""

import re
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine

from backend import database
from backend.api.access import COOKIE
from tests.api.conftest import Statements
from tests.catalogue import TOY_STORY, TOY_STORY_2

MakeApp = Callable[..., FastAPI]
ODD_FILM = 990_001


def linked(html: str) -> list[int]:
    """The films that the page links to, in order."""
    return [int(number) for number in re.findall(r'href="[^"]*/\?film=(\d+)"', html)]


@pytest.fixture
def odd_film(catalogue_engine: Engine) -> object:
    """A film whose facts would break a page that trusts them, without vector, overview or poster."""
    with catalogue_engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO movies (id, title, genres, directors) VALUES (%s, %s, '{}', %s)",
            (ODD_FILM, "<script>alert(1)</script> " + "ط" * 400, ['Ada "<b>" Lovelace']),
        )
    yield ODD_FILM
    with catalogue_engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM movies WHERE id = %s", (ODD_FILM,))


def test_it_opens_with_films_to_start_from(client: TestClient, statements: Statements) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert len(linked(response.text)) == 12
    assert "This product uses the TMDB API but is not endorsed or certified by TMDB." in response.text
    assert len(statements) == 1


def test_a_film_is_shown_with_ten_like_it_and_why(client: TestClient, statements: Statements) -> None:
    html = client.get("/", params={"film": TOY_STORY}).text
    assert re.search(r"<h1[^>]*>Toy Story</h1>", html)
    assert len(linked(html)) == 10
    assert TOY_STORY_2 in linked(html)[:2]
    assert "Same director: John Lasseter" in html
    assert re.search(r"\d+% similar", html)
    assert len(statements) == 3


def test_a_film_is_found_by_imdb_id_too(client: TestClient) -> None:
    assert ">Toy Story</h1>" in client.get("/", params={"film": "tt0114709"}).text


def test_a_search_finds_by_title_and_by_meaning(client: TestClient, statements: Statements) -> None:
    assert linked(client.get("/", params={"q": "toy story"}).text)[0] == TOY_STORY
    assert len(statements) == 1
    by_meaning = client.get("/", params={"q": "animation for the family"}).text
    assert linked(by_meaning)
    assert "Only titles" not in by_meaning


def test_until_the_model_is_loaded_it_says_that_only_titles_are_searched(make_app: MakeApp) -> None:
    app = make_app()
    app.state.words._encoder = None
    client = TestClient(app)
    assert "Only titles are searched" in client.get("/", params={"q": "toy"}).text
    nothing = client.get("/", params={"q": "qqqq"})
    assert nothing.status_code == 200
    assert "Nothing was found" in nothing.text
    assert "Only titles are searched" in nothing.text


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"film": "999999999"}, 404),
        ({"film": "abc"}, 422),
        ({"film": ""}, 422),
        ({"film": "9" * 40}, 422),
        ({"q": "a" * 5000}, 422),
        ({"q": "\0"}, 200),
        ({"q": "   "}, 200),
        ({"q": "' OR 1=1 --"}, 200),
        ({"q": "千と千尋 & | ! :*"}, 200),
    ],
)
def test_whatever_is_typed_the_answer_is_a_page(client: TestClient, params: dict[str, str], status: int) -> None:
    response = client.get("/", params=params)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert 'role="search"' in response.text
    assert "Traceback" not in response.text


def test_nothing_that_is_typed_or_stored_becomes_markup(client: TestClient, odd_film: int) -> None:
    typed = client.get("/", params={"q": '"><script>alert(1)</script>'}).text
    stored = client.get("/", params={"film": odd_film}).text
    assert "<script" not in typed + stored
    assert "<b>" not in stored
    assert "Directed by Ada" in stored


def test_a_film_that_cannot_be_compared_says_so(client: TestClient, odd_film: int) -> None:
    html = client.get("/", params={"film": odd_film}).text
    assert "Nothing can be compared with this film yet" in html
    assert "% similar" not in html
    assert len(linked(html)) == 10


def test_every_answer_forbids_scripts_and_frames(client: TestClient) -> None:
    for path in ("/", "/?film=abc", "/?film=999999999", "/page.css"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_the_style_may_be_kept_and_the_page_may_not(client: TestClient) -> None:
    style = client.get("/page.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "max-age=3600" in style.headers["cache-control"]
    assert "private" in client.get("/").headers["cache-control"]


def test_links_and_the_cookie_stay_below_the_root_path(make_app: MakeApp) -> None:
    client = TestClient(make_app(api_keys="sesame"), root_path="/marquee", follow_redirects=False)
    answer = client.get("/", params={"key": "sesame"})
    assert answer.headers["location"] == "/marquee/"
    assert "Path=/marquee;" in answer.headers["set-cookie"]
    html = client.get("/", headers={"X-API-Key": "sesame"}).text
    assert all(address.startswith("/marquee/") for address in re.findall(r'(?:href|action)="([^"]*)"', html))


def test_a_key_in_the_address_signs_in_and_leaves_the_address(make_app: MakeApp) -> None:
    client = TestClient(make_app(api_keys="sesame"), base_url="https://testserver", follow_redirects=False)
    answer = client.get("/", params={"key": "sesame"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=sesame;")
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Secure"))
    assert client.get("/").status_code == 200
    assert client.get(f"/similar/{TOY_STORY}").status_code == 200


@pytest.mark.parametrize("params", [{}, {"key": "wrong"}, {"key": ""}, {"q": "toy"}, {"film": "862"}])
def test_without_a_valid_key_it_says_how_to_sign_in(make_app: MakeApp, params: dict[str, str]) -> None:
    client = TestClient(make_app(api_keys="sesame"), follow_redirects=False)
    answer = client.get("/", params=params)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "set-cookie" not in answer.headers
    assert "printed when it started" in answer.text
    assert not linked(answer.text)
    assert client.get("/page.css").status_code == 200


def test_an_open_service_keeps_no_key(client: TestClient) -> None:
    answer = client.get("/", params={"key": "日本"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "set-cookie" not in answer.headers


def test_what_needs_the_database_asks_for_patience_without(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(make_app())
    nowhere = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(database, "get_engine", lambda: nowhere)
    answer = client.get("/", params={"q": "toy"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"].startswith("text/html")
    assert "Not available at the moment" in answer.text
    assert ">Toy Story</h1>" in client.get("/", params={"film": TOY_STORY}).text
