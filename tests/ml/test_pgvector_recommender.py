"""Answers from Postgres: what is near, what a person may like, and never what the person has."""

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pgvector.sqlalchemy import Vector
from sqlalchemy import Engine, literal, select, text
from sqlalchemy.orm import Session

from backend import database
from backend.catalog.filters import Filters
from backend.catalog.records import MovieRecord
from backend.catalog.store import save_embeddings, upsert
from backend.config import PACKAGED_MODEL
from backend.errors import MovieNotFoundError
from backend.feedback.weights import FORGOTTEN, HALF_LIFE_DAYS, KINDS, Kind, interaction_weight
from backend.ml.answer import LIST_END, Answer, Request
from backend.ml.embedding_statements import near_in_half
from backend.ml.encoder import Encoder
from backend.ml.index_build import INDEX
from backend.ml.index_plan import IndexPlan
from backend.ml.pgvector_recommender import PgvectorConfig, PgvectorRecommender
from backend.ml.taste_statements import Taste
from backend.ml.taste_store import FACTORS, START
from backend.models import Movie
from tests.catalogue import DARK_KNIGHT, GODFATHER, MATRIX, SIZE, TOY_STORY, TOY_STORY_2, TOY_STORY_3
from tests.ml.factors import VERSION, publish, withdraw

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
INSERT_USER = text("INSERT INTO users (external_id) VALUES (:person) ON CONFLICT DO NOTHING")
INSERT_ACT = text("""
    INSERT INTO interactions (user_id, movie_id, kind, value, at)
    SELECT id, :film, :kind, :value, :at FROM users WHERE external_id = :person
""")

Vectors = NDArray[np.float32]


def act(
    session: Session, person: str, kind: str, film: int, *, value: float | None = None, days_ago: float = 0
) -> None:
    """What a person did with a film."""
    at = NOW - dt.timedelta(days=days_ago)
    session.execute(INSERT_USER, {"person": person})
    session.execute(INSERT_ACT, {"person": person, "film": film, "kind": kind, "value": value, "at": at})


def ids(answer: Answer) -> list[int]:
    """The films, in order."""
    return [row["id"] for row in answer.rows]


def scores(answer: Answer) -> list[float]:
    """Their scores, in order."""
    return [row["score"] for row in answer.rows]


@pytest.fixture
def recommender(catalogue: Session) -> PgvectorRecommender:
    """The layer on the small catalogue."""
    return PgvectorRecommender(catalogue)


@pytest.fixture(scope="module")
def vectors(catalogue_engine: Engine) -> dict[int, Vectors]:
    """The stored vector of each film of the small catalogue."""
    with Session(catalogue_engine) as session:
        rows = session.execute(select(Movie.id, Movie.embedding)).all()
    return {row.id: np.asarray(row.embedding, dtype=np.float32) for row in rows}


# The specification's Python


def test_the_python_of_the_specification_works(catalogue_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "get_engine", lambda: catalogue_engine)
    from backend.database import SessionLocal
    from backend.ml.pgvector_recommender import PgvectorRecommender

    db = SessionLocal()
    recommender = PgvectorRecommender(db)
    similar = recommender.get_similar_movies(movie_id=862, n_similar=5)
    recommendations = recommender.get_recommendations(user_id=1, n_recommendations=10, diversity_boost=0.2)
    assert recommender.get_stats()["coverage_percentage"] == 100.0
    assert (len(similar), len(recommendations)) == (5, 10)
    for films in (similar, recommendations):
        assert all(isinstance(film, Movie) and isinstance(score, float) for film, score in films)
    similarities = [similarity for _, similarity in similar]
    assert similarities == sorted(similarities, reverse=True)
    assert {film.id for film, _ in similar[:2]} == {TOY_STORY_2, TOY_STORY_3}
    assert similar[0][0].title.startswith("Toy Story")
    db.close()


def test_the_stats_tell_how_much_can_be_compared(recommender: PgvectorRecommender) -> None:
    recommender.db.execute(text("UPDATE movies SET title = 'Another' WHERE id = 862"))
    stats = recommender.get_stats()
    assert (stats["total_movies"], stats["with_embeddings"], stats["pending_embeddings"]) == (SIZE, SIZE - 1, 1)
    assert stats["coverage_percentage"] == pytest.approx(100 * (SIZE - 1) / SIZE)


# Similar films


