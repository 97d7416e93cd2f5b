"""Collective EASE against its textbook form, and what is promised of the cut and of condensed people."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.ml import ease
from backend.ml.ease import Evidence, ItemSpace, condensed, equal_people, item_space

PEOPLE, FILMS, FEATURES = 40, 60, 7


def _matrix(seed: int = 1, *, people: int = PEOPLE) -> csr_array:
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((people, FILMS)) < 0.3, rng.uniform(0.1, 1, (people, FILMS)), 0)
    return csr_array(dense.astype(np.float32))


def _side() -> NDArray[np.float32]:
    return np.random.default_rng(2).random((FILMS, FEATURES), dtype=np.float32)


def _nothing_more() -> NDArray[np.float32]:
    return np.zeros((0, FILMS), dtype=np.float32)


def _space(
    matrix: csr_array,
    side: NDArray[np.float32] | None = None,
    *,
    rank: int,
    guesses: NDArray[np.float32] | None = None,
) -> ItemSpace:
    rows = matrix.toarray()
    evidence = Evidence(
        rows=rows,
        inputs=equal_people(matrix).toarray().astype(np.float32),
        popularity=rows.sum(axis=0),
        squares=np.square(rows).sum(axis=0),
        side=np.zeros((FILMS, 0), dtype=np.float32) if side is None else side,
        guesses=_nothing_more() if guesses is None else guesses,
    )
    return item_space(evidence, rank=rank)


def _textbook(
    matrix: csr_array, side: NDArray[np.float32] | None, guesses: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """B as in Steck 2019, from the inverse of films × films, with the facts' rows under those of people."""
    dense = matrix.toarray().astype(np.float64)
    gram = dense.T @ dense
    if guesses is not None:
        gram += guesses.T @ guesses
    if side is not None:
        popularity = (dense.sum(axis=0) + 1) / (dense.sum(axis=0) + 1).mean()
        loud = ease.SIDE_WEIGHT * side * popularity[:, None] ** ease.SIDE_POPULARITY
        gram += loud @ loud.T
    inverse = np.linalg.inv(gram + np.diag(ease.RIDGE + ease.DROPOUT * (dense**2).sum(axis=0)))
    weights = np.eye(FILMS) - inverse / np.diag(inverse)
    return np.asarray(weights)


@pytest.mark.parametrize("side", [None, _side()])
def test_at_full_rank_the_factors_are_ease(side: NDArray[np.float32] | None) -> None:
    matrix = _matrix(people=FILMS * 2)
    space = _space(matrix, side, rank=FILMS)
    np.testing.assert_allclose(space.p @ space.q.T, _textbook(matrix, side), atol=5e-4)


def test_what_a_map_expects_counts_like_what_people_did() -> None:
    matrix = _matrix(people=FILMS * 2)
    guesses = np.random.default_rng(3).random((5, FILMS), dtype=np.float32)
    space = _space(matrix, _side(), rank=FILMS, guesses=guesses)
    np.testing.assert_allclose(space.p @ space.q.T, _textbook(matrix, _side(), guesses), atol=5e-4)


def test_films_that_the_same_people_like_lie_together() -> None:
    """Two camps: the strongest directions part them."""
    likes = (np.arange(PEOPLE)[:, None] % 2 == np.arange(FILMS) % 2).astype(np.float32)
    space = _space(csr_array(likes), rank=10)
    cosines = np.corrcoef(space.together)
    same = np.equal.outer(np.arange(FILMS) % 2, np.arange(FILMS) % 2)
    assert cosines[same].min() > cosines[~same].max()


def test_no_film_recommends_itself() -> None:
    space = _space(_matrix(people=FILMS * 2), _side(), rank=FILMS)
    np.testing.assert_allclose(np.einsum("fr,fr->f", space.p, space.q), 0, atol=5e-4)


def test_a_lower_rank_keeps_most_of_what_people_are_expected_to_like() -> None:
    matrix = _matrix()
    weights = _textbook(matrix, _side())
    others = matrix.toarray() == 0
    expected = matrix.toarray() @ weights
    errors = []
    for rank in (5, 15, 30):
        space = _space(matrix, _side(), rank=rank)
        assert space.p.shape == space.q.shape == (FILMS, rank)
        # What is expected of films that a person knows is not asked for, and free.
        missed = (matrix @ space.p @ space.q.T - expected)[others]
        errors.append(np.linalg.norm(missed) / np.linalg.norm(expected[others]))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1


def test_more_rank_than_people_leaves_zeros() -> None:
    space = _space(_matrix(people=4), None, rank=10)
    assert np.isfinite(space.p).all()
    assert not space.p[:, 4:].any()
    assert not space.q[:, 4:].any()


def test_without_people_there_is_no_taste() -> None:
    space = _space(csr_array((3, FILMS), dtype=np.float32), _side(), rank=5)
    assert not space.p.any()
    assert not space.q.any()


def test_equal_input_gives_equal_factors() -> None:
    first, second = (_space(_matrix(), _side(), rank=9) for _ in range(2))
    np.testing.assert_array_equal(first.p, second.p)
    np.testing.assert_array_equal(first.q, second.q)


def test_busy_people_have_no_more_say_than_others() -> None:
    totals = equal_people(csr_array(np.tri(PEOPLE, FILMS, dtype=np.float32))).sum(axis=1)
    assert (np.diff(totals) > 0).all(), "the less is known of someone, the less they say"
    assert totals.max() < 1
    busiest = equal_people(csr_array(np.full((1, FILMS), 1_000, dtype=np.float32)))
    assert busiest.sum() == pytest.approx(1, rel=1e-3)
    nobody = equal_people(csr_array((2, FILMS), dtype=np.float32))
    assert not nobody.nnz


def test_few_people_are_kept_as_they_are() -> None:
    matrix = _matrix()
    np.testing.assert_array_equal(condensed(matrix, rng=np.random.default_rng(0)), matrix.toarray())


def test_many_people_are_condensed_to_what_they_have_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "MOST_ROWS", 12)
    rng = np.random.default_rng(5)
    matrix = csr_array((rng.random((300, 10)) @ rng.random((10, FILMS))).astype(np.float32))
    rows = condensed(matrix, rng=np.random.default_rng(0))
    assert rows.shape == (12, FILMS)
    np.testing.assert_allclose(rows.T @ rows, (matrix.T @ matrix).toarray(), rtol=1e-3)


def test_many_films_leave_room_for_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "MOST_NUMBERS", FILMS * 8)
    assert condensed(_matrix(), rng=np.random.default_rng(0)).shape == (8, FILMS)
