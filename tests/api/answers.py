"""What tests of the HTTP API ask again and again."""

from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from backend.api.problems import MEDIA_TYPE
from backend.api.request_id import HEADER

JSON = {"Content-Type": "application/json"}
FOREVER = 10_000_000


def get(client: TestClient, path: str, **params: Any) -> Any:
    """The JSON of an answer that must succeed."""
    response = client.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


def rows(client: TestClient, path: str, **params: Any) -> list[dict[str, Any]]:
    """The rows of a list, in order."""
    results: list[dict[str, Any]] = get(client, path, **params)["results"]
    return results


def ids(client: TestClient, path: str, **params: Any) -> list[int]:
    """The ids of a list, in order."""
    return [row["id"] for row in rows(client, path, **params)]


def every_id(client: TestClient, path: str, **params: Any) -> list[int]:
    """The ids of all pages of a list, in order."""
    found: list[int] = []
    for page in range(1, FOREVER):
        more = ids(client, path, **params | {"n": 100, "page": page})
        found += more
        if len(more) < 100:
            break
    return found


def send(client: TestClient, body: Any) -> Any:
    """Record interactions, which must succeed; what the service says of them."""
    response = client.post("/interactions", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def act(client: TestClient, movie_id: int | str, kind: str = "like", *, user_id: str = "ada", **more: Any) -> None:
    """One thing that a person does, and that is stored."""
    value = {"value": 5} if kind == "rating" else {}
    told = send(client, {"user_id": user_id, "movie_id": movie_id, "kind": kind} | value | more)
    assert told == {"stored": 1, "pending": [], "rejected": []}


def history(client: TestClient, user_id: str = "ada") -> list[dict[str, Any]]:
    """What a person did, newest first."""
    return rows(client, f"/users/{user_id}/interactions", n=100)


def assert_problem(response: Response, status: int, *, field: str | None = None, code: str | None = None) -> None:
    """That an answer is an honest error: problem details, the field by name, the request's id, no internals."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    body = response.json()
    assert body["status"] == status
    assert body["request_id"] == response.headers[HEADER]
    assert body["title"]
    assert body["detail"]
    for internal in ("Traceback", 'File "', "psycopg2", "sqlalchemy", "pydantic", "SELECT"):
        assert internal not in response.text
    if field is not None:
        assert field in [error["field"] for error in body["errors"]]
        assert all(error["code"] and error["message"] for error in body["errors"])
    if code is not None:
        assert body["code"] == code