def test_by_embedding_it_is_exactly_the_order_of_cosine_for_every_film(
    recommender: PgvectorRecommender, vectors: dict[int, Vectors]
) -> None:
    for film, vector in vectors.items():
        answer = recommender.similar(film, Request(n=10, by="embedding"))
        cosines = {other: float(vector @ its) for other, its in vectors.items() if other != film}
        nearest = sorted(cosines.values(), reverse=True)[:10]
        assert scores(answer) == pytest.approx(nearest, abs=1e-5)
        assert [cosines[other] for other in ids(answer)] == pytest.approx(nearest, abs=1e-5)


def test_an_imdb_id_names_the_same_film(recommender: PgvectorRecommender) -> None:
    assert recommender.similar("tt0114709", Request()) == recommender.similar(TOY_STORY, Request())


@pytest.mark.parametrize("ref", [1, -1, 2**31, "tt9999999"])
def test_an_unknown_film_is_not_found(recommender: PgvectorRecommender, ref: int | str) -> None:
    with pytest.raises(MovieNotFoundError):
        recommender.similar(ref, Request())


def test_a_film_without_a_vector_has_popular_films_of_its_genres(recommender: PgvectorRecommender) -> None:
    upsert(recommender.db, [MovieRecord(id=1, title="New", genres=["Animation"])], source="file")
    upsert(recommender.db, [MovieRecord(id=2, title="Bare")], source="file")
    answer = recommender.similar(1, Request(n=5))
    assert (answer.source, answer.cold_start, len(answer.rows)) == ("popular", False, 5)
    assert all("Animation" in row["genres"] for row in answer.rows)
    assert len(recommender.similar(2, Request(n=5)).rows) == 5


def test_similar_leaves_out_what_the_person_has_seen_or_rejected(recommender: PgvectorRecommender) -> None:
    everything = ids(recommender.similar(TOY_STORY, Request(n=7)))
    for film, kind in zip(everything, sorted(set(KINDS) - {"rating"}), strict=False):
        act(recommender.db, "anna", kind, film)
    act(recommender.db, "anna", "rating", everything[6], value=5)
    acts = dict(zip(everything, sorted(set(KINDS) - {"rating"}), strict=False))
    kept = [film for film, kind in acts.items() if kind in ("click", "watchlist")]
    shown = ids(recommender.similar(TOY_STORY, Request(n=100), user_id="anna"))
    assert set(everything) & set(shown) == set(kept)
    assert ids(recommender.similar(TOY_STORY, Request(n=7), user_id="somebody else")) == everything


# What a person may like


@pytest.fixture
def checkerboard(session: Session) -> PgvectorRecommender:
    """Forty films: the even ones lie close together, and the odd ones, and these far from those."""
    films = range(1, 41)
    rng = np.random.default_rng(3)
    made = rng.normal(scale=0.02, size=(len(films), 384))
    made[:, 0] += [film % 2 == 0 for film in films]
    made[:, 1] += [film % 2 == 1 for film in films]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    upsert(session, [MovieRecord(id=film, title=f"Film {film}") for film in films], source="file")
    save_embeddings(session, films, made.astype(np.float32), model="checkerboard")
    publish(session)
    return PgvectorRecommender(session, PgvectorConfig(model="checkerboard"))


@pytest.mark.parametrize(("kind", "value"), [("like", None), ("rating", 5.0), ("watched", None)])
def test_even_people_get_the_even_film_that_was_withheld(
    checkerboard: PgvectorRecommender, kind: str, value: float | None
) -> None:
    for withheld in range(1, 11):
        person = f"person {withheld}"
        for film in range(1, 41):
            if film % 2 == withheld % 2 and film != withheld:
                act(checkerboard.db, person, kind, film, value=value)
        answer = checkerboard.recommend(person, Request(n=5))
        assert (ids(answer)[0], answer.source) == (withheld, "pgvector")
        assert all(film % 2 != withheld % 2 for film in ids(answer)[1:])


def test_what_is_disliked_pushes_its_kind_away(checkerboard: PgvectorRecommender) -> None:
    act(checkerboard.db, "anna", "like", 1)
    act(checkerboard.db, "anna", "dislike", 2)
    found = ids(checkerboard.recommend("anna", Request(n=19)))
    assert all(film % 2 == 1 for film in found)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_person_has_is_not_recommended_but_for_clicks(recommender: PgvectorRecommender, kind: Kind) -> None:
    act(recommender.db, "anna", "like", TOY_STORY)
    value = 5.0 if kind == "rating" else None
    act(recommender.db, "anna", kind, TOY_STORY_2, value=value)
    found = ids(recommender.recommend("anna", Request(n=LIST_END)))
    assert TOY_STORY not in found
    assert (TOY_STORY_2 in found) == (kind == "click")
    assert len(found) == SIZE - (1 if kind == "click" else 2)


