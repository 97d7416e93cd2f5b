"""Films: browse, one in detail, the genres, and search."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from backend.catalog.records import GENRE_IDS
from tests.api.answers import assert_problem, every_id, get, ids, rows
from tests.api.conftest import Films
from tests.api.test_recommendations import FILTERS
from tests.catalogue import MATRIX, SIZE, TOY_STORY, TOY_STORY_2, TOY_STORY_3, small_catalogue

FACTS = {film.id: film for film in small_catalogue()}


def test_browsing_reaches_every_film_once(client: TestClient) -> None:
    found = every_id(client, "/movies")
    assert len(found) == SIZE
    assert set(found) == set(FACTS)


def test_the_popular_and_good_come_first(client: TestClient) -> None:
    best = rows(client, "/movies", n=5)
    assert min(row["vote_average"] for row in best) > 7.5
    assert min(row["vote_count"] for row in best) > 10_000


def test_pages_are_slices_of_one_order_and_tell_the_length(client: TestClient) -> None:
    whole = every_id(client, "/movies")
    last = get(client, "/movies", n=40, page=4)
    assert [row["id"] for row in last["results"]] == whole[120:]
    assert (last["page"], last["total_results"], last["total_pages"]) == (4, SIZE, 4)


def test_a_page_past_the_end_is_empty_and_still_tells_the_length(client: TestClient) -> None:
    answer = get(client, "/movies", n=100, page=99)
    assert answer["results"] == []
    assert (answer["total_results"], answer["total_pages"]) == (SIZE, 2)


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_lets_through_all_that_fit_and_nothing_else(client: TestClient, name: str) -> None:
    params, fits = FILTERS[name]
    fitting = {film.id for film in FACTS.values() if fits(film)}
    assert set(every_id(client, "/movies", **params)) == fitting
    assert get(client, "/movies", **params)["total_results"] == len(fitting)


def test_filters_that_nothing_fits_are_an_empty_list(client: TestClient) -> None:
    for path in ("/movies", f"/similar/{TOY_STORY}", "/recommendations/nobody"):
        assert rows(client, path, year_min=2015, year_max=2000) == []


def test_a_row_has_the_shape_that_tmdb_clients_read(client: TestClient) -> None:
    (row,) = (row for row in rows(client, "/search", q="Toy Story") if row["id"] == TOY_STORY)
    film = FACTS[TOY_STORY]
    assert row["genre_ids"] == [16, 35, 10751]
    assert row["genres"][0] == {"id": 16, "name": "Animation"}
    assert row["release_date"] == "1995-10-30"
    assert row["poster_path"] == film.poster_path
    assert (row["title"], row["vote_count"], row["runtime"]) == (film.title, film.vote_count, film.runtime)


@pytest.mark.parametrize("name", [str(TOY_STORY), "tt0114709"])
def test_the_detail_of_a_film_is_all_that_is_known(client: TestClient, name: str) -> None:
    film, told = FACTS[TOY_STORY], get(client, f"/movies/{name}")
    assert told["cast"] == film.actors
    assert told["directors"] == ["John Lasseter"]
    assert told["imdb_id"] == "tt0114709"
    assert (told["budget"], told["revenue"]) == (30_000_000, 373_554_033)
    assert (told["overview"], told["keywords"]) == (film.overview, film.keywords)


def test_the_detail_has_what_only_some_films_have(client: TestClient, add_film: Films) -> None:
    more = {
        "overview": "A heist on a train.",
        "keywords": ["heist"],
        "collection": "The Heists",
        "tagline": "Mind the gap.",
        "status": "Released",
        "revenue": 3 * 10**9,
    }
    told = get(client, f"/movies/{add_film(**more)}")
    assert {key: told[key] for key in more} == more


def test_a_film_that_is_not_there_is_a_404(client: TestClient) -> None:
    for film in ("424242", "tt9999999"):
        assert_problem(client.get(f"/movies/{film}"), 404, field="movie_id", code="movie_not_found")


def test_genres_are_counted(client: TestClient) -> None:
    expected = Counter(genre for film in FACTS.values() for genre in film.genres)
    told = get(client, "/genres")
    assert {row["name"]: row["movies"] for row in told} == expected
    assert all(row["id"] == GENRE_IDS[row["name"]] for row in told)


def test_the_beginning_of_a_title_finds_it(client: TestClient) -> None:
    assert set(ids(client, "/search", q="toy sto", n=3)) == {TOY_STORY, TOY_STORY_2, TOY_STORY_3}
    assert ids(client, "/search", q="incep", n=1) == [27205]
    assert ids(client, "/search", q="STORY toy 3", n=1) == [TOY_STORY_3]


def test_the_exact_title_comes_first(client: TestClient) -> None:
    for film in list(FACTS.values())[::8] + [film for film in FACTS.values() if is_part_of_another(film.title)]:
        assert ids(client, "/search", q=film.title.upper(), n=1) == [film.id], film.title


def is_part_of_another(title: str) -> bool:
    """Whether a search by this title finds other films by title as well."""
    words = set(title.split())
    return any(words < set(film.title.replace(":", "").split()) for film in FACTS.values())


def test_words_find_by_meaning(client: TestClient) -> None:
    assert set(ids(client, "/search", q="Pixar toys come to life", n=3)) == {TOY_STORY, TOY_STORY_2, TOY_STORY_3}
    found = {FACTS[number].title for number in ids(client, "/search", q="gangsters of the mafia", n=5)}
    assert {"The Godfather", "The Godfather: Part II"} <= found


@pytest.mark.parametrize(
    ("words", "first"),
    [("90s", 1990), ("crime of the 1970s", 1970), ("2000s adventure", 2000), ("00s fantasy", 2000)],
)
def test_a_decade_limits_the_years(client: TestClient, words: str, first: int) -> None:
    answer = get(client, "/search", q=words, n=50)
    years = {row["release_year"] for row in answer["results"]}
    assert years
    assert years <= set(range(first, first + 10))


def test_a_decade_without_films_is_an_empty_list(client: TestClient) -> None:
    for words in ("80s", "1920s"):
        answer = get(client, "/search", q=words)
        assert (answer["results"], answer["total_results"], answer["total_pages"]) == ([], 0, 0)


def test_years_asked_for_win_over_the_decade_in_the_words(client: TestClient) -> None:
    assert {row["release_year"] for row in rows(client, "/search", q="80s", year_min=2015)} >= {2015, 2016}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_hold_in_a_search(client: TestClient, name: str) -> None:
    params, fits = FILTERS[name]
    found = rows(client, "/search", q="the", n=100, **params)
    assert found
    assert all(fits(FACTS[row["id"]]) for row in found)


def test_pages_of_a_search_are_slices_of_one_order(client: TestClient) -> None:
    whole = get(client, "/search", q="the lord", n=100)
    assert whole["total_results"] == len(whole["results"])
    assert ids(client, "/search", q="the lord", n=7, page=3) == [row["id"] for row in whole["results"]][14:21]
    scores = [row["score"] for row in whole["results"]]
    assert scores == sorted(scores, reverse=True)


def test_punctuation_does_no_harm(client: TestClient) -> None:
    for words in ("!!!", "it's & (the | ) <-> :*", "'; DROP TABLE movies; --", "\\", "%", "名前", "a" * 500, "__"):
        assert client.get("/search", params={"q": words}).status_code == 200
    assert ids(client, "/search", q="spider-man: homecoming", n=1) == [315635]


def test_until_the_encoder_is_there_titles_are_searched_and_that_is_said(
    make_app: Callable[..., FastAPI],
) -> None:
    app = make_app()
    client = TestClient(app)
    assert get(client, "/search", q="toy")["degraded"] is False
    app.state.words._encoder = None
    answer = get(client, "/search", q="toy")
    assert answer["degraded"] is True
    assert {row["id"] for row in answer["results"]} == {TOY_STORY, TOY_STORY_2, TOY_STORY_3}
    assert rows(client, "/search", q="gangsters of the mafia") == []


def test_until_the_encoder_is_there_words_can_not_be_weighed(make_app: Callable[..., FastAPI]) -> None:
    app = make_app()
    app.state.words._encoder = None
    client = TestClient(app)
    response = client.post("/recommendations", json={"query": "toys"})
    assert_problem(response, 503, code="embedding_model_unusable")
    assert response.headers["Retry-After"] == "1"
    assert client.post("/recommendations", json={"liked": [MATRIX]}).status_code == 200
    response = client.get("/health/ready")
    assert_problem(response, 503, code="not_ready")
    assert response.headers["Retry-After"] == "1"


def test_until_the_files_were_looked_for_the_service_is_not_ready(make_app: Callable[..., FastAPI]) -> None:
    app = make_app()
    app.state.layers.looked = False
    assert_problem(TestClient(app).get("/health/ready"), 503, code="not_ready")
    app.state.layers.refresh()
    assert get(TestClient(app), "/health/ready")["status"] == "ok"


def test_an_encoder_that_cannot_be_loaded_keeps_nobody_from_the_other_answers(
    make_app: Callable[..., FastAPI], tmp_path: Path
) -> None:
    app = make_app(embedding_model=str(tmp_path / "nowhere"))
    app.state.words._encoder = None
    app.state.words._load()
    assert get(TestClient(app), "/health/ready") == {"status": "ok", "encoder": "unusable", "layer": "pgvector"}


def test_ready_means_that_there_are_films_and_an_encoder(client: TestClient) -> None:
    assert get(client, "/health/ready") == {"status": "ok", "encoder": "loaded", "layer": "pgvector"}
    assert get(client, "/health/live") == {"status": "ok"}


def test_stats_tell_the_catalogue_the_people_and_the_index(client: TestClient, add_film: Films) -> None:
    add_film()
    client.post("/interactions", json={"user_id": "ada", "movie_id": TOY_STORY, "kind": "like"})
    client.post("/interactions", json={"user_id": "bob", "movie_id": 424242, "kind": "like"})
    told = get(client, "/stats")
    assert (told["total_movies"], told["with_embeddings"], told["pending_embeddings"]) == (SIZE + 1, SIZE, 1)
    assert told["coverage_percentage"] == pytest.approx(100 * SIZE / (SIZE + 1))
    assert (told["people"], told["interactions"], told["pending_interactions"]) == (2, 1, 1)
    assert told["index"]["kind"] == "exact"
    assert told["index"]["recall_at_10"] == 1.0
    assert (told["index"]["size_bytes"], told["index"]["recall"]) == (None, [])
    assert told["layer"] == "pgvector"


def test_metrics_count_requests_and_answers(client: TestClient) -> None:
    def counted(line: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(found.rpartition(" ")[2]) for found in lines if found.startswith(line))

    request = 'marquee_requests_total{method="GET",route="/similar/{movie_id}",status="404"}'
    answer = 'marquee_answers_total{kind="similar",source="pgvector"}'
    before = counted(request), counted(answer)
    client.get("/similar/424242")
    client.get(f"/similar/{TOY_STORY}")
    assert (counted(request), counted(answer)) == (before[0] + 1, before[1] + 1)
