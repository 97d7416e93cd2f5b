"""Who may ask: anyone on loopback, elsewhere whoever has a key; and keys stay secret."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from backend.api.access import stored_secret
from backend.errors import SetupError
from tests.api.answers import assert_problem
from tests.api.routes import EVERY_ROUTE, LIKE, NEEDS_ADMIN, NEEDS_NO_KEY, Call, documented_routes, name

GUARDED = [call for call in EVERY_ROUTE if call.route not in NEEDS_NO_KEY]
KEY, OTHER_KEY, ADMIN = "key-of-a-client", "key-of-another", "key-of-the-admin"
HOME = Path(__file__).parents[2]

Headers = dict[str, str]


def by_header(key: str) -> Headers:
    return {"X-API-Key": key}


def bearer(key: str) -> Headers:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def locked(make_app: Callable[..., FastAPI], catalogue_engine: Engine) -> Iterator[TestClient]:
    """A service with two client keys and an admin key."""
    app = make_app(api_keys=f" {KEY} ,{OTHER_KEY},", admin_key=ADMIN)
    yield TestClient(app, raise_server_exceptions=False)
    with catalogue_engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_on_loopback_the_service_is_open(make_app: Callable[..., FastAPI], tmp_path: Path, host: str) -> None:
    assert TestClient(make_app(host=host)).get("/genres").status_code == 200
    assert not (tmp_path / "api_key").exists()


@pytest.mark.parametrize("call", GUARDED, ids=name)
def test_without_a_key_nothing_is_told(locked: TestClient, call: Call) -> None:
    for headers in ({}, by_header("wrong"), bearer("wrong"), by_header(""), bearer(""), {"Authorization": KEY}):
        response = call.send(locked, headers=headers)
        assert_problem(response, 401, code="key_required")
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert_problem(call.send(locked, prefix="/v1"), 401)


@pytest.mark.parametrize("call", [call for call in GUARDED if call.route not in NEEDS_ADMIN], ids=name)
def test_any_key_lets_in(locked: TestClient, call: Call) -> None:
    assert locked.post("/interactions", json=LIKE, headers=by_header(KEY)).status_code == 200
    for headers in (by_header(KEY), by_header(OTHER_KEY), bearer(KEY), {"authorization": f"bearer {KEY}"}):
        assert call.send(locked, headers=headers).status_code == 200
    assert call.send(locked, headers=by_header(ADMIN)).status_code == 200


@pytest.mark.parametrize("key", [f" {KEY}x", KEY.upper(), f"{KEY},{OTHER_KEY}", "ключ"])
def test_a_key_must_be_the_very_same(locked: TestClient, key: str) -> None:
    response = locked.get("/genres", headers=[("X-API-Key", key.encode())])
    assert_problem(response, 401)
    assert key not in response.text


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/v1/health/live", "/v1/health/ready"])
def test_health_needs_no_key(locked: TestClient, path: str) -> None:
    assert locked.get(path).status_code == 200


@pytest.mark.parametrize("call", [call for call in EVERY_ROUTE if call.route in NEEDS_ADMIN], ids=name)
def test_export_and_erase_need_the_admin_key(locked: TestClient, call: Call) -> None:
    like = {"user_id": "ada", "movie_id": 862, "kind": "like"}
    assert locked.post("/interactions", json=like, headers=by_header(KEY)).status_code == 200
    for headers in (by_header(KEY), bearer(OTHER_KEY)):
        assert_problem(call.send(locked, headers=headers), 403, code="admin_key_required")
    response = call.send(locked, headers=bearer(ADMIN))
    assert response.status_code == 200
    assert len(response.json().get("interactions", ["erased"])) == 1


@pytest.mark.parametrize("call", [call for call in EVERY_ROUTE if call.route in NEEDS_ADMIN], ids=name)
def test_the_admin_key_is_asked_for_on_loopback_too(make_app: Callable[..., FastAPI], call: Call) -> None:
    client = TestClient(make_app(admin_key=ADMIN))
    assert client.get("/genres").status_code == 200
    assert_problem(call.send(client), 403)
    assert_problem(call.send(client, headers=by_header("wrong")), 403)
    assert call.send(client, headers=by_header(ADMIN)).status_code in (200, 404)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "films.example.org"])
def test_beyond_loopback_the_service_is_never_open(
    make_app: Callable[..., FastAPI], tmp_path: Path, host: str
) -> None:
    client = TestClient(make_app(host=host))
    file = tmp_path / "api_key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = file.read_text()
    assert len(key) >= 32
    assert_problem(client.get("/genres"), 401)
    assert client.get("/genres", headers=by_header(key)).status_code == 200

    again = TestClient(make_app(host=host))
    assert file.read_text() == key
    assert again.get("/genres", headers=bearer(key)).status_code == 200


def test_a_key_is_changed_by_listing_two_for_a_while(make_app: Callable[..., FastAPI]) -> None:
    for listed, expected in (("old", [200, 401]), ("old,new", [200, 200]), ("new", [401, 200])):
        client = TestClient(make_app(api_keys=listed))
        assert [client.get("/genres", headers=by_header(key)).status_code for key in ("old", "new")] == expected


@pytest.mark.parametrize("key", [KEY, OTHER_KEY, ADMIN])
def test_a_key_is_in_memory_only_as_a_digest(make_app: Callable[..., FastAPI], key: str) -> None:
    keys = make_app(api_keys=f"{KEY},{OTHER_KEY}", admin_key=ADMIN).state.keys
    assert keys.open_to_clients(key)
    assert key not in repr(keys)


def test_lists_that_are_kept_are_not_for_who_has_no_key(make_app: Callable[..., FastAPI]) -> None:
    app = make_app(api_keys=KEY)
    app.state.response_cache.trust(float("inf"))
    client = TestClient(app)
    assert client.get("/similar/862", headers=by_header(KEY)).status_code == 200
    assert len(app.state.response_cache) == 1
    for headers in ({}, by_header("wrong"), {"Cookie": "marquee_key=wrong"}):
        assert_problem(client.get("/similar/862", headers=headers), 401)


def documented_keys(client: TestClient) -> dict[str, bool]:
    return {route: "security" in operation for route, operation in documented_routes(client).items()}


def test_the_description_says_which_routes_ask_for_a_key(make_app: Callable[..., FastAPI]) -> None:
    routes = {call.route for call in EVERY_ROUTE}
    for options, asking in (
        ({}, set()),
        ({"api_keys": KEY}, routes - NEEDS_NO_KEY),
        ({"api_keys": KEY, "admin_key": ADMIN}, routes - NEEDS_NO_KEY),
        ({"admin_key": ADMIN}, NEEDS_ADMIN),
    ):
        documented = documented_keys(TestClient(make_app(**options)))
        assert {route for route, asks in documented.items() if asks} == asking


def test_keys_of_the_operators_choice_make_no_file(make_app: Callable[..., FastAPI], tmp_path: Path) -> None:
    client = TestClient(make_app(host="0.0.0.0", api_keys=KEY))
    assert not (tmp_path / "api_key").exists()
    assert client.get("/genres", headers=by_header(KEY)).status_code == 200


@pytest.mark.parametrize("content", ["", " \n"])
def test_an_emptied_key_file_opens_nothing(make_app: Callable[..., FastAPI], tmp_path: Path, content: str) -> None:
    (tmp_path / "api_key").write_text(content)
    with pytest.raises(SetupError, match="api_key is empty"):
        make_app(host="0.0.0.0")


def test_a_secret_is_whole_or_not_there(tmp_path: Path) -> None:
    secret = stored_secret(tmp_path / "new" / "secret")
    assert stored_secret(tmp_path / "new" / "secret") == secret
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["secret"]


TRIES_EVERYTHING = """
import sys
from fastapi.testclient import TestClient
from backend.config import get_settings
from backend.main import create_app
from backend.telemetry import configure_logging

