"""Factors that bring back what was withheld, the same ones every time."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.ml.factorization import RANK, SMALLER_SIDE_A_RANK, item_factors


def rng(seed: int = 0) -> np.random.Generator:
    """Where the iteration starts."""
    return np.random.default_rng(seed)


def checkerboard(people: int = 40, films: int = 30) -> NDArray[np.float64]:
    """Even people like even films and odd people odd ones, but each for one that is withheld."""
    person, film = np.indices((people, films))
    board = ((person + film) % 2 == 0).astype(np.float64)
    for number in range(people):
        board[number, withheld(number, films)] = 0
    return board


def withheld(person: int, films: int = 30) -> int:
    """The film of a person's own parity that the training does not see."""
    return (person * 2 + person % 2) % films


def noise(people: int, films: int, share: float = 0.2) -> csr_array:
    """People who like films at random."""
    chance = rng(1)
    return csr_array(chance.random((people, films)) * (chance.random((people, films)) < share))


def test_what_was_withheld_comes_first() -> None:
    board = checkerboard()
    factors = item_factors(csr_array(board), rng=rng())
    scores = board @ factors @ factors.T
    for person in range(len(board)):
        unseen = np.flatnonzero(board[person] == 0)
        assert unseen[scores[person, unseen].argmax()] == withheld(person)


def test_scores_are_those_of_the_truncated_decomposition() -> None:
    matrix = noise(60, 50)
    factors = item_factors(matrix, rng=rng())
    u, s, vt = np.linalg.svd(matrix.toarray(), full_matrices=False)
    rank = factors.shape[1]
    np.testing.assert_allclose(matrix @ factors @ factors.T, u[:, :rank] * s[:rank] @ vt[:rank], atol=1e-4)


def test_equal_seeds_give_equal_factors_and_other_seeds_the_same_scores() -> None:
    matrix = noise(60, 50)
    first, again, other = (item_factors(matrix, rng=rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first @ first.T, other @ other.T, atol=1e-5)


def test_the_largest_part_of_every_factor_is_positive() -> None:
    factors = item_factors(noise(400, 350), rng=rng())
    assert factors.shape == (350, RANK)
    assert (factors[np.abs(factors).argmax(axis=0), np.arange(RANK)] > 0).all()


@pytest.mark.parametrize(
    ("people", "films", "rank"), [(10, 10, 1), (19, 500, 1), (20, 500, 2), (500, 49, 4), (400, 350, RANK)]
)
def test_the_rank_follows_the_smaller_side(people: int, films: int, rank: int) -> None:
    factors = item_factors(noise(people, films, share=0.5), rng=rng())
    assert factors.shape == (films, rank)
    assert factors.dtype == np.float32
    assert np.isfinite(factors).all()


def test_people_and_films_without_an_opinion_do_not_raise_the_rank() -> None:
    few = noise(40, 30, share=0.5)
    many = np.zeros((400, 350))
    many[:40, :30] = few.toarray()
    expected = item_factors(few, rng=rng())
    factors = item_factors(csr_array(many), rng=rng())
    assert factors.shape == (350, 30 // SMALLER_SIDE_A_RANK)
    np.testing.assert_allclose(factors[:30] @ factors[:30].T, expected @ expected.T, atol=1e-5)


def test_films_that_nobody_did_anything_with_are_zero() -> None:
    matrix = noise(60, 50).toarray()
    matrix[:, [0, 7, 49]] = 0
    factors = item_factors(csr_array(matrix), rng=rng())
    assert np.flatnonzero(~factors.any(axis=1)).tolist() == [0, 7, 49]
