"""The database goes and comes back under the service: what its clients see of that, and what they don't."""

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from backend import database
from backend.config import Settings
from backend.errors import LayerUnavailableError
from backend.feedback.records import NewInteraction
from backend.feedback.store import record
from backend.feedback.weights import Kind
from backend.ml.breaker import Breaker, BreakerConfig
from backend.ml.file_cache import build_cache, cache_folder
from backend.ml.popular_recommender import bundled_films
from backend.ml.recommender import Layers
from backend.ml.svd_recommender import models_folder
from tests.api.answers import act, assert_problem, every_id, get, history, ids, rows
from tests.api.conftest import Films, RowCounts, Statements
from tests.api.routes import LIKE, WRITES, Call
from tests.api.test_openapi import assert_fits, documented_answer
from tests.api.test_recommendations import FILTERS
from tests.catalogue import GODFATHER, MATRIX, TOY_STORY, TOY_STORY_2, TOY_STORY_3, small_catalogue
from tests.clock import Clock
from tests.ml.factors import write_model

FACTS = {film.id: film for film in small_catalogue()}
ADA: dict[int, Kind] = {TOY_STORY: "like", MATRIX: "rating", GODFATHER: "dislike", TOY_STORY_2: "watched"}
CLICKED = TOY_STORY_3
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

SIMILAR, PERSON, QUESTION = "GET /similar/{movie_id}", "GET /recommendations/{user_id}", "POST /recommendations"
LISTS = [
    Call(SIMILAR, f"/similar/{TOY_STORY}"),
    Call(SIMILAR, "/similar/tt0114709?user_id=ada&n=40&page=2&diversity_boost=0.5&explain=true"),
    Call(SIMILAR, f"/similar/{TOY_STORY}?genre=Comedy&year_min=2000&exclude=tt0133093,{TOY_STORY_2}"),
    Call(SIMILAR, f"/similar/{TOY_STORY}?by=embedding&n=100"),
    Call(SIMILAR, f"/similar/{TOY_STORY}?page=50"),
    Call(PERSON, "/recommendations/ada"),
    Call(PERSON, "/recommendations/ada?explain=true&diversity_boost=0&n=3"),
    Call(PERSON, "/recommendations/nobody?explain=true&n=100"),
    Call("GET /recommendations", "/recommendations?user_id=ada&genre=Drama&n=100"),
    Call(QUESTION, "/recommendations", {"liked": [MATRIX, "tt0114709"], "n": 20, "explain": True}),
    Call(QUESTION, "/recommendations", {"query": "gangsters of the mafia", "disliked": [GODFATHER, 424242]}),
    Call(QUESTION, "/recommendations", {"query": "gangsters of the mafia", "liked": [MATRIX], "explain": True}),
]
FILMS = [
    Call("GET /movies", "/movies"),
    Call("GET /movies", "/movies?genre=War&n=3&page=2"),
    Call("GET /movies/{movie_id}", f"/movies/{TOY_STORY}"),
    Call("GET /movies/{movie_id}", "/movies/tt0114709"),
]
ONLY_THE_DATABASE = [
    Call("GET /genres", "/genres"),
    Call("GET /people", "/people"),
    Call("GET /search", "/search?q=toy"),
    Call("GET /users/{user_id}/interactions", "/users/ada/interactions"),
    Call("GET /users/{user_id}/export", "/users/ada/export"),
    Call("GET /stats", "/stats"),
    Call("GET /jobs", "/jobs"),
    Call("GET /jobs/{name}/runs", "/jobs/index/runs"),
    Call("GET /index/history", "/index/history"),
    Call("GET /map", "/map"),
    Call("GET /quality", "/quality"),
    *WRITES,
]


def as_text(call: Call) -> str:
    return f"{call.method} {call.path} {call.json or ''}"