def test_someone_unknown_gets_popular_films_and_it_is_said(recommender: PgvectorRecommender) -> None:
    answer = recommender.recommend("nobody", Request(n=10))
    qualities = dict(recommender.db.execute(select(Movie.id, Movie.quality)).all())  # type: ignore[arg-type]
    assert (answer.source, answer.cold_start, answer.total_results) == ("popular", True, SIZE)
    assert [qualities[film] for film in ids(answer)] == sorted(qualities.values(), reverse=True)[:10]


@pytest.mark.parametrize(
    ("kind", "value"), [("dislike", None), ("not_interested", None), ("rating", 1.0), ("rating", 2.0)]
)
def test_someone_who_likes_nothing_gets_popular_films_without_those(
    recommender: PgvectorRecommender, kind: str, value: float | None
) -> None:
    best = ids(recommender.recommend("nobody", Request(n=3)))
    act(recommender.db, "anna", kind, best[0], value=value)
    answer = recommender.recommend("anna", Request(n=LIST_END))
    assert (answer.source, answer.cold_start, len(answer.rows)) == ("popular", True, SIZE - 1)
    assert best[0] not in ids(answer)
    if value == 2.0:
        assert ids(answer)[:2] == best[1:]


def test_before_the_first_training_there_are_popular_films_and_cosines(recommender: PgvectorRecommender) -> None:
    everyones, alike = (recommender.recommend("nobody", Request(n=50)), Request(n=5, by="embedding"))
    cosines = recommender.similar(TOY_STORY, alike)
    withdraw(recommender.db)
    act(recommender.db, "anna", "like", TOY_STORY)
    answer = recommender.recommend("anna", Request(n=50, explain=True, diversity_boost=0.2))
    assert (answer.source, answer.cold_start, answer.model_version) == ("popular", True, PACKAGED_MODEL)
    assert all(row["why"] == [{"kind": "popular"}] and "score_parts" not in row for row in answer.rows)
    assert TOY_STORY not in ids(answer)
    assert ids(recommender.recommend("nobody", Request(n=50))) == ids(everyones)
    assert recommender.similar(TOY_STORY, alike) == cosines
    assert recommender.similar(TOY_STORY, Request(n=5)) == cosines
    verdict = recommender.why("anna", MATRIX, Request())
    assert (verdict.status, verdict.score, verdict.needed) == ("no_embedding", None, None)


def test_a_pending_embedding_is_no_taste_yet(recommender: PgvectorRecommender) -> None:
    upsert(recommender.db, [MovieRecord(id=1, title="New")], source="file")
    act(recommender.db, "anna", "like", 1)
    answer = recommender.recommend("anna", Request(n=3))
    assert answer.source == "popular"
    assert 1 not in ids(answer)


def test_the_last_likes_count_most(recommender: PgvectorRecommender) -> None:
    act(recommender.db, "anna", "like", TOY_STORY, days_ago=10 * HALF_LIFE_DAYS)
    act(recommender.db, "anna", "like", GODFATHER)
    act(recommender.db, "bert", "like", TOY_STORY)
    act(recommender.db, "bert", "like", GODFATHER, days_ago=10 * HALF_LIFE_DAYS)
    assert ids(recommender.recommend("anna", Request(n=1))) == ids(recommender.similar(GODFATHER, Request(n=1)))
    assert ids(recommender.recommend("bert", Request(n=1))) == ids(recommender.similar(TOY_STORY, Request(n=1)))


def test_a_taste_fades_from_the_last_act_not_from_today(recommender: PgvectorRecommender) -> None:
    for person, days_ago in (("anna", 0), ("bert", 3650)):
        act(recommender.db, person, "like", MATRIX, days_ago=days_ago)
        act(recommender.db, person, "like", GODFATHER, days_ago=days_ago + 500)
    assert recommender.recommend("anna", Request()) == recommender.recommend("bert", Request())


