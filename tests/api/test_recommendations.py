"""`/similar` and `/recommendations`: who gets what, and never what they have."""

from collections.abc import Callable
from urllib.parse import quote

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from backend.catalog.records import MovieRecord
from backend.feedback.weights import KINDS
from backend.models import Movie
from tests.api.answers import act, assert_problem, every_id, get, ids, rows
from tests.api.conftest import Films
from tests.catalogue import (
    DARK_KNIGHT,
    GODFATHER,
    MATRIX,
    SIZE,
    TOY_STORY,
    TOY_STORY_2,
    TOY_STORY_3,
    small_catalogue,
)

LIKED = {TOY_STORY, MATRIX, GODFATHER}
LEFT_OUT: dict[str, set[int]] = {
    f"/similar/{TOY_STORY}": {TOY_STORY},
    "/recommendations/nobody": set(),
    "/recommendations/fan": LIKED,
}
"""The lists, and what each leaves out of the catalogue."""
LISTS = list(LEFT_OUT)

Filter = tuple[dict[str, object], Callable[[MovieRecord], bool]]

FILTERS: dict[str, Filter] = {
    "genre by name": ({"genre": "animation"}, lambda film: "Animation" in film.genres),
    "genre by id": ({"genre": "35"}, lambda film: "Comedy" in film.genres),
    "any of two genres": (
        {"genre": ["Western", "War"]},
        lambda film: bool({"Western", "War"} & set(film.genres)),
    ),
    "none of two genres": (
        {"exclude_genre": ["Action", "18"]},
        lambda film: not {"Action", "Drama"} & set(film.genres),
    ),
    "year_min": ({"year_min": 2015}, lambda film: (film.release_year or 0) >= 2015),
    "year_max": ({"year_max": 1999}, lambda film: (film.release_year or 9999) <= 1999),
    "runtime_min": ({"runtime_min": 150}, lambda film: (film.runtime or 0) >= 150),
    "runtime_max": ({"runtime_max": 95}, lambda film: (film.runtime or 9999) <= 95),
    "vote_average_min": ({"vote_average_min": 8.2}, lambda film: film.vote_average >= 8.2),
    "vote_count_min": ({"vote_count_min": 20_000}, lambda film: film.vote_count >= 20_000),
    "original_language": ({"original_language": "ja"}, lambda film: film.original_language == "ja"),
    "exclude": (
        {"exclude": f"{MATRIX},tt0468569"},
        lambda film: film.id not in (MATRIX, DARK_KNIGHT),
    ),
    "all at once": (
        {
            "genre": "Adventure",
            "exclude_genre": "Comedy",
            "year_min": 2000,
            "year_max": 2014,
            "runtime_min": 100,
            "runtime_max": 170,
            "vote_average_min": 7,
            "vote_count_min": 5_000,
            "original_language": "en",
            "exclude": "155",
        },
        lambda film: (
            "Adventure" in film.genres
            and "Comedy" not in film.genres
            and 2000 <= (film.release_year or 0) <= 2014
            and 100 <= (film.runtime or 0) <= 170
            and film.vote_average >= 7
            and film.vote_count >= 5_000
            and film.original_language == "en"
            and film.id != 155
        ),
    ),
}


@pytest.fixture
def fan(client: TestClient) -> TestClient:
    """The service, known to which is a fan of three films."""
    for movie_id in sorted(LIKED):
        act(client, movie_id, user_id="fan")
    return client


def test_a_franchise_stands_on_top(client: TestClient) -> None:
    assert set(ids(client, f"/similar/{TOY_STORY}", n=2)) == {TOY_STORY_2, TOY_STORY_3}


def test_a_film_is_not_similar_to_itself(client: TestClient) -> None:
    assert TOY_STORY not in every_id(client, f"/similar/{TOY_STORY}")
    assert TOY_STORY not in every_id(client, "/similar/tt0114709")


def test_an_imdb_id_names_the_same_film(client: TestClient) -> None:
    assert rows(client, "/similar/tt0114709") == rows(client, f"/similar/{TOY_STORY}")


