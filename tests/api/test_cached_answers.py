"""What was asked before is answered without the database, by whoever may ask, until something changes."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, text

from backend import database
from backend.api.request_id import HEADER
from backend.operations import changes
from backend.operations.changes import follow_changes
from tests.api.answers import act, get
from tests.api.conftest import Films, Statements
from tests.catalogue import TOY_STORY
from tests.test_embedded_postgres import eventually

Apps = Callable[..., FastAPI]
ASK = f"/similar/{TOY_STORY}"


@pytest.fixture
def listening(
    catalogue_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[FastAPI], TestClient]]:
    """Makes a client of an app that hears of changes, as a process of the service does."""
    monkeypatch.setattr(changes, "get_engine", lambda: catalogue_engine)
    stop, threads = threading.Event(), []

    def listen(app: FastAPI) -> TestClient:
        cache = app.state.response_cache
        threads.append(threading.Thread(target=follow_changes, args=(cache, threading.Event(), stop)))
        threads[-1].start()
        client = TestClient(app, headers={"X-API-Key": "sesame"})
        eventually(lambda: get(client, ASK) is not None and len(cache) > 0, "nothing is kept")
        return client

    yield listen
    stop.set()
    for thread in threads:
        thread.join(10)
    with catalogue_engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")


@pytest.fixture
def fan(make_app: Apps, listening: Callable[[FastAPI], TestClient]) -> TestClient:
    """A client of an open service that keeps its answers; it has asked for films like Toy Story."""
    return listening(make_app())


def test_the_second_answer_is_the_first(fan: TestClient, statements: Statements) -> None:
    first, second = (fan.get(f"{ASK}?n=7") for _ in range(2))
    assert len(statements) == 1
    assert second.content == first.content
    told = [
        {name: value for name, value in answer.headers.items() if name != HEADER.lower()}
        for answer in (first, second)
    ]
    assert told[0] == told[1]
    assert first.headers[HEADER] != second.headers[HEADER]
    assert fan.get(f"{ASK}?n=7", headers={HEADER: "mine"}).headers[HEADER] == "mine"


def test_each_address_has_an_answer_of_its_own(fan: TestClient, statements: Statements) -> None:
    asked = [f"{path}?{words}" for path in (ASK, f"/v1{ASK}") for words in ("n=9&exclude=603", "exclude=603&n=9")]
    first = [fan.get(address).content for address in asked]
    statements.clear()
    assert [fan.get(address).content for address in asked] == first
    assert statements == []


OTHERS = [
    {"n": 11},
    {"page": 2},
    {"by": "embedding"},
    {"genre": "Action"},
    {"diversity_boost": 0.2},
    {"explain": True},
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_who_asks_for_something_else_gets_that(
    fan: TestClient, statements: Statements, other: dict[str, Any]
) -> None:
    assert get(fan, ASK, **other)["results"] != get(fan, ASK)["results"]
    assert statements


def test_what_is_for_one_person_is_not_kept(fan: TestClient, statements: Statements) -> None:
    before = get(fan, ASK, user_id="ada")["results"]
    act(fan, before[0]["id"])
    assert before[0] not in get(fan, ASK, user_id="ada")["results"]
    statements.clear()
    get(fan, ASK, user_id="ada")
    assert len(statements) == 1


def test_a_film_that_is_not_there_is_looked_for_each_time(fan: TestClient, add_film: Films) -> None:
    assert fan.get("/similar/9000000").status_code == 404
    add_film(id=9_000_000, genres=["Action"])
    assert fan.get("/similar/9000000").status_code == 200


def test_every_process_hears_of_a_change_at_once(
    make_app: Apps, listening: Callable[[FastAPI], TestClient], catalogue_engine: Engine
) -> None:
    clients = [listening(make_app()) for _ in range(2)]
    first = get(clients[0], ASK)["results"][0]
    rename = text("UPDATE movies SET title = :title WHERE id = :id")
    for title in ("Changed", first["title"]):
        with catalogue_engine.begin() as connection:
            connection.execute(rename, {"title": title, "id": first["id"]})
        for client in clients:
            eventually(lambda c=client, t=title: get(c, ASK)["results"][0]["title"] == t, "stale")  # type: ignore[misc]


def test_answers_that_stand_in_for_others_are_not_kept(
    fan: TestClient, catalogue_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    with monkeypatch.context() as patch:
        patch.setattr(database, "get_engine", lambda: nowhere)
        assert get(fan, ASK, n=3)["degraded"] is True
    assert get(fan, ASK, n=3)["degraded"] is False


def test_a_key_is_asked_for_all_the_same(
    make_app: Apps, listening: Callable[[FastAPI], TestClient], statements: Statements
) -> None:
    client = listening(make_app(api_keys="sesame", admin_key="open"))
    statements.clear()
    for given, status in (({}, 401), ({"X-API-Key": "no"}, 401), ({"Authorization": "Bearer open"}, 200)):
        client.headers = given
        assert client.get(ASK).status_code == status
    assert statements == []


def test_it_counts_like_any_other(fan: TestClient) -> None:
    def counted() -> dict[str, float]:
        lines = fan.get("/metrics").text.splitlines()
        return {
            name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if "#" not in name
        }

    route = 'marquee_requests_total{method="GET",route="/similar/{movie_id}",status="200"}'
    answers = 'marquee_answers_total{kind="similar",source="pgvector"}'
    seconds = 'marquee_request_seconds_count{route="/similar/{movie_id}"}'
    before = counted()
    for _ in range(5):
        fan.get(ASK)
    after = counted()
    assert {name: after[name] - before[name] for name in (route, answers, seconds)} == dict.fromkeys(
        (route, answers, seconds), 5.0
    )