settings = get_settings()
configure_logging(settings)
app = create_app(settings)

@app.get("/broken")
def broken():
    raise RuntimeError("as it happens")

client = TestClient(app, raise_server_exceptions=False)
for given in (*sys.argv[1:], sys.argv[1] + "x"):
    ways = {"X-API-Key": given}, {"Authorization": f"Bearer {given}"}, {"Cookie": f"marquee_key={given}"}
    for headers in ways:
        for path in ("/broken", "/genres", "/users/ada/export", "/similar/x", "/nowhere"):
            print(client.get(path, headers=headers).text)
print(repr(settings), settings)
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_keys_are_neither_logged_nor_told(tmp_path: Path, log_format: str) -> None:
    environment = os.environ | {
        "API_KEYS": KEY,
        "ADMIN_KEY": ADMIN,
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": f"postgresql://nobody@/none?host={tmp_path}",
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": log_format,
        "PYTHONPATH": str(HOME),
    }
    command = [sys.executable, "-c", TRIES_EVERYTHING, KEY, ADMIN]
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert "as it happens" in run.stderr
    assert "database_unavailable" in run.stderr
    assert "key_required" in run.stdout
    for secret in (KEY, ADMIN, (tmp_path / "token_secret").read_text()):
        assert secret not in run.stderr
        assert secret not in run.stdout