@pytest.mark.parametrize("path", LISTS)
def test_as_many_rows_as_asked_for(fan: TestClient, path: str) -> None:
    assert len(rows(fan, path)) == 10
    for n in (1, 37, 100):
        assert len(rows(fan, path, n=n)) == n


@pytest.mark.parametrize("boost", [0, 0.5, 1])
@pytest.mark.parametrize("path", LISTS)
def test_pages_are_slices_of_one_order(fan: TestClient, path: str, boost: float) -> None:
    whole = every_id(fan, path, diversity_boost=boost)
    assert len(whole) == len(set(whole))
    assert ids(fan, path, diversity_boost=boost, n=20) == whole[:20]
    for page in (1, 2, 3, 4, 5):
        # Thirty does not divide the hundred candidates that are ordered at a time.
        part = ids(fan, path, diversity_boost=boost, n=30, page=page)
        assert part == whole[30 * (page - 1) : 30 * page]


@pytest.mark.parametrize("path", LISTS)
def test_the_length_of_a_list_is_told(fan: TestClient, path: str) -> None:
    answer = get(fan, path, n=20)
    assert answer["total_results"] == len(every_id(fan, path))
    assert answer["total_pages"] == 8
    filtered = get(fan, path, genre="Western")
    assert filtered["total_results"] is filtered["total_pages"] is None


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("path", LISTS)
def test_a_filter_lets_through_all_that_fit_and_nothing_else(fan: TestClient, path: str, name: str) -> None:
    params, fits = FILTERS[name]
    fitting = {film.id for film in small_catalogue() if fits(film)}
    assert 0 < len(fitting) < SIZE
    assert set(every_id(fan, path, **params)) == fitting - LEFT_OUT[path]


@pytest.mark.parametrize("name", FILTERS)
def test_filters_mean_the_same_for_someone_without_an_account(client: TestClient, name: str) -> None:
    params, fits = FILTERS[name]
    lists = {key: [value] if key == "genre" and isinstance(value, str) else value for key, value in params.items()}
    lists |= {"exclude_genre": [lists["exclude_genre"]]} if isinstance(lists.get("exclude_genre"), str) else {}
    response = client.post("/recommendations", json={"liked": [TOY_STORY], "n": 100, "page": 1, **lists})
    shown = {row["id"] for row in response.json()["results"]}
    fitting = {film.id for film in small_catalogue() if fits(film)} - {TOY_STORY}
    assert shown <= fitting
    assert len(shown) == min(100, len(fitting))


@pytest.mark.parametrize("boost", [0, 0.5])
@pytest.mark.parametrize("path", [LISTS[0], LISTS[2]])
def test_what_is_alike_has_a_high_score(fan: TestClient, path: str, boost: float) -> None:
    scores = [row["score"] for row in rows(fan, path, n=100, diversity_boost=boost)]
    assert (scores == sorted(scores, reverse=True)) is (boost == 0)
    assert scores[0] == max(scores)


@pytest.mark.parametrize("path", [LISTS[0], LISTS[2]])
def test_more_diversity_makes_films_less_alike(fan: TestClient, catalogue_engine: Engine, path: str) -> None:
    alike = [mean_cosine(catalogue_engine, ids(fan, path, diversity_boost=boost)) for boost in (0, 0.3, 1)]
    assert alike == sorted(alike, reverse=True)
    assert alike[0] > alike[-1] + 0.05


def mean_cosine(engine: Engine, films: list[int]) -> float:
    """The mean cosine between two of these films."""
    with engine.connect() as connection:
        vectors = np.array(connection.scalars(select(Movie.embedding).where(Movie.id.in_(films))).all())
    cosines = vectors @ vectors.T
    return float(cosines[np.triu_indices(len(films), 1)].mean())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("click", "watchlist")])
