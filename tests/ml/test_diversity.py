"""Maximal marginal relevance: what a boost of 0, of 1 and between does to a list."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from backend.ml.diversity import LIKENESS_WEIGHT, SEEN_TOGETHER, Calibration, mmr_order

Floats = NDArray[np.float32]


def unit(rows: Floats) -> Floats:
    """Rows of length 1; a zero row stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


@st.composite
def candidates(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Relevances in no order and unit vectors, some equal and some zero."""
    size = draw(st.integers(0, 12))
    relevance = draw(st.lists(st.integers(-20, 20), min_size=size, max_size=size))
    rows = draw(st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=size, max_size=size))
    return np.array(relevance, dtype=np.float32) / 20, unit(np.array(rows, dtype=np.float32).reshape(size, 3))


BOOSTS = st.floats(0, 1)


def mean_cosine(vectors: Floats) -> float:
    """The mean over pairs of different rows."""
    return float((vectors @ vectors.T)[~np.eye(len(vectors), dtype=bool)].mean())


@given(candidates(), BOOSTS)
def test_every_candidate_stands_in_the_list_once(films: tuple[Floats, Floats], boost: float) -> None:
    relevance, vectors = films
    assert sorted(mmr_order(relevance, vectors, diversity_boost=boost)) == list(range(len(relevance)))


@given(candidates())
def test_without_diversity_it_is_the_order_of_relevance(films: tuple[Floats, Floats]) -> None:
    relevance, vectors = films
    expected = sorted(range(len(relevance)), key=lambda film: -relevance[film])
    assert mmr_order(relevance, vectors, diversity_boost=0) == expected


@given(candidates(), BOOSTS)
def test_the_most_relevant_film_is_always_first(films: tuple[Floats, Floats], boost: float) -> None:
    relevance, vectors = films
    order = mmr_order(relevance, vectors, diversity_boost=boost)
    assert order[:1] == ([int(np.argmax(relevance))] if order else [])


@given(candidates())
def test_with_diversity_alone_the_next_is_the_one_least_like_those_just_before(
    films: tuple[Floats, Floats],
) -> None:
    relevance, vectors = films
    order = mmr_order(relevance, vectors, diversity_boost=1)
    for place in range(1, len(order)):
        alike = (vectors @ vectors[order[max(0, place - SEEN_TOGETHER) : place]].T).sum(axis=1)
        assert alike[order[place]] == pytest.approx(min(alike[order[place:]]), abs=1e-4)


@given(candidates(), BOOSTS)
def test_the_next_film_is_always_the_one_of_greatest_marginal_relevance(
    films: tuple[Floats, Floats], boost: float
) -> None:
    relevance, vectors = films
    order = mmr_order(relevance, vectors, diversity_boost=boost)
    cosines = vectors @ vectors.T
    pairs = cosines[~np.eye(len(order), dtype=bool)]
    of_relevance = relevance.std() or np.inf if order else np.inf
    of_cosines = pairs.std() or np.inf if pairs.size else np.inf
    for place in range(1, len(order)):
        alike = cosines[:, order[max(0, place - SEEN_TOGETHER) : place]].sum(axis=1)
        marginal = (1 - boost) * relevance / of_relevance - boost * LIKENESS_WEIGHT * alike / of_cosines
        assert marginal[order[place]] == pytest.approx(max(marginal[order[place:]]), rel=1e-4, abs=1e-3)


@given(candidates(), BOOSTS, st.integers(1, 12))
def test_the_first_few_are_the_beginning_of_the_whole_order(
    films: tuple[Floats, Floats], boost: float, count: int
) -> None:
    relevance, vectors = films
    order = mmr_order(relevance, vectors, diversity_boost=boost)
    assert mmr_order(relevance, vectors, diversity_boost=boost, count=count) == order[:count]


def test_a_long_list_goes_by_relevance_as_much_at_its_end_as_at_its_beginning() -> None:
    rng = np.random.default_rng(3)
    vectors = unit(rng.standard_normal((100, 16)).astype(np.float32))
    relevance = -np.sort(-rng.standard_normal(100)).astype(np.float32)
    order = np.array(mmr_order(relevance, vectors, diversity_boost=0.2))
    moved = np.abs(order - np.arange(100))
    assert moved[50:90].mean() < 2 * moved[10:50].mean() + 1


def calibrated(taste: ArrayLike, candidates: ArrayLike) -> Calibration:
    """Of a taste that says something."""
    calibration = Calibration.of(np.asarray(taste, dtype=np.float32), np.asarray(candidates, dtype=np.float32))
    assert calibration is not None
    return calibration


def test_nothing_is_calibrated_by_a_taste_without_genres() -> None:
    assert Calibration.of(np.zeros(2, dtype=np.float32), np.eye(2, dtype=np.float32)) is None


def test_calibration_brings_the_genres_of_the_person_into_the_list() -> None:
    # Ten comedies come first; one in three of the films that this person likes is a western.
    genres = np.repeat(np.eye(2, dtype=np.float32), 10, axis=0)
    relevance = np.linspace(1, 0, 20, dtype=np.float32)
    nowhere = np.zeros((20, 2), dtype=np.float32)
    calibration = calibrated([2.0, 1.0], genres)
    order = mmr_order(relevance, nowhere, diversity_boost=0.5, count=9, calibration=calibration)
    assert sum(film >= 10 for film in order) >= 2
    assert sum(film >= 10 for film in mmr_order(relevance, nowhere, diversity_boost=0.5, count=9)) == 0


def test_divergence_is_none_where_a_list_has_the_genres_of_the_person() -> None:
    calibration = calibrated([1.0, 1.0], [[0, 1], [1, 0], [0.5, 0.5]])
    once = calibration.divergence(calibration.candidates[1], 1)
    assert once[0] == pytest.approx(0, abs=1e-6)
    assert 0 < once[2] < once[1]


def test_a_film_of_genres_that_the_person_never_liked_or_of_none_helps_nothing() -> None:
    calibration = calibrated([1.0, 0.0], [[0, 1], [0, 0], [1, 0]])
    divergence = calibration.divergence(np.zeros(1, dtype=np.float32), 0)
    assert np.isfinite(divergence).all()
    assert divergence[0] == divergence[1] > divergence[2]


@given(candidates(), BOOSTS, st.integers(-8, 8))
def test_the_scale_of_scores_does_not_matter(films: tuple[Floats, Floats], boost: float, power: int) -> None:
    relevance, vectors = films
    order = mmr_order(relevance, vectors, diversity_boost=boost)
    assert mmr_order(relevance * np.float32(2.0**power), vectors, diversity_boost=boost) == order


def test_ties_go_to_the_earlier_candidate() -> None:
    same = unit(np.ones((4, 3), dtype=np.float32))
    for boost in (0.0, 0.5, 1.0):
        assert mmr_order(np.ones(4, dtype=np.float32), same, diversity_boost=boost) == [0, 1, 2, 3]


def test_a_film_without_a_vector_is_unlike_everything() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 0]], dtype=np.float32)
    relevance = np.array([0.9, 0.8, 0.7], dtype=np.float32)
    assert mmr_order(relevance, vectors, diversity_boost=1) == [0, 2, 1]


def test_a_twin_of_the_best_film_goes_behind_another() -> None:
    vectors = unit(np.array([[1, 0], [1, 0.01], [0.6, 0.8]], dtype=np.float32))
    relevance = np.array([0.90, 0.89, 0.88], dtype=np.float32)
    assert mmr_order(relevance, vectors, diversity_boost=0) == [0, 1, 2]
    assert mmr_order(relevance, vectors, diversity_boost=0.9) == [0, 2, 1]


def test_more_boost_makes_the_top_ten_more_different() -> None:
    rng = np.random.default_rng(7)
    taste = rng.standard_normal(16)
    vectors = unit((taste + rng.standard_normal((100, 16))).astype(np.float32))
    relevance = (vectors @ (taste / np.linalg.norm(taste))).astype(np.float32)
    means = [mean_cosine(vectors[mmr_order(relevance, vectors, diversity_boost=b)[:10]]) for b in (0, 0.5, 1)]
    assert means[0] > means[1] > means[2]
