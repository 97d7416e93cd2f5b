"""Every route of the API with a request that it answers, for tests of what holds for all of them."""

from dataclasses import dataclass
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from tests.api.answers import act
from tests.catalogue import MATRIX, TOY_STORY

LIKE = {"user_id": "ada", "movie_id": TOY_STORY, "kind": "like"}
LETTERBOXD = b"Date,Name,Year,Letterboxd URI,Rating\n2024-02-01,Toy Story,1995,https://boxd.it/x,4.5\n"


@dataclass(frozen=True)
class Call:
    """A request, and the route that it is for, as the documentation names it."""

    route: str
    path: str
    json: Any = None
    content: bytes | None = None

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    def send(self, client: TestClient, *, prefix: str = "", **more: Any) -> Response:
        """Ask."""
        return client.request(self.method, prefix + self.path, json=self.json, content=self.content, **more)


READS = [
    Call("GET /similar/{movie_id}", f"/similar/{TOY_STORY}"),
    Call("GET /recommendations/{user_id}", "/recommendations/ada"),
    Call("GET /recommendations/{user_id}/why/{movie_id}", f"/recommendations/ada/why/{MATRIX}"),
    Call("GET /recommendations", "/recommendations?user_id=ada"),
    Call("POST /recommendations", "/recommendations", {"liked": [MATRIX]}),
    Call("GET /rows/{user_id}", "/rows/ada"),
    Call("GET /map", "/map"),
    Call("GET /movies", "/movies"),
    Call("GET /movies/{movie_id}", f"/movies/{TOY_STORY}"),
    Call("GET /genres", "/genres"),
    Call("GET /search", "/search?q=toy"),
    Call("GET /people", "/people"),
    Call("GET /users/{user_id}/interactions", "/users/ada/interactions"),
    Call("GET /users/{user_id}/export", "/users/ada/export"),
    Call("GET /stats", "/stats"),
    Call("GET /jobs", "/jobs"),
    Call("GET /jobs/{name}/runs", "/jobs/index/runs"),
    Call("GET /index/history", "/index/history"),
    Call("GET /quality", "/quality"),
    Call("GET /metrics", "/metrics"),
    Call("GET /health/live", "/health/live"),
    Call("GET /health/ready", "/health/ready"),
]
WRITES = [
    Call("POST /interactions", "/interactions", LIKE),
    Call("POST /users/{user_id}/import", "/users/ada/import", content=LETTERBOXD),
    Call("POST /people", "/people", {"name": "Ada"}),
    Call("PATCH /people/{user_id}", "/people/ada", {"name": "Ada"}),
    Call("DELETE /users/{user_id}/interactions/{movie_id}", f"/users/ada/interactions/{TOY_STORY}"),
    Call("DELETE /users/{user_id}", "/users/ada"),
    Call("POST /jobs/{name}/run", "/jobs/index/run"),
]
EVERY_ROUTE = READS + WRITES
NEEDS_NO_KEY = {"GET /health/live", "GET /health/ready"}
NEEDS_ADMIN = {
    *("GET /users/{user_id}/export", "DELETE /users/{user_id}"),
    *("GET /jobs", "GET /jobs/{name}/runs", "POST /jobs/{name}/run"),
}


def name(call: Call) -> str:
    """The id of a parameter."""
    return call.route


def documented_routes(client: TestClient) -> dict[str, dict[str, Any]]:
    """Every operation that the documentation lists, by method and path."""
    paths = client.get("/openapi.json").json()["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, operations in paths.items()
        for method, operation in operations.items()
    }


def meet_ada(client: TestClient) -> None:
    """Let there be the person whom the requests are about."""
    act(client, TOY_STORY)