def test_a_history_of_centuries_still_has_an_answer(recommender: PgvectorRecommender) -> None:
    act(recommender.db, "anna", "like", TOY_STORY)
    act(recommender.db, "anna", "click", GODFATHER, days_ago=700_000)
    act(recommender.db, "anna", "like", MATRIX, days_ago=700_000)
    answer = recommender.recommend("anna", Request(n=2, explain=True))
    assert set(ids(answer)) == {TOY_STORY_2, TOY_STORY_3}


# Weights

ACTS = [(kind, None) for kind in KINDS if kind != "rating"]
ACTS += [("rating", step / 2) for step in range(1, 11)]  # type: ignore[misc]
AGES = [0.0, 1.0, 365.25, float(HALF_LIFE_DAYS), 3650.0, FORGOTTEN * HALF_LIFE_DAYS]


def weights(session: Session, person: str) -> dict[int, float]:
    """By film, as the statement reckons them."""
    return dict(session.execute(select(Taste.of_person(person).opinions)).all())  # type: ignore[arg-type]


def test_the_statement_weighs_every_act_as_the_formula_does(
    catalogue: Session, vectors: dict[int, Vectors]
) -> None:
    expected = {}
    acts = itertools.product(ACTS, AGES)
    for film, ((kind, value), age) in zip(vectors, acts, strict=False):
        act(catalogue, "anna", kind, film, value=value, days_ago=age)
        expected[film] = interaction_weight(kind, value, age)
    assert len(expected) == len(ACTS) * len(AGES)
    assert weights(catalogue, "anna") == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_of_several_acts_with_a_film_the_newest_taste_counts(catalogue: Session) -> None:
    act(catalogue, "anna", "rating", TOY_STORY, value=1, days_ago=2)
    act(catalogue, "anna", "like", TOY_STORY, days_ago=1)
    act(catalogue, "anna", "watched", TOY_STORY)
    act(catalogue, "anna", "like", MATRIX, days_ago=2)
    act(catalogue, "anna", "dislike", MATRIX, days_ago=1)
    act(catalogue, "anna", "watchlist", GODFATHER, days_ago=1)
    act(catalogue, "anna", "watched", GODFATHER)
    found = weights(catalogue, "anna")
    assert found == pytest.approx({TOY_STORY: 1.0, MATRIX: -0.5, GODFATHER: 0.2}, rel=4e-3)


# Equal rows, equal answers


def test_the_same_rows_give_the_same_answer_whatever_their_order(
    recommender: PgvectorRecommender, vectors: dict[int, Vectors]
) -> None:
    films = list(vectors)[:40]
    for film in films:
        act(recommender.db, "anna", "rating", film, value=1 + film % 9 / 2, days_ago=film % 700)
    for film in reversed(films):
        act(recommender.db, "bert", "rating", film, value=1 + film % 9 / 2, days_ago=film % 700)
    request = Request(n=50, diversity_boost=0.3)
    first = recommender.recommend("anna", request)
    assert recommender.recommend("anna", request) == first
    assert recommender.recommend("bert", request) == first


def test_someone_without_an_account_is_answered_as_one_with_the_same_likes(
    recommender: PgvectorRecommender,
) -> None:
    for film in (TOY_STORY, MATRIX):
        act(recommender.db, "anna", "like", film)
    act(recommender.db, "anna", "dislike", GODFATHER)
    answer, unknown = recommender.recommend_for(
        Request(n=20), liked=["tt0114709", MATRIX, 1], disliked=[GODFATHER, "tt9999999"]
    )
    assert answer == recommender.recommend("anna", Request(n=20))
    assert unknown == [1, "tt9999999"]


def test_words_alone_are_a_taste_too(recommender: PgvectorRecommender, encoder: Encoder) -> None:
    meaning = encoder.encode(["toys that come to life when no one looks, Pixar, Toy Story"])[0]
    answer, _ = recommender.recommend_for(Request(n=4), meaning=meaning)
    assert set(ids(answer)) > {TOY_STORY, TOY_STORY_2, TOY_STORY_3}
    answer, _ = recommender.recommend_for(Request(n=4), meaning=meaning, disliked=[TOY_STORY_3])
    assert TOY_STORY_3 not in ids(answer)


def test_nothing_said_means_popular_films(recommender: PgvectorRecommender) -> None:
    answer, unknown = recommender.recommend_for(Request(n=5))
    assert (answer.source, answer.cold_start, unknown) == ("popular", True, [])
    assert ids(answer) == ids(recommender.recommend("nobody", Request(n=5)))


# Diversity, pages, ends