def test_similar_leaves_out_what_the_person_has_seen_or_rejected(client: TestClient, kind: str) -> None:
    act(client, TOY_STORY_2, kind)
    assert TOY_STORY_2 not in every_id(client, f"/similar/{TOY_STORY}", user_id="ada")
    assert TOY_STORY_2 in ids(client, f"/similar/{TOY_STORY}", user_id="someone else")


@pytest.mark.parametrize("kind", ["click", "watchlist"])
def test_similar_keeps_what_the_person_only_means_to_see(client: TestClient, kind: str) -> None:
    act(client, TOY_STORY_2, kind)
    assert TOY_STORY_2 in ids(client, f"/similar/{TOY_STORY}", user_id="ada")


def test_the_reasons_of_similarity_are_facts_of_both_films(client: TestClient) -> None:
    facts = {film.id: film for film in small_catalogue()}
    fields = {"director": "directors", "actor": "actors", "keyword": "keywords", "genre": "genres"}
    seed = facts[TOY_STORY]
    told = rows(client, f"/similar/{TOY_STORY}", n=100, explain=True)
    for row in told:
        reasons = {reason["kind"]: set(reason["names"]) for reason in row["why"]}
        for kind, field in fields.items():
            shared = set(getattr(seed, field)) & set(getattr(facts[row["id"]], field))
            assert reasons.pop(kind, set()) == shared
        assert not reasons
    assert told[0]["why"][0]["kind"] == "director"


def test_keywords_and_the_collection_are_reasons_too(client: TestClient, add_film: Films) -> None:
    shared = {"keywords": ["heist", "train"], "collection": "The Heists"}
    first = add_film(like=MATRIX, **shared)
    second = add_film(like=MATRIX, **shared | {"keywords": ["train", "snow"]})
    (row,) = (row for row in rows(client, f"/similar/{first}", explain=True) if row["id"] == second)
    assert row["why"] == [
        {"kind": "collection", "names": ["The Heists"]},
        {"kind": "keyword", "names": ["train"]},
    ]


def test_reasons_are_given_only_when_asked_for(fan: TestClient) -> None:
    for path in LISTS:
        assert all("why" not in row for row in rows(fan, path))


def test_a_film_that_is_not_there_is_a_404(client: TestClient) -> None:
    for film in ("424242", "tt9999999"):
        assert_problem(client.get(f"/similar/{film}"), 404, field="movie_id", code="movie_not_found")


def test_a_film_without_an_embedding_still_gets_an_answer(client: TestClient, add_film: Films) -> None:
    film = add_film(genres=["Western"])
    answer = get(client, f"/similar/{film}")
    assert answer["source"] == "popular"
    assert answer["cold_start"] is False
    westerns = {record.id for record in small_catalogue() if "Western" in record.genres}
    assert {row["id"] for row in answer["results"]} == westerns
    assert answer["total_results"] == len(westerns)
    assert get(client, f"/similar/{film}", diversity_boost=0.5)["total_results"] == len(westerns)


def test_a_film_without_embedding_or_genre_gets_popular_films(client: TestClient, add_film: Films) -> None:
    answer = get(client, f"/similar/{add_film()}")
    assert answer["source"] == "popular"
    assert len(answer["results"]) == 10


def test_an_adult_film_is_not_there(client: TestClient, add_film: Films) -> None:
    film = add_film(like=TOY_STORY, adult=True, vote_count=10**6, vote_average=10.0)
    assert_problem(client.get(f"/similar/{film}"), 404, code="movie_not_found")
    assert_problem(client.get(f"/movies/{film}"), 404, code="movie_not_found")
    for path in (f"/similar/{TOY_STORY}", "/recommendations/nobody", "/movies"):
        assert film not in every_id(client, path)
    assert film not in ids(client, "/search", q=f"Film {film}")


