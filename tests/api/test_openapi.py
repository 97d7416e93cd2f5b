"""The documentation lists every route once, and says exactly what comes back."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from backend.api import schemas
from backend.api.problems import MEDIA_TYPE
from tests.api.answers import send
from tests.api.routes import EVERY_ROUTE, LIKE, READS, Call, documented_routes, meet_ada, name
from tests.catalogue import MATRIX, TOY_STORY
from tests.feedback.exports import IMDB_RATINGS

CHANGING = {"changed", "generated_at", "created_at", "at", "request_id", "user_id"}
"""What differs from one answer to the next."""


def model_of(schema: dict[str, Any]) -> TypeAdapter[Any]:
    """The pydantic model that a schema of the document was made from."""
    if schema.get("type") == "array":
        return TypeAdapter(list[getattr(schemas, schema["items"]["$ref"].rpartition("/")[2])])  # type: ignore[misc]
    return TypeAdapter(getattr(schemas, schema["$ref"].rpartition("/")[2]))


def documented_answer(client: TestClient, route: str, *, status: int = 200) -> dict[str, Any]:
    """Media type and schema of an answer, as documented."""
    content: dict[str, Any] = documented_routes(client)[route]["responses"][str(status)]["content"]
    return content


def keys_of(value: Any) -> Any:
    """A JSON value without its scalars: what it is made of."""
    if isinstance(value, dict):
        return {key: keys_of(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [keys_of(inner) for inner in value]
    return None


def assert_fits(schema: dict[str, Any], answer: Any) -> None:
    """That an answer has every field that is documented, of the right type, and no other."""
    model = model_of(schema)
    parsed = model.validate_json(json.dumps(answer))
    assert keys_of(model.dump_python(parsed, mode="json", exclude_unset=True)) == keys_of(answer)


def without_times(value: Any) -> Any:
    """A JSON value without what changes by itself."""
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in CHANGING}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def test_every_route_is_documented_once_and_tried_here(client: TestClient) -> None:
    assert sorted(documented_routes(client)) == sorted(call.route for call in EVERY_ROUTE)


def test_every_route_has_a_name_and_a_summary_of_its_own(client: TestClient) -> None:
    operations = documented_routes(client).values()
    for key in ("operationId", "summary"):
        told = [operation[key] for operation in operations]
        assert all(told)
        assert len(set(told)) == len(told)
    assert all(operation["tags"] for operation in operations)


@pytest.mark.parametrize("call", EVERY_ROUTE, ids=name)
def test_every_route_stands_at_the_root_and_under_v1(client: TestClient, call: Call) -> None:
    answers = []
    for prefix in ("", "/v1"):
        meet_ada(client)
        response = call.send(client, prefix=prefix)
        assert response.status_code == 200
        if call.path != "/metrics":
            answers.append(without_times(response.json()))
    assert call.path == "/metrics" or answers[0] == answers[1]


@pytest.mark.parametrize("call", [call for call in EVERY_ROUTE if call.path != "/metrics"], ids=name)
def test_an_answer_is_what_the_documentation_says(client: TestClient, call: Call) -> None:
    meet_ada(client)
    ((media_type, content),) = documented_answer(client, call.route).items()
    response = call.send(client)
    assert response.headers["content-type"] == media_type == "application/json"
    assert_fits(content["schema"], response.json())


MORE = [
    Call("GET /similar/{movie_id}", f"/similar/{TOY_STORY}?explain=true&diversity_boost=0.5&user_id=ada"),
    Call("GET /similar/{movie_id}", f"/similar/{TOY_STORY}?genre=Comedy&page=9"),
    Call("GET /recommendations/{user_id}", "/recommendations/ada?explain=true"),
    Call("GET /recommendations/{user_id}", "/recommendations/nobody?explain=true"),
    Call("POST /recommendations", "/recommendations", {"liked": [MATRIX, 424242], "explain": True}),
    Call("GET /movies", "/movies?n=100&page=2"),
    Call("GET /search", "/search?q=zzzzzz&genre=Comedy"),
    Call("POST /interactions", "/interactions", {"interactions": [LIKE, {}, LIKE | {"movie_id": 424242}]}),
    Call("GET /users/{user_id}/interactions", "/users/nobody/interactions"),
    Call("POST /users/{user_id}/import", "/users/ada/import", content=IMDB_RATINGS.encode()),
]


@pytest.mark.parametrize("call", MORE, ids=lambda call: f"{call.method} {call.path}")
def test_so_it_is_for_what_is_not_always_there(client: TestClient, call: Call) -> None:
    meet_ada(client)
    send(client, LIKE | {"movie_id": "tt4242424"})
    assert_fits(documented_answer(client, call.route)["application/json"]["schema"], call.send(client).json())


def test_the_history_shows_pending_films_in_the_documented_form(client: TestClient) -> None:
    send(client, {"interactions": [LIKE, LIKE | {"movie_id": 424242}, LIKE | {"movie_id": "tt4242424"}]})
    for call in READS:
        if call.path.startswith("/users/"):
            answer = call.send(client).json()
            assert_fits(documented_answer(client, call.route)["application/json"]["schema"], answer)


BAD = [
    Call("GET /similar/{movie_id}", "/similar/424242"),
    Call("GET /similar/{movie_id}", "/similar/862?n=0"),
    Call("POST /interactions", "/interactions", {}),
    Call("GET /users/{user_id}/export", "/users/nobody/export"),
    Call("POST /users/{user_id}/import", "/users/ada/import", content=b"nothing of the kind"),
]


@pytest.mark.parametrize("call", BAD, ids=lambda call: f"{call.method} {call.path}")
def test_an_error_is_what_the_documentation_says(client: TestClient, call: Call) -> None:
    response = call.send(client)
    ((media_type, content),) = documented_answer(client, call.route, status=response.status_code).items()
    assert response.headers["content-type"] == media_type == MEDIA_TYPE
    assert_fits(content["schema"], response.json())


def test_errors_are_documented_as_problems_only(client: TestClient) -> None:
    for route, operation in documented_routes(client).items():
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == [MEDIA_TYPE], route
                assert answer["content"][MEDIA_TYPE]["schema"]["$ref"].endswith("/Problem")


def test_metrics_are_documented_as_text(client: TestClient) -> None:
    assert list(documented_answer(client, "GET /metrics")) == ["text/plain"]
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_the_documentation_has_examples_that_work(client: TestClient) -> None:
    components = client.get("/openapi.json").json()["components"]["schemas"]
    liked = components["InteractionBody"]["example"]
    assert send(client, liked) == {"stored": 1, "pending": [], "rejected": []}
    asked = client.post("/recommendations", json=components["RecommendationBody"]["example"])
    assert len(asked.json()["results"]) == 5


def test_the_documentation_can_be_looked_at(client: TestClient) -> None:
    assert client.get("/docs").status_code == 200
