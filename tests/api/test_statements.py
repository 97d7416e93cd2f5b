"""How many SQL statements each route takes: one for a read, and never a commit on one."""

import pytest
from fastapi.testclient import TestClient

from tests.api.answers import act, send
from tests.api.conftest import Films, Statements
from tests.api.routes import LETTERBOXD, LIKE, Call, documented_routes
from tests.catalogue import GODFATHER, MATRIX, TOY_STORY

ROWS = "GET /rows/{user_id}"
FILTERED = "n=20&page=2&diversity_boost=0.5&genre=Action&year_min=1990&exclude=603,tt0468569"

READ_COUNTS = {
    ("a list", "GET /similar/{movie_id}", f"/similar/{TOY_STORY}"): 1,
    ("by IMDb id", "GET /similar/{movie_id}", "/similar/tt0114709"): 1,
    ("with everything", "GET /similar/{movie_id}", f"/similar/{TOY_STORY}?user_id=ada&{FILTERED}"): 1,
    ("by embedding", "GET /similar/{movie_id}", f"/similar/{TOY_STORY}?by=embedding"): 1,
    ("and the facts that explain it", "GET /similar/{movie_id}", f"/similar/{TOY_STORY}?explain=true"): 2,
    ("and once more exactly where it ends", "GET /similar/{movie_id}", f"/similar/{TOY_STORY}?n=100&page=2"): 2,
    ("the same and whether the film is there", "GET /similar/{movie_id}", "/similar/424242"): 3,
    ("a person", "GET /recommendations/{user_id}", "/recommendations/ada"): 1,
    ("nobody", "GET /recommendations/{user_id}", "/recommendations/nobody"): 1,
    ("with everything", "GET /recommendations/{user_id}", f"/recommendations/ada?{FILTERED}"): 1,
    ("shares and facts", "GET /recommendations/{user_id}", "/recommendations/ada?explain=true"): 3,
    (
        "and once more exactly where it ends",
        "GET /recommendations/{user_id}",
        "/recommendations/ada?n=100&page=2",
    ): 2,
    (
        "the verdict, shares, facts",
        "GET /recommendations/{user_id}/why/{movie_id}",
        f"/recommendations/ada/why/{GODFATHER}",
    ): 3,
    ("no such film", "GET /recommendations/{user_id}/why/{movie_id}", "/recommendations/ada/why/424242"): 1,
    ("a person", "GET /recommendations", "/recommendations?user_id=ada"): 1,
    ("a page", "GET /movies", "/movies?n=100"): 1,
    ("filtered", "GET /movies", f"/movies?{FILTERED}"): 1,
    ("a film", "GET /movies/{movie_id}", f"/movies/{TOY_STORY}"): 1,
    ("a film that is not there", "GET /movies/{movie_id}", "/movies/424242"): 1,
    ("all", "GET /genres", "/genres"): 1,
    ("title and meaning", "GET /search", "/search?q=toy"): 1,
    ("with everything", "GET /search", f"/search?q=80s&{FILTERED}"): 1,
    ("all", "GET /people", "/people"): 1,
    ("a page", "GET /users/{user_id}/interactions", "/users/ada/interactions"): 1,
    ("everything", "GET /users/{user_id}/export", "/users/ada/export"): 1,
    ("the person, what they like, films like two of these, four lists, shares, facts", ROWS, "/rows/ada"): 9,
    ("popular films, likes, recent ones, shares, facts", ROWS, "/rows/nobody"): 5,
    ("which one it is, its films", "GET /map", "/map"): 2,
    ("of the version in force", "GET /quality", "/quality"): 1,
    ("films, people, the index, its measurement, the taste, the jobs, a fetch", "GET /stats", "/stats"): 7,
    ("all", "GET /jobs", "/jobs"): 1,
    ("of one", "GET /jobs/{name}/runs", "/jobs/index/runs"): 1,
    ("all", "GET /index/history", "/index/history"): 1,
    ("how far a fetch is, the jobs, the index, its measurement, films", "GET /metrics", "/metrics"): 5,
    ("no question to the database", "GET /health/live", "/health/live"): 0,
    ("whether there are films", "GET /health/ready", "/health/ready"): 1,
}

POST_COUNTS = {
    ("words", '{"query": "toys"}'): 1,
    ("the films' ids first", f'{{"liked": [{MATRIX}], "disliked": ["tt0114709"]}}'): 2,
    ("shares and facts", f'{{"liked": [{MATRIX}], "explain": true}}'): 4,
    ("films and words", f'{{"liked": [{MATRIX}], "query": "toys", "explain": true}}'): 2,
}