def test_include_adult_lets_adult_films_in(make_app: Callable[..., FastAPI], add_film: Films) -> None:
    film = add_film(like=TOY_STORY, adult=True, vote_count=10**6, vote_average=10.0)
    client = TestClient(make_app(include_adult=True))
    assert len(rows(client, f"/similar/{film}")) == 10
    assert get(client, f"/movies/{film}")["id"] == film
    for path in ("/similar/862?by=embedding", "/movies"):
        assert ids(client, path)[0] == film
    assert film in every_id(client, "/recommendations/nobody")
    assert film in ids(client, "/search", q=f"Film {film}")


@pytest.mark.parametrize("path", LISTS)
def test_an_answer_says_how_it_came_about(fan: TestClient, path: str) -> None:
    answer = get(fan, path)
    cold = path.endswith("nobody")
    assert answer["source"] == ("popular" if cold else "pgvector")
    assert answer["cold_start"] is cold
    assert answer["degraded"] is False
    assert answer["model_version"]
    assert answer["generated_at"].startswith("20")
    again = get(fan, path)
    assert again["recommendation_id"] == answer["recommendation_id"]
    assert get(fan, path, page=2)["recommendation_id"] != answer["recommendation_id"]


def test_both_addresses_of_recommendations_are_the_same(fan: TestClient) -> None:
    for params in ({}, {"n": 3, "page": 2, "diversity_boost": 1, "genre": "Drama", "explain": True}):
        by_path = get(fan, "/recommendations/fan", **params)
        by_query = get(fan, "/recommendations", user_id="fan", **params)
        assert by_path | {"generated_at": None} == by_query | {"generated_at": None}


def test_an_unknown_person_gets_popular_good_films(client: TestClient) -> None:
    answer = get(client, "/recommendations/nobody", diversity_boost=0)
    assert answer["cold_start"] is True
    assert [row["id"] for row in answer["results"]] == ids(client, "/movies", n=10)
    assert min(row["vote_average"] for row in answer["results"]) > 7.5
    explained = rows(client, "/recommendations/nobody", explain=True)
    assert all(row["why"] == [{"kind": "popular", "share": row["score"]}] for row in explained)


def test_someone_who_only_dislikes_gets_popular_films_but_not_those(client: TestClient) -> None:
    favourite = ids(client, "/recommendations/ada", diversity_boost=0)[0]
    act(client, favourite, "dislike")
    answer = get(client, "/recommendations/ada", diversity_boost=0)
    assert answer["cold_start"] is True
    assert favourite not in every_id(client, "/recommendations/ada")


def test_the_next_answer_knows_the_last_rating(client: TestClient) -> None:
    act(client, TOY_STORY, "rating")
    first = get(client, "/recommendations/ada", diversity_boost=0)
    assert first["cold_start"] is False
    assert {row["id"] for row in first["results"][:2]} == {TOY_STORY_2, TOY_STORY_3}
    act(client, GODFATHER, "rating")
    second = ids(client, "/recommendations/ada", diversity_boost=0)
    assert second != [row["id"] for row in first["results"]]
    assert 240 in second


def test_a_newer_opinion_counts_instead_of_the_older(client: TestClient) -> None:
    act(client, TOY_STORY, "like", at="2024-01-01T00:00:00Z")
    act(client, MATRIX, "like", at="2024-01-01T00:00:00Z")
    before = ids(client, "/recommendations/ada", n=5, diversity_boost=0)
    act(client, TOY_STORY, "dislike", at="2024-01-02T00:00:00Z")
    after = ids(client, "/recommendations/ada", n=5, diversity_boost=0)
    assert {TOY_STORY_2, TOY_STORY_3} & set(before)
    assert not {TOY_STORY_2, TOY_STORY_3} & set(after)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_person_did_anything_with_is_not_recommended(fan: TestClient, kind: str) -> None:
    top = ids(fan, "/recommendations/fan", diversity_boost=0)[0]
    act(fan, top, kind, user_id="fan")
    assert (top in every_id(fan, "/recommendations/fan")) is (kind == "click")
    assert (top in every_id(fan, "/recommendations/fan", genre=["Adventure", "Drama", "Action"])) is (
        kind == "click"
    )