def meet_people(engine: Engine) -> None:
    """Let there be ada, and enough others to learn from."""
    acts: list[tuple[str, int, Kind]] = [("ada", film, kind) for film, kind in ADA.items()]
    acts.append(("ada", CLICKED, "click"))
    acts += [(f"fan {n}", film, "like") for n in range(12) for film in list(FACTS)[n::5]]
    with Session(engine) as session, session.begin():
        given = [
            NewInteraction(who, kind, 5.0 if kind == "rating" else None, NOW, film, None, None, None)
            for who, film, kind in acts
        ]
        record(session, given)


def forget_people(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")


@pytest.fixture(scope="module")
def files(catalogue_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache and model of the small catalogue and its people."""
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("files"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "get_engine", lambda: catalogue_engine)
        meet_people(catalogue_engine)
        build_cache(settings)
        write_model(settings)
        forget_people(catalogue_engine)
    return settings.data_dir


class Service:
    """The service, its files, and the database that it finds."""

    def __init__(self, app: FastAPI, patch: pytest.MonkeyPatch, whole: Engine) -> None:
        self.client = TestClient(app, raise_server_exceptions=False)
        self.settings: Settings = app.state.settings
        self.clock = Clock()
        self._app = app
        self._patch = patch
        self._whole = whole
        self.start()

    def start(self) -> None:
        """What a process does when it starts: look at the files."""
        self.layers = self._app.state.layers = Layers(self.settings)
        self.layers.breaker = Breaker(BreakerConfig(), clock=self.clock)
        self.layers.refresh()

    @contextmanager
    def without_database(self) -> Iterator[TestClient]:
        """Nobody listens any more; then again."""
        nowhere = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
        self._patch.setattr(database, "get_engine", lambda: nowhere)
        yield self.client
        self._patch.setattr(database, "get_engine", lambda: self._whole)
        self.clock.now += BreakerConfig().pause

    def remove_cache(self) -> None:
        shutil.rmtree(cache_folder(self.settings))

    def remove_models(self) -> None:
        shutil.rmtree(models_folder(self.settings))


@pytest.fixture
def service(
    make_app: Callable[..., FastAPI],
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    catalogue_engine: Engine,
) -> Iterator[Service]:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    meet_people(catalogue_engine)
    yield Service(make_app(), monkeypatch, catalogue_engine)
    forget_people(catalogue_engine)


def told_by(answer: dict[str, Any]) -> tuple[str, bool, bool]:
    """Who answered, whether it stood in for another, and whether it knew nothing of the person."""
    return answer["source"], answer["degraded"], answer["cold_start"]


# What only the database can answer


def test_while_the_database_is_left_alone_nobody_waits_for_it(service: Service, statements: Statements) -> None:
    breaker = service.client.app.state.layers.breaker  # type: ignore[attr-defined]
    for _ in range(3):
        breaker.failed()
    statements.clear()
    for call in ONLY_THE_DATABASE:
        response = call.send(service.client)
        assert_problem(response, 503, code="database_unavailable")
        assert response.headers["Retry-After"]
    assert statements == []


# A client hardly notices


@pytest.mark.parametrize("call", LISTS, ids=as_text)
def test_a_list_is_the_same_with_and_without_the_database(service: Service, call: Call) -> None:
    before = call.send(service.client)
    with service.without_database():
        away = call.send(service.client)
    after = call.send(service.client)
    assert (before.status_code, away.status_code, after.status_code) == (200, 200, 200)
    is_cold = before.json()["cold_start"]
    assert told_by(away.json()) == ("popular" if is_cold else "file_cache", True, is_cold)
    assert told_by(after.json()) == ("popular" if is_cold else "pgvector", False, is_cold)
    assert_alike(away.json(), before.json())
    assert_alike(after.json(), before.json())
    assert away.headers["content-type"] == before.headers["content-type"]


def assert_alike(answer: dict[str, Any], other: dict[str, Any]) -> None:
    """That two lists are the same but for who made them, when, and the last digits of scores."""
    assert answer.keys() == other.keys()
    same = answer.keys() - {"results", "source", "degraded", "generated_at"}
    assert {key: answer[key] for key in same} == {key: other[key] for key in same}
    for one, its in zip(answer["results"], other["results"], strict=True):
        assert list(one) == list(its)
        assert one == its | {"score": pytest.approx(its["score"], abs=1e-5)} | reasons_like(its)


def reasons_like(row: dict[str, Any]) -> dict[str, Any]:
    """The reasons of a row, with shares that may differ in the last digit."""
    if "why" not in row:
        return {}
    parts = {"score_parts": pytest.approx(row["score_parts"], abs=2e-4)} if "score_parts" in row else {}
    return parts | {
        "why": [
            reason | {"share": pytest.approx(reason["share"], abs=2e-4)} if "share" in reason else reason
            for reason in row["why"]
        ]
    }


@pytest.mark.parametrize("call", FILMS, ids=as_text)
def test_films_are_told_the_same_with_and_without_the_database(service: Service, call: Call) -> None:
    before = call.send(service.client)
    with service.without_database():
        away = call.send(service.client)
    assert away.status_code == 200
    assert away.content == before.content


@pytest.mark.parametrize("remove", [0, 1, 2])
def test_every_answer_is_what_the_documentation_says_whoever_gives_it(service: Service, remove: int) -> None:
    for gone in [service.remove_cache, service.remove_models][:remove]:
        gone()
    schemas = {
        call.route: documented_answer(service.client, call.route)["application/json"]["schema"]
        for call in (*LISTS, *FILMS)
    }
    with service.without_database() as client:
        for call in (*LISTS, *FILMS, Call(SIMILAR, "/similar/424242?explain=true")):
            for prefix in ("", "/v1"):
                response = call.send(client, prefix=prefix)
                assert response.status_code == 200
                assert_fits(schemas[call.route], response.json())


@pytest.mark.parametrize("name", FILTERS)
def test_filters_hold(service: Service, name: str) -> None:
    params, fits = FILTERS[name]
    fitting = {film.id for film in FACTS.values() if fits(film)}
    with service.without_database() as client:
        assert set(ids(client, "/movies", n=100, **params)) <= fitting
        assert get(client, "/movies", **params)["total_results"] == len(fitting)
        for path, left_out in ((f"/similar/{TOY_STORY}", {TOY_STORY}), ("/recommendations/ada", set(ADA))):
            found = ids(client, path, n=100, **params)
            assert set(found) <= fitting - left_out
            assert len(found) == min(100, len(fitting - left_out))


def test_what_a_person_did_stays_out_whoever_answers(service: Service) -> None:
    with service.without_database() as client:
        removals = {"file_cache": service.remove_cache, "svd": service.remove_models, "popular": lambda: None}
        for source, remove in removals.items():
            for params in ({}, {"diversity_boost": 1}, {"page": 2}):
                answer = get(client, "/recommendations/ada", n=75, **params)
                assert answer["source"] == source
                assert set(ADA).isdisjoint(row["id"] for row in answer["results"])
            everything = every_id(client, "/recommendations/ada")
            assert set(everything) == FACTS.keys() - ADA.keys()
            assert set(ADA).isdisjoint(ids(client, f"/similar/{TOY_STORY}", n=100, user_id="ada"))
            assert CLICKED in ids(client, f"/similar/{TOY_STORY}", n=100, user_id="ada")
            remove()


def test_mistakes_are_still_told(service: Service) -> None:
    with service.without_database() as client:
        assert_problem(client.get("/similar/abc"), 422, field="movie_id")
        assert_problem(client.get("/recommendations/ada?n=0"), 422, field="n")
        assert_problem(client.get("/movies?genre=Noir"), 422, field="genre")
        assert_problem(client.post("/recommendations", json={"liked": "x"}), 422, field="liked")
        assert_problem(client.get("/nowhere"), 404)


@pytest.mark.parametrize("film", [TOY_STORY, TOY_STORY_2, TOY_STORY_3, 604, 155])
@pytest.mark.parametrize("query", ["", "?n=1", "?genre=Comedy&n=500", "?year_max=1980&exclude=155"])
def test_why_is_told_the_same_with_and_without_the_database(service: Service, film: int, query: str) -> None:
    route = "GET /recommendations/{user_id}/why/{movie_id}"
    call = Call(route, f"/recommendations/ada/why/{film}{query}")
    schema = documented_answer(service.client, route)["application/json"]["schema"]
    before = get(service.client, call.path)
    with service.without_database() as client:
        away = get(client, call.path)
        assert_fits(schema, away)
    assert_fits(schema, before)
    assert (away["source"], before["source"]) == ("file_cache", "pgvector")
    numbers = {"score", "needed", "behind"}
    assert {key: away[key] for key in numbers} == {key: pytest.approx(before[key], abs=1e-4) for key in numbers}
    same = before.keys() - numbers - {"source", "why", "score_parts"}
    assert {key: away[key] for key in same} == {key: before[key] for key in same}
    reasons = {key: away[key] for key in ("why", "score_parts")}
    assert reasons == reasons_like(before)


# Who answers


def test_one_layer_after_the_other_answers_and_then_the_database_again(service: Service) -> None:
    client = service.client
    paths = (f"/similar/{TOY_STORY}", "/recommendations/ada", "/v1/recommendations/ada")
    assert [told_by(get(client, path)) for path in paths] == [("pgvector", False, False)] * 3
    with service.without_database():
        assert [told_by(get(client, path)) for path in paths] == [("file_cache", True, False)] * 3
        service.remove_cache()
        assert [told_by(get(client, path)) for path in paths] == [("svd", True, False)] * 3
        assert (
            get(client, "/recommendations/ada")["model_version"]
            != get(client, "/recommendations/nobody")["source"]
        )
        service.remove_models()
        told = [told_by(get(client, path)) for path in paths]
        assert told == [("popular", True, False), ("popular", True, True), ("popular", True, True)]
    assert [told_by(get(client, path)) for path in paths] == [("pgvector", False, False)] * 3


def test_with_nothing_left_and_nothing_remembered_there_still_are_films(service: Service) -> None:
    service.remove_cache()
    service.remove_models()
    service.start()
    with service.without_database() as client:
        assert get(client, "/movies")["total_results"] == len(bundled_films())
        assert get(client, f"/movies/{TOY_STORY}")["title"] == "Toy Story"
        assert len(rows(client, "/recommendations/ada", n=100)) == 100
        liked = client.post("/recommendations", json={"liked": [TOY_STORY], "query": "toys"}).json()
        assert told_by(liked) == ("popular", True, True)


def test_ready_says_which_layer_answers(service: Service) -> None:
    ready = {"status": "ok", "encoder": "loaded"}
    assert get(service.client, "/health/ready") == ready | {"layer": "pgvector"}
    with service.without_database() as client:
        assert get(client, "/health/ready") == ready | {"layer": "file_cache"}
        service.remove_cache()
        assert get(client, "/health/ready") == ready | {"layer": "svd"}
        service.remove_models()
        assert get(client, "/health/ready") == ready | {"layer": "popular"}
        assert get(client, "/health/live") == {"status": "ok"}
    assert get(service.client, "/health/ready") == ready | {"layer": "pgvector"}
    assert get(service.client, "/stats")["layer"] == "pgvector"


def test_the_metrics_tell_who_answered_and_who_is_up(service: Service) -> None:
    def metric(line: str) -> float:
        found = [told for told in service.client.get("/metrics").text.splitlines() if told.startswith(line)]
        return sum(float(told.rpartition(" ")[2]) for told in found)

    answers = 'marquee_answers_total{kind="similar",source="file_cache"}'
    before = metric(answers)
    with service.without_database() as client:
        for _ in range(BreakerConfig().failures + 1):
            get(client, f"/similar/{TOY_STORY}")
        assert metric(answers) == before + BreakerConfig().failures + 1
        assert metric('marquee_layer_up{layer="pgvector"}') == 0
        assert metric('marquee_layer_up{layer="file_cache"}') == 1
    get(service.client, f"/similar/{TOY_STORY}")
    assert metric('marquee_layer_up{layer="pgvector"}') == 1


# What only the database can do


@pytest.mark.parametrize("call", ONLY_THE_DATABASE, ids=as_text)
def test_what_only_the_database_can_do_is_to_be_tried_again(
    service: Service, row_counts: RowCounts, call: Call
) -> None:
    before = row_counts()
    with service.without_database() as client:
        for _ in range(BreakerConfig().failures + 1):
            response = call.send(client)
            assert_problem(response, 503, code="database_unavailable")
            assert int(response.headers["Retry-After"]) > 0
        # Nor does it keep the others from being answered.
        assert get(client, "/recommendations/ada")["source"] == "file_cache"
    assert row_counts() == before
    assert get(service.client, "/recommendations/ada")["source"] == "pgvector"


def test_a_batch_is_not_half_stored(service: Service, row_counts: RowCounts) -> None:
    before = row_counts()
    with service.without_database() as client:
        response = client.post("/interactions", json={"interactions": [LIKE, LIKE | {"user_id": "bob"}]})
        assert_problem(response, 503, code="database_unavailable")
    assert row_counts() == before


def test_what_is_told_when_the_database_is_back_counts_at_once(service: Service) -> None:
    with service.without_database() as client:
        shown = get(client, "/recommendations/ada")
        first = shown["results"][0]["id"]
        assert client.post("/interactions", json=LIKE | {"movie_id": first}).status_code == 503
        assert ids(client, "/recommendations/ada") == [row["id"] for row in shown["results"]]
    # The token of a list that was made without the database is as good as any.
    act(service.client, first, recommendation_id=shown["recommendation_id"], position=1)
    assert first not in ids(service.client, "/recommendations/ada", n=100)
    assert history(service.client)[0]["recommendation_id"] == shown["recommendation_id"]


def test_a_film_that_came_after_the_cache_is_no_404(service: Service, add_film: Films) -> None:
    film = add_film(like=TOY_STORY)
    assert ids(service.client, f"/similar/{film}", n=1) == [TOY_STORY]
    with service.without_database() as client:
        answer = get(client, f"/similar/{film}")
        assert told_by(answer) == ("popular", True, False)
        assert len(answer["results"]) == 10
        response = client.get(f"/movies/{film}")
        assert_problem(response, 503, code="database_unavailable")
        assert response.headers["Retry-After"]
        given = client.post("/recommendations", json={"liked": [film, MATRIX]}).json()
        assert (given["unknown"], given["source"]) == ([film], "file_cache")
    assert get(service.client, f"/movies/{film}")["id"] == film
    assert_problem(service.client.get("/similar/424242"), 404, code="movie_not_found")


def test_a_cache_that_can_not_be_used_is_no_error_either(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise LayerUnavailableError("damaged")

    monkeypatch.setattr(service.layers.cache, "get", refuse)
    assert get(service.client, "/recommendations/ada")["source"] == "pgvector"
    with service.without_database() as client:
        assert get(client, "/recommendations/ada")["source"] == "svd"


# Who may ask, and the page


def test_keys_are_asked_for_as_ever(
    make_app: Callable[..., FastAPI],
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    catalogue_engine: Engine,
) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    service = Service(make_app(api_keys="sesame"), monkeypatch, catalogue_engine)
    with service.without_database() as client:
        for call in (*LISTS, *FILMS, *ONLY_THE_DATABASE):
            assert_problem(call.send(client), 401, code="key_required")
            assert call.send(client, headers={"X-API-Key": "sesame"}).status_code in (200, 503)