BATCH = [LIKE | {"user_id": f"person {number % 10}", "movie_id": 1 + number} for number in range(1000)]

WRITE_COUNTS = {
    "one: meet people and films, store": (Call("POST /interactions", "/interactions", LIKE), 2),
    "a hundred: the same": (
        Call("POST /interactions", "/interactions", {"interactions": [LIKE | {"user_id": n} for n in range(100)]}),
        2,
    ),
    "pending: hold films back and look again, store": (
        Call("POST /interactions", "/interactions", LIKE | {"movie_id": 424242}),
        4,
    ),
    "a thousand of both sorts: one more": (
        Call("POST /interactions", "/interactions", {"interactions": BATCH}),
        5,
    ),
    "a file: as a batch": (
        Call("POST /users/{user_id}/import", "/users/ada/import", content=LETTERBOXD),
        2,
    ),
    "a person with a name": (Call("POST /people", "/people", {"name": "Ada"}), 1),
    "a name: give it, count what they did": (Call("PATCH /people/{user_id}", "/people/ada", {"name": "Ada"}), 2),
    "undo: hold films back, delete": (
        Call("DELETE /users/{user_id}/interactions/{movie_id}", f"/users/ada/interactions/{TOY_STORY}"),
        2,
    ),
    "undo by IMDb id: find the film first": (
        Call("DELETE /users/{user_id}/interactions/{movie_id}", "/users/ada/interactions/tt0114709"),
        3,
    ),
    "erase: hold films back, delete": (Call("DELETE /users/{user_id}", "/users/ada"), 2),
    "ask for a run": (Call("POST /jobs/{name}/run", "/jobs/index/run"), 1),
}


@pytest.mark.parametrize(
    ("route", "path", "expected"),
    [pytest.param(route, path, count, id=f"{route}: {why}") for (why, route, path), count in READ_COUNTS.items()],
)
def test_a_read(client: TestClient, statements: Statements, route: str, path: str, expected: int) -> None:
    act(client, TOY_STORY)
    statements.clear()
    assert Call(route, path).send(client).status_code in (200, 404)
    assert "COMMIT" not in statements
    assert len(statements) == expected


@pytest.mark.parametrize(
    ("body", "expected"), [pytest.param(body, count, id=why) for (why, body), count in POST_COUNTS.items()]
)
def test_a_question_in_a_body(client: TestClient, statements: Statements, body: str, expected: int) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.post("/recommendations", content=body, headers=headers).status_code == 200
    assert "COMMIT" not in statements
    assert len(statements) == expected


@pytest.mark.parametrize(
    ("call", "expected"), [pytest.param(call, count, id=why) for why, (call, count) in WRITE_COUNTS.items()]
)
def test_a_write_is_one_transaction(client: TestClient, statements: Statements, call: Call, expected: int) -> None:
    act(client, TOY_STORY)
    statements.clear()
    assert call.send(client).status_code == 200
    assert statements.count("COMMIT") == 1
    assert statements[-1] == "COMMIT"
    assert len(statements) - 1 == expected


def test_what_is_refused_does_not_reach_the_database(client: TestClient, statements: Statements) -> None:
    for call in (
        Call("GET /similar/{movie_id}", "/similar/862?n=0"),
        Call("GET /similar/{movie_id}", "/similar/862?genre=Noir"),
        Call("POST /interactions", "/interactions", LIKE | {"kind": "love"}),
        Call("POST /interactions", "/interactions", {"interactions": [{}]}),
        Call("DELETE /users/{user_id}", "/users/%00"),
    ):
        call.send(client)
    assert statements == []


def test_a_long_history_takes_no_more_statements(client: TestClient, statements: Statements) -> None:
    everything = [row["id"] for row in client.get("/movies?n=100").json()["results"]]
    batch = [LIKE | {"movie_id": number} for number in everything if number != GODFATHER][:40]
    send(client, {"interactions": batch})
    statements.clear()
    client.get("/recommendations/ada")
    client.get("/users/ada/interactions")
    assert len(statements) == 2


def test_a_film_of_which_nothing_is_known_takes_a_second_which_asks_for_its_embedding(
    client: TestClient, statements: Statements, add_film: Films
) -> None:
    film = add_film(genres=["Action"])
    statements.clear()
    client.get(f"/similar/{film}")
    assert len(statements) == 2
    statements.clear()
    client.get(f"/similar/{film}?by=embedding")
    assert len(statements) == 1


def test_every_route_is_counted(client: TestClient) -> None:
    counted = {route for _, route, _ in READ_COUNTS} | {call.route for call, _ in WRITE_COUNTS.values()}
    assert counted | {"POST /recommendations"} == set(documented_routes(client))