SERVES = """
import logging
from backend.config import get_settings
from backend.main import _Server, create_app, server_config
from backend.telemetry import configure_logging

settings = get_settings()
configure_logging(settings)
app = create_app(settings)

@app.get("/broken")
def broken():
    raise RuntimeError("as it happens")

config = server_config(app, settings)
config.lifespan = "off"
for name in ("", *logging.root.manager.loggerDict):
    logging.getLogger(name).setLevel(logging.DEBUG)
_Server(config, settings, key_is_new=False).run()
"""


def every_way(key: str) -> list[Headers]:
    return [by_header(key), bearer(key), {"Cookie": f"marquee_key={key}"}]


def ask_everything(address: str) -> str:
    """Every route, each way that a key travels, with right keys and one that is nearly so; what is answered."""
    told = []
    paths = [(call.method, call.path, call.json) for call in EVERY_ROUTE]
    paths += [("GET", path, None) for path in ("/", "/broken", "/nowhere", "/similar/x", "/docs")]
    for key in (KEY, ADMIN, f"{KEY}x"):
        for headers in every_way(key):
            for method, path, body in paths:
                told.append(requests.request(method, address + path, json=body, headers=headers, timeout=10))
        told.append(requests.get(f"{address}/?key={key}", timeout=10, allow_redirects=False))
    assert {response.status_code for response in told} >= {200, 303, 401, 403, 404, 422, 500}
    return "".join(response.text for response in told)


def test_no_log_has_a_key_though_every_library_tells_all_it_knows(
    tmp_path: Path, catalogue_engine: Engine
) -> None:
    environment = os.environ | {
        "API_KEYS": f"{KEY},{OTHER_KEY}",
        "ADMIN_KEY": ADMIN,
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": catalogue_engine.url.render_as_string(hide_password=False),
        "LOG_LEVEL": "debug",
        "PORT": "0",
        "PYTHONPATH": str(HOME),
    }
    pipe = subprocess.PIPE
    with (tmp_path / "log").open("w") as log:
        service = subprocess.Popen(
            [sys.executable, "-c", SERVES], cwd=tmp_path, env=environment, stdout=pipe, stderr=log, text=True
        )
        try:
            assert service.stdout is not None
            ready = service.stdout.readline().strip()
            told = ask_everything(ready.removeprefix("Marquee is ready at "))
        finally:
            service.terminate()
            printed = ready + service.communicate(timeout=30)[0]
    logged = (tmp_path / "log").read_text()
    for sign in ("as it happens", "sqlalchemy.engine", "SELECT"):
        assert sign in logged, "not all is logged"
    for secret in (KEY, ADMIN, (tmp_path / "token_secret").read_text()):
        assert secret not in logged + printed + told
    with catalogue_engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")