@pytest.mark.parametrize("value", [0.5, 3, 5])
def test_undo_of_a_rating_brings_back_every_answer(fan: TestClient, value: float) -> None:
    asks = [("/recommendations/fan", {"n": 100, "diversity_boost": boost, "explain": True}) for boost in (0, 0.2)]
    asks.append((f"/similar/{TOY_STORY}", {"n": 100, "user_id": "fan"}))
    asks.append((f"/recommendations/fan/why/{TOY_STORY_2}", {}))
    before = [get(fan, path, **params) | {"generated_at": None} for path, params in asks]
    act(fan, TOY_STORY_2, "rating", user_id="fan", value=value, at="2020-01-01T00:00:00Z")
    changed = [get(fan, path, **params) | {"generated_at": None} for path, params in asks]
    assert all(one != other for one, other in zip(before, changed, strict=True))
    fan.delete(f"/users/fan/interactions/{TOY_STORY_2}")
    assert [get(fan, path, **params) | {"generated_at": None} for path, params in asks] == before


@pytest.mark.parametrize("kind", KINDS)
def test_undo_brings_back_exactly_the_earlier_answer(fan: TestClient, kind: str) -> None:
    before = rows(fan, "/recommendations/fan", n=100, explain=True)
    act(fan, DARK_KNIGHT, kind, user_id="fan", at="2020-01-01T00:00:00Z")
    assert rows(fan, "/recommendations/fan", n=100, explain=True) != before
    fan.delete(f"/users/fan/interactions/{DARK_KNIGHT}")
    assert rows(fan, "/recommendations/fan", n=100, explain=True) == before


def test_equal_rows_give_equal_answers_in_whatever_order_they_came(client: TestClient) -> None:
    acts = [(TOY_STORY, "2023-05-01"), (MATRIX, "2024-05-01"), (GODFATHER, "2022-05-01")]
    for movie_id, day in acts:
        act(client, movie_id, user_id="one", at=f"{day}T00:00:00Z")
    for movie_id, day in reversed(acts):
        act(client, movie_id, user_id="other", at=f"{day}T00:00:00Z")
    assert rows(client, "/recommendations/one", n=100) == rows(client, "/recommendations/other", n=100)


def test_the_shares_of_the_reasons_add_up_to_the_score(fan: TestClient) -> None:
    for row in rows(fan, "/recommendations/fan", n=100, explain=True):
        liked = {reason["title"] for reason in row["why"] if reason["kind"] == "liked"}
        assert liked <= {"Toy Story", "The Matrix", "The Godfather"}
        shares = [reason["share"] for reason in row["why"] if "share" in reason]
        assert sum(shares) == pytest.approx(row["score"], abs=1e-5)
        assert sum(row["score_parts"].values()) == pytest.approx(row["score"], abs=1e-5)
        assert {reason["title"] for reason in row["why"] if "names" in reason} <= liked


def test_without_the_film_that_is_named_the_score_is_lower(client: TestClient) -> None:
    """Of acts of one age: without the newest the others would be younger, and count more."""
    for movie_id in LIKED:
        act(client, movie_id, user_id="ben", at="2024-01-01T00:00:00Z")
    before = rows(client, "/recommendations/ben", n=100, explain=True)
    for movie_id in LIKED:
        client.delete(f"/users/ben/interactions/{movie_id}")
        after = {row["id"]: row["score"] for row in rows(client, "/recommendations/ben", n=100)}
        act(client, movie_id, user_id="ben", at="2024-01-01T00:00:00Z")
        named = {row["id"]: row for row in before if movie_id in [cause.get("id") for cause in row["why"]]}
        assert named
        for number, row in named.items():
            assert after.get(number, -1.0) < row["score"]
    assert rows(client, "/recommendations/ben", n=100, explain=True) == before


def test_the_reason_is_the_film_that_it_is_like(fan: TestClient) -> None:
    because = {row["id"]: row["why"][0]["id"] for row in rows(fan, "/recommendations/fan", n=100, explain=True)}
    assert because[TOY_STORY_2] == TOY_STORY
    assert because[604] == MATRIX
    assert because[240] == GODFATHER


