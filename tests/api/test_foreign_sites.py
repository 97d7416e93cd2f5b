"""On a machine without keys, no page of another site that is open there asks or changes anything."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.api.answers import assert_problem
from tests.api.routes import EVERY_ROUTE, LIKE, Call, name

MakeApp = Callable[..., FastAPI]
SITE = "https://films.cinema.io"
CHANGING = [call for call in EVERY_ROUTE if not call.route.startswith("GET ")]


@pytest.mark.parametrize("call", EVERY_ROUTE, ids=name)
def test_a_name_that_someone_may_have_led_here_is_refused(client: TestClient, call: Call) -> None:
    response = call.send(client, headers={"Host": "films.cinema.io:8000"})
    assert_problem(response, 403, code="foreign_site")
    assert "API_KEYS" in response.json()["detail"]


@pytest.mark.parametrize("path", ["/", "/ops", "/web/js/main.js", "/docs", "/openapi.json"])
def test_so_is_the_page(client: TestClient, path: str) -> None:
    assert_problem(client.get(path, headers={"Host": "127.0.0.1.cinema.io"}), 403, code="foreign_site")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "[::1]:8000", "localhost:8000", "LOCALHOST.", "192.168.1.5", "nas", "nas.local", ""]
)
def test_addresses_and_names_of_this_network_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/genres", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["[::1", "1.2.3.4.5", "notlocalhost.com", "cinema.io."])
def test_what_only_looks_like_one_is_not(client: TestClient, host: str) -> None:
    assert_problem(client.get("/genres", headers={"Host": host}), 403, code="foreign_site")


@pytest.mark.parametrize("call", CHANGING, ids=name)
@pytest.mark.parametrize("headers", [{"Origin": SITE}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_page_of_another_site_changes_nothing(client: TestClient, call: Call, headers: dict[str, str]) -> None:
    assert_problem(call.send(client, headers=headers), 403, code="foreign_site")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://testserver"},
        {"Origin": "https://behind.a.proxy.io", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_programs_and_the_page_itself_do(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/interactions", json=LIKE, headers=headers).status_code == 200


def test_a_site_that_is_listed_does(make_app: MakeApp) -> None:
    client = TestClient(make_app(cors_origins=SITE))
    assert client.post("/recommendations", json={"liked": [862]}, headers={"Origin": SITE}).status_code == 200


def test_with_keys_every_name_and_every_page_needs_one(make_app: MakeApp) -> None:
    client = TestClient(make_app(api_keys="sesame"))
    foreign = {"Host": "films.cinema.io", "Origin": "https://other.cinema.io"}
    assert_problem(client.post("/recommendations", json={"liked": [862]}, headers=foreign), 401)
    with_key = foreign | {"X-API-Key": "sesame"}
    assert client.post("/recommendations", json={"liked": [862]}, headers=with_key).status_code == 200
