"""A film that is hidden is in no answer, whoever gives it; what people did with it still tells their taste."""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from backend.catalog.store import upsert
from backend.ml.file_cache import build_cache
from tests.api.answers import assert_problem, every_id, get, ids, rows
from tests.api.test_layers import Service, forget_people, meet_people
from tests.catalogue import SIZE, TOY_STORY, TOY_STORY_2, TOY_STORY_3, small_catalogue
from tests.ml.factors import write_model

HIDDEN, IMDB_ID, TITLE = TOY_STORY, "tt0114709", "Toy Story"
"""One that ada likes."""
LISTS: dict[str, dict[str, Any]] = {
    f"/similar/{TOY_STORY_2}": {},
    f"/similar/{TOY_STORY_3}": {"by": "embedding"},
    "/similar/tt0120363": {"user_id": "ada", "diversity_boost": 0.5},
    f"/v1/similar/{TOY_STORY_2}": {"genre": "Animation"},
    "/recommendations/ada": {},
    "/recommendations/nobody": {"diversity_boost": 0.5},
    "/recommendations": {"user_id": "fan 0", "year_max": 2000},
    "/movies": {},
    "/v1/movies": {"genre": "Animation"},
}


def set_hidden(engine: Engine, *, hidden: bool) -> None:
    """By SQL: the film comes with the product, and of itself is never hidden."""
    with engine.begin() as connection:
        statement = text("UPDATE movies SET hidden = :hidden WHERE id = :film")
        connection.execute(statement, {"hidden": hidden, "film": HIDDEN})


@pytest.fixture(params=[False, True], ids=["as usual", "adult films too"])
def service(
    request: pytest.FixtureRequest,
    make_app: Callable[..., FastAPI],
    monkeypatch: pytest.MonkeyPatch,
    catalogue_engine: Engine,
) -> Iterator[Service]:
    """The service and its files, with one film hidden."""
    app = make_app(include_adult=request.param)
    meet_people(catalogue_engine)
    set_hidden(catalogue_engine, hidden=True)
    build_cache(app.state.settings)
    write_model(app.state.settings)
    yield Service(app, monkeypatch, catalogue_engine)
    set_hidden(catalogue_engine, hidden=False)
    forget_people(catalogue_engine)


def assert_hidden(client: TestClient, source: str) -> None:
    """That no list has it, and that by its name there is nothing."""
    for path, params in LISTS.items():
        found = every_id(client, path, **params)
        assert found, path
        assert HIDDEN not in found, path
    assert len(every_id(client, "/movies")) == get(client, "/movies")["total_results"] == SIZE - 1
    for question in ({"liked": [HIDDEN, IMDB_ID]}, {"query": "toys come to life"}, {"disliked": [HIDDEN]}):
        answer = client.post("/recommendations", json=question | {"n": 100}).json()
        assert HIDDEN not in [row["id"] for row in answer["results"]]
        assert not answer["unknown"]
    for ref in (HIDDEN, IMDB_ID):
        for path in (f"/movies/{ref}", f"/similar/{ref}", f"/recommendations/ada/why/{ref}"):
            assert_problem(client.get(path), 404, code="movie_not_found")
    assert get(client, "/recommendations/ada")["source"] == source


def test_it_is_in_no_answer_of_any_layer(service: Service) -> None:
    assert_hidden(service.client, "pgvector")
    with service.without_database() as client:
        assert_hidden(client, "file_cache")
        service.remove_cache()
        assert_hidden(client, "svd")
        service.remove_models()
        assert_hidden(client, "popular")


def test_what_only_the_database_answers_leaves_it_out_too(service: Service) -> None:
    client = service.client
    assert HIDDEN not in ids(client, "/search", q=TITLE, n=100)
    assert HIDDEN not in ids(client, "/search", q="toys that come to life", n=100)
    films = [film for film in small_catalogue() if film.id != HIDDEN]
    counts = {genre["name"]: genre["movies"] for genre in get(client, "/genres")}
    assert counts["Animation"] == sum("Animation" in film.genres for film in films)


def test_a_list_is_as_long_as_there_are_films_to_show(service: Service) -> None:
    for path, shown in ((f"/similar/{TOY_STORY_2}", SIZE - 2), ("/recommendations/nobody", SIZE - 1)):
        assert get(service.client, path)["total_results"] == shown
        with service.without_database() as client:
            assert get(client, path)["total_results"] == shown


def test_it_still_tells_the_taste_of_those_who_like_it_and_is_not_named(service: Service) -> None:
    client = service.client
    assert ids(client, "/recommendations/ada", n=5) != ids(client, "/recommendations/nobody", n=5)
    told = [reasons(client)]
    with service.without_database():
        told.append(reasons(client))
        service.remove_cache()
        told.append(reasons(client))
    for answer in told:
        assert TOY_STORY_3 in [row["id"] for row in answer]
        for row in answer:
            assert HIDDEN not in [reason.get("id") for reason in row["why"]]
            assert TITLE not in [reason.get("title") for reason in row["why"]]
            shares = [reason["share"] for reason in row["why"] if "share" in reason]
            assert sum(shares) == pytest.approx(row["score"], abs=1e-4)
    assert "liked" in {reason["kind"] for answer in told for row in answer for reason in row["why"]}


def test_who_did_something_with_it_is_told_so_without_its_title(service: Service) -> None:
    for path in ("/users/ada/interactions", "/users/ada/export"):
        answer = get(service.client, path)
        found = {row["movie_id"]: row["title"] for row in answer.get("results", answer.get("interactions"))}
        assert found.pop(HIDDEN) is None
        assert all(found.values())


def reasons(client: TestClient) -> list[dict[str, Any]]:
    """The first films for ada, with why."""
    return rows(client, "/recommendations/ada", n=10, explain=True, diversity_boost=0)


def test_the_statistics_are_of_the_whole_catalogue(service: Service) -> None:
    assert get(service.client, "/stats")["total_movies"] == SIZE


def test_fetched_again_it_is_back(service: Service, catalogue_engine: Engine) -> None:
    (film,) = (film for film in small_catalogue() if film.id == HIDDEN)
    with Session(catalogue_engine) as session, session.begin():
        upsert(session, [film], source="tmdb", fetched_at=dt.datetime.now(dt.UTC))
    try:
        assert get(service.client, f"/movies/{HIDDEN}")["title"] == TITLE
        assert HIDDEN in ids(service.client, f"/similar/{TOY_STORY_2}", n=5)
        build_cache(service.settings)
        service.start()
        with service.without_database() as client:
            assert get(client, f"/movies/{HIDDEN}")["title"] == TITLE
            assert HIDDEN in ids(client, f"/similar/{TOY_STORY_2}", n=5)
    finally:
        with catalogue_engine.begin() as connection:
            connection.execute(text("UPDATE movies SET source = 'starter', fetched_at = NULL"))
