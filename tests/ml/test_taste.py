"""What stands beside people: everyone starts with what is popular and good, and facts have a fixed loudness."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.ml.kernels import USUAL_RATING
from backend.ml.taste import (
    EMBEDDING_DIMENSIONS,
    ERA_LOUDNESS,
    ERAS,
    FACT_DIMENSIONS,
    VOTED_LIKES,
    priors,
    side_features,
)

FILMS = 40
Floats = NDArray[np.float32]


def prior_of(likes: list[float], votes: list[int], averages: list[float]) -> Floats:
    """Of films that people here like so much, and that so many of TMDB's people voted on."""
    return priors(
        np.array(likes, dtype=np.float32),
        np.array(votes, dtype=np.int32),
        np.array(averages, dtype=np.float32),
        most_votes=max(*votes, 1),
    )


def rng() -> np.random.Generator:
    """The same each time."""
    return np.random.default_rng(3)


def test_where_nobody_did_anything_votes_decide() -> None:
    votes = rng().permutation(FILMS).tolist()
    expected = prior_of([0.0] * FILMS, votes, [USUAL_RATING] * FILMS)[:, 0]
    np.testing.assert_array_equal(np.argsort(-expected), np.argsort(-np.array(votes)))
    assert expected.max() == pytest.approx(np.log1p(VOTED_LIKES))


def test_without_votes_the_prior_is_what_people_like() -> None:
    likes = [0.0, 3.0, 20.0]
    found = prior_of(likes, [0, 0, 0], [0.0, 0.0, 0.0])
    np.testing.assert_allclose(found[:, 0], np.log1p(likes), rtol=1e-6)
    assert not found[:, 1].any()


def test_a_rating_counts_the_more_people_gave_it() -> None:
    few, many, bad, usual = prior_of([0] * 4, [10, 10_000, 10_000, 10_000], [9.0, 9.0, 2.0, USUAL_RATING])[:, 1]
    assert bad < usual == 0 < few < many < 9.0 - USUAL_RATING


def test_side_features_of_films_of_which_nothing_is_known_are_zeros() -> None:
    facts = csr_array(np.vstack([(rng().random((FILMS - 1, 9)) < 0.4), np.zeros((1, 9))]).astype(np.float32))
    embeddings = rng().standard_normal((FILMS, 5)).astype(np.float32)
    embeddings[-1] = 0
    years = np.append(rng().integers(1900, 2030, FILMS - 1), 0).astype(np.int32)
    side = side_features(facts, embeddings, years, rng=rng())
    assert np.isfinite(side).all()
    assert not side[-1].any()
    assert (np.linalg.norm(side[:-1], axis=1) > 1).all()


def test_many_facts_are_cut_to_their_main_directions() -> None:
    facts = csr_array((rng().random((400, 300)) < 0.1).astype(np.float32))
    no_embeddings, no_years = np.zeros((400, 5), dtype=np.float32), np.zeros(400, dtype=np.int32)
    side = side_features(facts, no_embeddings, no_years, rng=rng())
    assert side.shape[1] <= FACT_DIMENSIONS + EMBEDDING_DIMENSIONS + len(ERAS)
    lengths = np.linalg.norm(side, axis=1)
    assert lengths.max() <= 1 + 1e-5
    np.testing.assert_array_equal(side, side_features(facts, no_embeddings, no_years, rng=rng()))


def test_films_are_near_in_time_by_the_years_between_them() -> None:
    years = np.array([1990, 1991, 2000, 1940, 1890], dtype=np.int32)
    nothing = csr_array((len(years), 0), dtype=np.float32)
    side = side_features(nothing, np.zeros((len(years), 5), dtype=np.float32), years, rng=rng())
    np.testing.assert_allclose(np.linalg.norm(side, axis=1), ERA_LOUDNESS, rtol=1e-5)
    nearness = side @ side[0]
    assert nearness[0] > nearness[1] > nearness[2] > nearness[3]
