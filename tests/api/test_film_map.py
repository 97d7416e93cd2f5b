"""The map over HTTP: films in columns, asked for once, and no film on it that may not be shown."""

from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text, update
from sqlalchemy.orm import Session

from backend.ml import map_store
from backend.ml.map_store import Placed
from backend.models import Movie
from tests.api.answers import assert_problem, get
from tests.catalogue import GODFATHER, MATRIX, TOY_STORY
from tests.ml.factors import tell

GONE = 424242


@pytest.fixture
def mapped(catalogue_engine: Engine) -> Iterator[Engine]:
    """A map of three films, and of one that has gone since."""
    ids = np.array([TOY_STORY, GONE, MATRIX, GODFATHER], dtype=np.int32)
    places = np.array([[0, 0.25], [0.5, 0.5], [1, 0.5], [0.125, 1]], dtype=np.float32)
    with Session(catalogue_engine) as session, session.begin():
        map_store.keep(session, "first", Placed(ids, places))
    yield catalogue_engine
    with Session(catalogue_engine) as session, session.begin():
        tell(session)


@pytest.fixture
def unmapped(catalogue_engine: Engine) -> Iterator[None]:
    """No map at all."""
    with catalogue_engine.begin() as connection:
        connection.execute(text("DELETE FROM film_map"))
    yield
    with Session(catalogue_engine) as session, session.begin():
        tell(session)


@pytest.mark.usefixtures("mapped")
def test_the_films_are_told_in_columns_the_best_known_first(client: TestClient) -> None:
    made = get(client, "/map")
    assert made["version"] == "first"
    columns = made["films"]
    assert {len(column) for column in columns.values()} == {3}
    assert columns["votes"] == sorted(columns["votes"], reverse=True)
    films = {row[0]: row[1:] for row in zip(*columns.values(), strict=True)}
    assert films.keys() == {TOY_STORY, MATRIX, GODFATHER}
    toy_story = get(client, f"/movies/{TOY_STORY}")
    assert films[TOY_STORY] == (0, 0.25, "Toy Story", 1995, toy_story["vote_count"], "Animation")


@pytest.mark.usefixtures("mapped")
def test_whoever_has_it_is_not_sent_it_again(client: TestClient) -> None:
    first = client.get("/map")
    again = client.get("/map", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    other = client.get("/map", headers={"If-None-Match": '"another"'})
    assert other.status_code == 200


def test_a_new_map_has_another_tag(client: TestClient, mapped: Engine) -> None:
    first = client.get("/map")
    with Session(mapped) as session, session.begin():
        map_store.keep(session, "second", Placed(np.array([MATRIX]), np.array([[0.5, 0.5]], dtype=np.float32)))
    second = client.get("/map", headers={"If-None-Match": first.headers["ETag"]})
    assert second.json()["version"] == "second"
    assert second.json()["films"]["id"] == [MATRIX]


@pytest.mark.parametrize("flag", ["hidden", "adult"])
def test_a_film_that_may_not_be_shown_is_not_on_it(client: TestClient, mapped: Engine, flag: str) -> None:
    try:
        with mapped.begin() as connection:
            connection.execute(update(Movie).where(Movie.id == MATRIX).values({flag: True}))
        assert set(get(client, "/map")["films"]["id"]) == {TOY_STORY, GODFATHER}
    finally:
        with mapped.begin() as connection:
            connection.execute(update(Movie).where(Movie.id == MATRIX).values({flag: False}))


@pytest.mark.usefixtures("unmapped")
def test_before_there_is_a_map_that_is_said(client: TestClient) -> None:
    problem = client.get("/map", headers={"If-None-Match": '"None"'})
    assert_problem(problem, 404, code="map_not_made")
    assert "job `cache`" in problem.json()["detail"]