def mean_cosine(films: Sequence[int], vectors: dict[int, Vectors]) -> float:
    """The mean over pairs."""
    chosen = np.stack([vectors[film] for film in films])
    return float((chosen @ chosen.T)[~np.eye(len(films), dtype=bool)].mean())


def test_diversity_makes_what_is_recommended_less_alike(
    recommender: PgvectorRecommender, vectors: dict[int, Vectors]
) -> None:
    seeds = list(vectors)[:20]
    means = np.zeros((len(seeds), 3))
    for row, seed in enumerate(seeds):
        for film in (seed, list(vectors)[-1 - row]):
            act(recommender.db, f"person {seed}", "like", film)
        for column, boost in enumerate((0, 0.5, 1)):
            answer = recommender.recommend(f"person {seed}", Request(n=10, diversity_boost=boost))
            means[row, column] = mean_cosine(ids(answer), vectors)
    assert (means[:, 0] > means[:, 1]).mean() >= 0.95
    assert (means[:, 1] > means[:, 2]).mean() >= 0.95


def test_the_most_relevant_film_stays_first_and_none_is_lost(recommender: PgvectorRecommender) -> None:
    plain = ids(recommender.similar(TOY_STORY, Request(n=100)))
    for boost in (0.2, 1.0):
        diverse = ids(recommender.similar(TOY_STORY, Request(n=100, diversity_boost=boost)))
        assert diverse[0] == plain[0]
        assert diverse != plain
        assert set(diverse) == set(plain)


