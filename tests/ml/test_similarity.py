import numpy as np
import pytest
from numpy.testing import assert_allclose

from backend.ml.facts import learn_vocabulary
from backend.ml.kernels import Known, Taste, eras, own_places
from backend.ml.similarity import (
    DIMENSIONS,
    PRIOR,
    WEIGHTS,
    Similarity,
    closeness,
    furthest,
    learn_similarity,
    places,
    query,
)

GENRES = ("Comedy", "Horror", "Western")


def films(count=60, *, rng=None):
    """Films of three genres, whose other facts are drawn."""
    rng = rng or np.random.default_rng(1)
    return [
        {
            "genres": [GENRES[number % 3]],
            "keywords": [f"keyword {word}" for word in rng.choice(9, 3, replace=False)],
            "directors": [f"director {number % 12}"],
            "actors": [f"actor {number % 7}"],
            "collection": None,
            "original_language": "en" if number % 2 else "fr",
            "release_year": 1950 + number,
            "vote_count": int(rng.integers(0, 5_000)),
            "vote_average": float(rng.uniform(4, 9)),
        }
        for number in range(count)
    ]


def embeddings(count=60):
    drawn = np.random.default_rng(2).normal(size=(count, 24)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.fixture
def vocabulary():
    return learn_vocabulary(films())


@pytest.fixture
def known(vocabulary):
    return Known.of(films(), vocabulary, embeddings())


def liked_in_two_camps(count=60):
    """Even films are liked by the same people, odd films by others; nobody has seen the last ten."""
    places = np.zeros((count, 8), dtype=np.float32)
    places[::2, 0], places[1::2, 1] = 3.0, 2.0
    people = np.where(np.arange(count) < count - 10, 100, 0).astype(np.int32)
    return Taste(places=places, people=people)


def similarities(vectors):
    return query(vectors) @ vectors.T


def only(**weights):
    return dict.fromkeys(WEIGHTS, 0.0) | weights


def vectors_by(vocabulary, known, **weights):
    return learn_similarity(vocabulary, known, weights=only(**weights)).vectors(known)


def test_vectors_have_the_fixed_width_and_the_same_every_time(vocabulary, known):
    one, other = (learn_similarity(vocabulary, known).vectors(known) for _ in range(2))
    assert one.shape == (60, DIMENSIONS)
    assert one.dtype == np.float32
    assert_allclose(one, other)


def test_films_of_a_genre_are_alike(vocabulary, known):
    found = similarities(vectors_by(vocabulary, known, genre=1.0))
    same = np.arange(60)[:, None] % 3 == np.arange(60) % 3
    assert_allclose(found, same, atol=1e-5)


def test_a_film_without_facts_is_like_none(vocabulary):
    bare = {"genres": [], "release_year": None, "vote_count": None, "vote_average": None}
    known = Known.of([*films(), bare], vocabulary, np.vstack([embeddings(), np.zeros((1, 24), dtype=np.float32)]))
    vectors = vectors_by(vocabulary, known, genre=1.0, keyword=1.0, meaning=1.0, era=1.0)
    assert not vectors[-1].any()
    assert np.isfinite(vectors).all()


def test_years_apart_count_exponentially():
    found = eras(np.array([1994, 2004, 2014, 1934, 0], dtype=np.int32))
    # So few dimensions round the peak off.
    assert_allclose((found @ found.T)[0], [1, np.exp(-0.5), np.exp(-1), np.exp(-3), 0], atol=0.2)
    assert_allclose((found @ found.T)[0, 2:], [np.exp(-1), np.exp(-3), 0], atol=0.02)


def test_fame_and_quality_draw_near_what_is_near(vocabulary, known):
    found = similarities(vectors_by(vocabulary, known, fame=1.0, quality=1.0))
    fame = np.log1p(known.vote_counts) / 5
    quality = known.vote_counts * (known.vote_averages - 6.5) / (known.vote_counts + 500)
    distance = np.subtract.outer(fame, fame) ** 2 + np.subtract.outer(quality, quality) ** 2
    # What depends on the seed alone is left out: it orders nothing.
    assert_allclose(found - np.diag(found)[:, None], -distance, atol=1e-3)


def test_the_better_of_two_equally_near_films_is_first(vocabulary, known):
    found = similarities(vectors_by(vocabulary, known, better=1.0))
    quality = known.vote_counts * (known.vote_averages - 6.5) / (known.vote_counts + 500)
    assert_allclose(found, np.tile(quality, (60, 1)), atol=1e-5)


def test_asking_changes_nothing_but_the_prior(vocabulary, known):
    vector = learn_similarity(vocabulary, known).vectors(known)[0]
    asking = query(vector)
    assert asking[PRIOR] == 1
    assert_allclose(np.delete(asking, PRIOR), np.delete(vector, PRIOR))


def test_films_that_the_same_people_like_are_alike(vocabulary, known):
    taste = liked_in_two_camps()
    vectors = learn_similarity(vocabulary, known, taste=taste).vectors(known, taste=taste)
    found = similarities(vectors) - similarities(learn_similarity(vocabulary, known).vectors(known))
    assert found[0, 2] > WEIGHTS["taste"] * 0.8
    assert abs(found[0, 1]) < 1e-3


def test_what_more_people_say_weighs_more():
    taste = Taste(places=np.ones((3, 4), dtype=np.float32), people=np.array([1, 5, 500], dtype=np.int32))
    assert_allclose(np.linalg.norm(own_places(taste), axis=1), [1 / 6, 1 / 2, 500 / 505], rtol=1e-5)


def test_a_film_nobody_has_seen_is_placed_by_its_content(vocabulary, known):
    # The camps differ by language, which content knows.
    taste = liked_in_two_camps()
    learned = learn_similarity(vocabulary, known, taste=taste, weights=only(language=1.0, taste=8.0))
    vectors = learned.vectors(known, taste=taste)
    tastes = vectors[:, PRIOR + 1 :]
    assert tastes[58] @ tastes[0] > 2
    assert abs(tastes[59] @ tastes[0]) < 1


def test_places_of_films_nobody_has_seen_do_not_count(vocabulary, known):
    taste = liked_in_two_camps()
    moved = Taste(places=taste.places.copy(), people=taste.people)
    moved.places[-10:] = 7.0
    one, other = (learn_similarity(vocabulary, known, taste=seen) for seen in (taste, moved))
    assert_allclose(one.vectors(known, taste=taste), other.vectors(known, taste=moved))


def test_films_that_arrive_later_are_placed_by_what_was_kept(vocabulary, known):
    learned = learn_similarity(vocabulary, known, taste=liked_in_two_camps())
    kept = Similarity.from_arrays(learned.to_arrays())
    late = Known.of(films()[:5], vocabulary, embeddings()[:5])
    assert_allclose(kept.vectors(late), learned.vectors(known)[:5], atol=1e-5)


def test_no_films_and_no_facts_are_no_error():
    vocabulary = learn_vocabulary([])
    known = Known.of([], vocabulary, np.empty((0, 24), dtype=np.float32))
    assert learn_similarity(vocabulary, known).vectors(known).shape == (0, DIMENSIONS)


def test_only_embeddings_that_are_close_add_something():
    assert_allclose(closeness(np.array([-0.2, 0.3, 0.45, 0.95], dtype=np.float32)), [0, 0, 0, 6], atol=1e-5)


def test_the_nearest_places_are_those_of_the_greatest_products(vocabulary, known):
    taste = liked_in_two_camps()
    vectors = learn_similarity(vocabulary, known, taste=taste).vectors(known, taste=taste)
    limit = furthest(vectors)
    around = vectors.copy()
    around[:, PRIOR] = 0
    distances = np.linalg.norm(around[:, None].astype(np.float64) - places(vectors, limit=limit), axis=2)
    sizes = np.square(around.astype(np.float64)).sum(axis=1)
    assert_allclose((sizes[:, None] + limit - distances**2) / 2, similarities(vectors), atol=1e-4)


def test_a_film_beyond_the_limit_is_found_less_often_and_others_as_before(vocabulary, known):
    vectors = learn_similarity(vocabulary, known).vectors(known)
    limit = furthest(vectors)
    beyond = np.vstack([vectors, vectors[:1]])
    beyond[-1, PRIOR] += limit
    placed = places(beyond, limit=limit)
    assert placed[-1, PRIOR] == 0
    assert (placed[:-1] == places(vectors, limit=limit)).all()
    assert furthest(np.zeros((0, DIMENSIONS), dtype=np.float32)) == 0
