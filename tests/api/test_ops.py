"""What an operator sees: a fetch from TMDB while it runs, and how the vector index did over time."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from backend import database
from backend.catalog.progress import PROGRESS
from backend.catalog.queue_store import move_position
from tests.api.answers import assert_problem, get
from tests.api.conftest import Statements
from tests.ml.factors import tell

TOLD = {
    "stored": 1200,
    "failed": 3,
    "left": 8800,
    "films_a_second": 39.5,
    "seconds_left": 223,
    "at": "2026-01-31T03:00:30+00:00",
}


@pytest.fixture
def fetching(catalogue_engine: Engine) -> Iterator[dict[str, Any]]:
    """A fetch that is on its way."""
    with Session(catalogue_engine) as session, session.begin():
        move_position(session, PROGRESS, TOLD)
    yield TOLD
    with catalogue_engine.begin() as connection:
        connection.execute(text("DELETE FROM fetch_positions"))


def told(client: TestClient) -> dict[str, float]:
    """What the metrics say of a fetch."""
    lines = [line.split(" ") for line in client.get("/metrics").text.splitlines()]
    return {line[0]: float(line[1]) for line in lines if line[0].startswith("marquee_ingest")}


def test_where_nothing_was_ever_fetched_nothing_is_said(client: TestClient) -> None:
    assert get(client, "/stats")["ingest"] is None
    assert len(told(client)) == 4
    assert all(map(math.isnan, told(client).values()))


def test_how_far_a_fetch_is_stands_in_the_stats_and_the_metrics(
    client: TestClient, fetching: dict[str, Any]
) -> None:
    assert get(client, "/stats")["ingest"] == fetching
    assert told(client) == {
        "marquee_ingest_films_stored": 1200,
        "marquee_ingest_films_failed": 3,
        "marquee_ingest_films_left": 8800,
        "marquee_ingest_films_per_second": 39.5,
    }


def test_the_metrics_answer_while_the_database_is_gone_and_do_not_ask_one_that_is_left_alone(
    client: TestClient, fetching: dict[str, Any], statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = client.app.state.layers  # type: ignore[attr-defined]
    nowhere = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    with monkeypatch.context() as patch:
        patch.setattr(database, "get_engine", lambda: nowhere)
        assert all(map(math.isnan, told(client).values()))
    nowhere.dispose()
    assert not layers.breaker.is_open, "who only looks opens nothing"
    statements.clear()
    with monkeypatch.context() as patch:
        patch.setattr(type(layers.breaker), "is_open", True)
        assert all(map(math.isnan, told(client).values()))
    assert statements == []
    assert told(client)["marquee_ingest_films_left"] == 8800


@pytest.fixture
def measured(catalogue_engine: Engine) -> Iterator[None]:
    """An index that was built, tuned, and looked at in three nights."""
    insert = """
        INSERT INTO index_measurements (kind, movies, event, ef_search, recall_at_10, measured_at)
        VALUES ('hnsw', 20000 + :number, :event, 40 + :number, 0.95 + 0.01 * :number,
                CAST('2026-01-01T05:00:00Z' AS timestamptz) + make_interval(days => :number))
    """
    events = ("build", "tune", "check", "check", "check")
    with catalogue_engine.begin() as connection:
        for number, event in enumerate(events):
            connection.execute(text(insert), {"number": number, "event": event})
    yield
    with catalogue_engine.begin() as connection:
        connection.execute(text("DELETE FROM index_measurements"))


@pytest.mark.usefixtures("measured")
def test_what_the_index_found_is_told_as_a_history_the_oldest_first(client: TestClient) -> None:
    history = get(client, "/index/history")["results"]
    assert [one["event"] for one in history] == ["build", "tune", "check", "check", "check"]
    assert history[0] == {
        "measured_at": "2026-01-01T05:00:00+00:00",
        "event": "build",
        "kind": "hnsw",
        "ef_search": 40,
        "probes": None,
        "lists": None,
        "movies": 20000,
        "recall_at_10": pytest.approx(0.95),
    }
    assert get(client, "/index/history", n=2)["results"] == history[-2:]


def test_where_no_index_was_ever_measured_the_history_is_empty(client: TestClient) -> None:
    assert get(client, "/index/history") == {"results": [], "target": 0.98}


def test_the_quality_is_that_of_the_version_in_force(client: TestClient, catalogue_engine: Engine) -> None:
    told = get(client, "/quality")
    assert told["version"] == get(client, "/stats")["taste_version"]
    assert told["people"] == 50
    assert told["figures"] == {"ndcg_at_10": 0.1, "recall_at_20": 0.2, "coverage": 0.3}
    with catalogue_engine.begin() as connection:
        connection.execute(text("UPDATE quality_measurements SET version = 'another'"))
    assert_problem(client.get("/quality"), 404, code="quality_not_measured")
    with Session(catalogue_engine) as session, session.begin():
        tell(session)