@pytest.mark.parametrize("boost", [0.0, 0.4])
@pytest.mark.parametrize("n", [7, 30, 100])
def test_pages_are_slices_of_one_list(recommender: PgvectorRecommender, boost: float, n: int) -> None:
    whole = ids(recommender.similar(TOY_STORY, Request(n=SIZE, diversity_boost=boost)))
    assert len(set(whole)) == len(whole) == SIZE - 1
    paged = []
    for page in range(1, SIZE // n + 2):
        answer = recommender.similar(TOY_STORY, Request(n=n, page=page, diversity_boost=boost))
        assert answer.total_results == SIZE - 1
        paged += ids(answer)
    assert paged == whole


@pytest.mark.parametrize("boost", [0.0, 0.5])
@pytest.mark.parametrize("page", [3, 1000, 10**9])
def test_a_page_past_the_end_is_empty_and_tells_what_the_list_is(
    recommender: PgvectorRecommender, page: int, boost: float
) -> None:
    request = Request(n=100, page=page, diversity_boost=boost)
    past = Answer(rows=[], source="pgvector", model_version=VERSION, total_results=SIZE - 1)
    assert recommender.similar(TOY_STORY, request) == past
    past = replace(past, source="popular", cold_start=True, total_results=SIZE)
    assert recommender.recommend("nobody", request) == past


def test_a_filtered_list_is_full_whenever_there_are_enough(recommender: PgvectorRecommender) -> None:
    crime = Filters(genre=("Crime",))
    there_are = recommender.db.scalar(
        text("SELECT count(*) FROM movies WHERE 'Crime' = ANY (genres) AND id <> 862")
    )
    for n in (1, there_are - 1, there_are, there_are + 1):
        answer = recommender.similar(TOY_STORY, Request(n=n, filters=crime))
        assert len(answer.rows) == min(n, there_are)
        assert all("Crime" in row["genres"] for row in answer.rows)
        assert answer.total_results is None
    nothing = recommender.similar(TOY_STORY, Request(filters=Filters(year_min=3000)))
    assert (nothing.rows, nothing.source) == ([], "pgvector")


def test_adult_films_stand_in_no_answer_unless_wanted(recommender: PgvectorRecommender) -> None:
    recommender.db.execute(text("UPDATE movies SET adult = true WHERE id IN (863, 10193)"))
    act(recommender.db, "anna", "like", TOY_STORY)
    hidden = {TOY_STORY_2, TOY_STORY_3}
    assert hidden.isdisjoint(ids(recommender.similar(TOY_STORY, Request(n=100))))
    assert hidden.isdisjoint(ids(recommender.recommend("anna", Request(n=100))))
    assert hidden.isdisjoint(ids(recommender.search("toy story", Request(n=100), meaning=None)))
    with pytest.raises(MovieNotFoundError):
        recommender.similar(TOY_STORY_2, Request())
    model = recommender.config.model
    open_minded = PgvectorRecommender(recommender.db, PgvectorConfig(model=model, include_adult=True))
    assert set(ids(open_minded.similar(TOY_STORY, Request(n=2)))) == hidden


def test_an_index_that_comes_up_short_does_not_shorten_the_list(
    recommender: PgvectorRecommender, vectors: dict[int, Vectors]
) -> None:
    request = Request(n=100, diversity_boost=0.1, by="embedding")
    exact = recommender.similar(TOY_STORY, request)
    definition = IndexPlan("ivfflat", lists=30).definition
    for statement in (
        f"CREATE INDEX {INDEX} ON movies {definition}",
        "SET LOCAL ivfflat.probes = 1",
        "SET LOCAL enable_seqscan = off",
        "SET LOCAL enable_sort = off",
    ):
        recommender.db.execute(text(statement))
    nearest = select(Movie.id).order_by(near_in_half(literal(vectors[TOY_STORY], Vector()))).limit(100)
    assert len(recommender.db.scalars(nearest).all()) < 100
    assert recommender.similar(TOY_STORY, request) == exact


# Reasons


def test_similar_films_say_what_they_share(recommender: PgvectorRecommender) -> None:
    first = recommender.similar(DARK_KNIGHT, Request(n=1, explain=True)).rows[0]
    assert {"kind": "keyword", "names": ["gotham"]} in first["why"]
    assert "why" not in recommender.similar(DARK_KNIGHT, Request(n=1)).rows[0]


def test_the_shares_add_up_to_the_score(recommender: PgvectorRecommender) -> None:
    for film in (TOY_STORY, MATRIX, GODFATHER):
        act(recommender.db, "anna", "like", film)
    for row in recommender.recommend("anna", Request(n=10, explain=True)).rows:
        shares = [reason["share"] for reason in row["why"] if "share" in reason]
        assert sum(shares) == pytest.approx(row["score"], rel=1e-5)
        liked = [reason for reason in row["why"] if reason["kind"] == "liked"]
        assert liked == sorted(liked, key=lambda cause: -cause["share"])
        assert {cause["id"] for cause in liked} <= {TOY_STORY, MATRIX, GODFATHER}


def test_what_is_only_popular_says_no_more(recommender: PgvectorRecommender) -> None:
    for row in recommender.recommend("nobody", Request(n=3, explain=True)).rows:
        assert row["why"] == [{"kind": "popular", "share": row["score"]}]


# Search


def test_a_title_is_found_first_and_its_beginning_suffices(recommender: PgvectorRecommender) -> None:
    assert ids(recommender.search("Toy Story", Request(), meaning=None))[0] == TOY_STORY
    assert set(ids(recommender.search("toy sto", Request(), meaning=None))) >= {TOY_STORY, TOY_STORY_2}


@pytest.mark.parametrize(
    "query", ["", "!!!", "'; DROP TABLE movies; --", "a & | ! ( ) : *", "\\", "%", "_", "zzzzz"]
)
def test_no_query_is_too_odd(recommender: PgvectorRecommender, query: str) -> None:
    answer = recommender.search(query, Request(), meaning=None)
    assert all(row["title"] for row in answer.rows)


def test_a_meaning_is_found_without_the_words_and_decades_hold(
    recommender: PgvectorRecommender, encoder: Encoder
) -> None:
    meaning = encoder.encode(["mafia family crime drama"])[0]
    assert GODFATHER in ids(recommender.search("mafia family crime drama", Request(n=10), meaning=meaning))
    answer: Any = recommender.search("crime of the 70s", Request(n=100), meaning=meaning)
    assert answer.rows
    assert all(1970 <= row["release_year"] <= 1979 for row in answer.rows)


def test_what_cancels_out_is_where_everyone_starts(catalogue: Session) -> None:
    """Two films in one place, liked and disliked with weights that sum to nothing."""
    twin = "UPDATE item_factors SET p = (SELECT p FROM item_factors WHERE movie_id = :a) WHERE movie_id = :b"
    catalogue.execute(text(twin), {"a": TOY_STORY, "b": MATRIX})
    weights = Taste.of_films({TOY_STORY: 1.0, MATRIX: -1.0})
    vector, personal = catalogue.execute(weights.profile_statement()).one()
    start = catalogue.scalar(select(FACTORS.c.p).where(FACTORS.c.movie_id == START))
    assert vector == pytest.approx(start, abs=1e-6)
    assert personal is True