# Why a film is there, or is not


def test_of_a_film_in_the_list_it_is_told_as_in_the_list(fan: TestClient) -> None:
    listed = rows(fan, "/recommendations/fan", diversity_boost=0, explain=True)
    for rank, row in enumerate(listed, start=1):
        verdict = get(fan, f"/recommendations/fan/why/{row['id']}")
        assert (verdict["status"], verdict["rank"], verdict["behind"]) == ("recommended", rank, None)
        assert {key: verdict[key] for key in ("id", "title", "score", "score_parts", "why")} == {
            key: row[key] for key in ("id", "title", "score", "score_parts", "why")
        }
        assert verdict["needed"] == listed[-1]["score"]


def test_of_a_film_that_is_outranked_it_is_told_by_how_much(fan: TestClient) -> None:
    listed = rows(fan, "/recommendations/fan", diversity_boost=0, n=60)
    verdict = get(fan, f"/recommendations/fan/why/{listed[-1]['id']}")
    assert (verdict["status"], verdict["rank"]) == ("outranked", 60)
    assert verdict["behind"] == pytest.approx(listed[9]["score"] - listed[-1]["score"])
    assert get(fan, f"/recommendations/fan/why/{listed[-1]['id']}", n=60)["status"] == "recommended"


def test_of_a_film_that_a_person_had_it_is_told_what_they_did(fan: TestClient) -> None:
    act(fan, MATRIX, "watched", user_id="fan")
    verdict = get(fan, f"/recommendations/fan/why/{MATRIX}")
    assert (verdict["status"], sorted(verdict["acts"])) == ("seen", ["like", "watched"])
    assert get(fan, f"/recommendations/nobody/why/{MATRIX}")["acts"] == []


def test_of_a_film_that_is_filtered_the_filters_are_named(fan: TestClient) -> None:
    filters = {"genre": "Western", "year_min": 1950, "runtime_max": 10, "exclude": f"1,{TOY_STORY_2}"}
    verdict = get(fan, f"/recommendations/fan/why/{TOY_STORY_2}", **filters)
    assert (verdict["status"], verdict["filters"]) == ("filtered", ["genre", "runtime_max", "exclude"])


def test_of_a_film_of_which_nothing_is_known_it_is_told_that(fan: TestClient, add_film: Films) -> None:
    verdict = get(fan, f"/recommendations/fan/why/{add_film(title='Bare')}")
    assert (verdict["status"], verdict["title"], verdict["why"]) == ("no_embedding", "Bare", [])
    assert verdict["score"] is verdict["rank"] is verdict["behind"] is verdict["score_parts"] is None


def test_for_someone_unknown_it_is_told_too_and_an_imdb_id_will_do(client: TestClient) -> None:
    first = rows(client, "/recommendations/nobody", diversity_boost=0, explain=True)[0]
    verdict = get(client, f"/recommendations/nobody/why/{first['id']}")
    assert (verdict["status"], verdict["rank"], verdict["why"]) == ("recommended", 1, first["why"])
    assert get(client, "/recommendations/nobody/why/tt0114709")["id"] == TOY_STORY


def test_of_a_film_that_is_not_there_nothing_is_told(client: TestClient, add_film: Films) -> None:
    for film in (424242, "tt9999999", add_film(like=TOY_STORY, adult=True)):
        answer = client.get(f"/recommendations/ada/why/{film}")
        assert_problem(answer, 404, field="movie_id", code="movie_not_found")
    assert_problem(client.get("/recommendations/ada/why/862?n=501"), 422, field="n")
    assert_problem(client.get("/recommendations/ada/why/862?genre=Noir"), 422, field="genre")


def test_someone_without_an_account_says_what_they_like(client: TestClient) -> None:
    act(client, TOY_STORY, at="2024-01-01T00:00:00Z")
    act(client, MATRIX, "dislike", at="2024-01-01T00:00:00Z")
    body = {"liked": [TOY_STORY], "disliked": ["tt0133093"], "diversity_boost": 0, "n": 100}
    answer = client.post("/recommendations", json=body).json()
    assert answer["unknown"] == []
    assert answer["results"] == rows(client, "/recommendations/ada", n=100, diversity_boost=0)
    assert not {TOY_STORY, MATRIX} & {row["id"] for row in answer["results"]}


def test_words_alone_are_enough(client: TestClient) -> None:
    answer = client.post("/recommendations", json={"query": "Pixar toys", "diversity_boost": 0, "n": 3}).json()
    assert {row["id"] for row in answer["results"]} == {TOY_STORY, TOY_STORY_2, TOY_STORY_3}
    assert answer["cold_start"] is False


def test_films_and_words_count_together(client: TestClient) -> None:
    body = {"liked": [GODFATHER], "diversity_boost": 0, "genre": ["Animation"], "n": 100}
    places = []
    for words in ({}, {"query": "Pixar toys"}):
        answer = client.post("/recommendations", json=body | words).json()
        places.append([row["id"] for row in answer["results"]].index(TOY_STORY))
    assert places[1] < places[0]
    without_words = client.post("/recommendations", json=body | {"query": "Pixar toys", "liked": []}).json()
    assert answer["results"] != without_words["results"]


def test_nothing_given_is_a_cold_start(client: TestClient) -> None:
    answer = client.post("/recommendations", json={}).json()
    assert answer["cold_start"] is True
    assert len(answer["results"]) == 10


def test_films_that_are_not_there_are_named(client: TestClient) -> None:
    body = {"liked": [TOY_STORY, 424242, "tt9999999"], "disliked": [424243]}
    answer = client.post("/recommendations", json=body).json()
    assert answer["unknown"] == [424242, "tt9999999", 424243]
    assert answer["cold_start"] is False


def test_an_integer_is_the_same_person_as_its_digits(client: TestClient) -> None:
    for number in (7, -(2**63), 2**63 - 1):
        body = {"user_id": number, "movie_id": TOY_STORY, "kind": "like"}
        assert client.post("/interactions", json=body).status_code == 200
        assert get(client, f"/recommendations/{number}")["cold_start"] is False
        assert get(client, "/recommendations", user_id=str(number))["cold_start"] is False


@pytest.mark.parametrize(
    "name",
    ["Zoë Ünal", "名前 🎬", " leading and trailing ", "a" * 128, "🎬" * 128, "#?&%=+;,:@'\"<>\\", "tt0114709"],
)
def test_any_name_is_a_person(client: TestClient, name: str) -> None:
    act(client, TOY_STORY, user_id=name)
    path = quote(name, safe="")
    assert get(client, f"/recommendations/{path}")["cold_start"] is False
    assert get(client, "/recommendations", user_id=name)["cold_start"] is False
    assert TOY_STORY not in every_id(client, f"/similar/{TOY_STORY_2}", user_id=name)
    assert get(client, f"/users/{path}/interactions")["total_results"] == 1
    assert get(client, f"/users/{path}/export")["user_id"] == name
    assert client.delete(f"/users/{path}/interactions/{TOY_STORY}").json() == {"deleted": 1}


@pytest.mark.parametrize("name", ["a/b", "", "\0", "a\nb", "\x7f", "a" * 129])
def test_some_names_are_nobodys(client: TestClient, name: str) -> None:
    assert_problem(client.get("/recommendations", params={"user_id": name}), 422, field="user_id")
    assert_problem(client.get(f"/similar/{TOY_STORY}", params={"user_id": name}), 422, field="user_id")
    body = {"user_id": name, "movie_id": TOY_STORY, "kind": "like"}
    assert_problem(client.post("/interactions", json=body), 422, field="user_id")
    if name and "/" not in name:
        path = quote(name, safe="")
        assert_problem(client.get(f"/recommendations/{path}"), 422, field="user_id")
        assert_problem(client.delete(f"/users/{path}"), 422, field="user_id")
