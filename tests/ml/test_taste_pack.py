"""A crowd, condensed to a few pseudo people, is as good as the crowd and small enough to ship."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.errors import LayerUnavailableError
from backend.ml.taste_pack import (
    FILE,
    LEAST_SUPPORT,
    LICENCE,
    MOVIELENS_TERMS,
    PLACED_GAIN,
    PSEUDO_PEOPLE,
    TastePack,
    condense,
    learn_pack,
    read_pack,
    trust_in_place,
    write_pack,
)

PEOPLE, FILMS, WIDTH = 100, 400, 8
IDS = np.arange(100, 100 + FILMS, dtype=np.int32)


def crowd(people: int = PEOPLE, films: int = FILMS, seed: int = 0) -> csr_array:
    """Even people like even films and odd people odd ones, of which each knows about a half."""
    chance = np.random.default_rng(seed)
    person, film = np.indices((people, films))
    likes = ((person + film) % 2 == 0) & (chance.random((people, films)) < 0.5)
    return csr_array(likes.astype(np.float32))


def described(ids: NDArray[np.int32]) -> list[dict[str, Any]]:
    """Even films are Westerns, odd ones are Musicals."""
    return [{"genres": [("Western", "Musical")[number % 2]], "release_year": 1990} for number in ids.tolist()]


def no_embeddings(count: int) -> NDArray[np.float32]:
    """Films that were not embedded yet."""
    return np.zeros((count, WIDTH), dtype=np.float32)


@pytest.fixture
def pack() -> TastePack:
    """Learned from the crowd."""
    return learn_pack(IDS, crowd(), films=described(IDS), embeddings=no_embeddings(FILMS))


def test_a_small_crowd_is_condensed_without_loss() -> None:
    matrix = crowd(people=40)
    rows = condense(matrix)
    exact = (matrix.T @ matrix).toarray()
    assert np.allclose(rows.T @ rows, exact, atol=1e-3)


def test_a_large_crowd_becomes_a_fixed_number_of_pseudo_people() -> None:
    matrix = crowd(people=400, films=200)
    rows = condense(matrix)
    assert rows.shape == (PSEUDO_PEOPLE, 200)
    sizes = np.linalg.svd(matrix.toarray(), compute_uv=False)
    assert np.allclose(np.linalg.norm(rows, axis=1), sizes[:PSEUDO_PEOPLE], rtol=1e-4)
    assert np.array_equal(rows, condense(matrix))


def test_films_that_hardly_anyone_rated_are_left_to_the_map() -> None:
    matrix = crowd().tolil()
    matrix[:, 7] = 0
    matrix[: LEAST_SUPPORT - 1, 7] = 1
    learned = learn_pack(IDS, csr_array(matrix), films=described(IDS), embeddings=no_embeddings(FILMS))
    assert IDS[7] not in learned.film_ids
    assert learned.opinions.shape == (PEOPLE, FILMS - 1)
    assert learned.people == PEOPLE


def test_opinions_are_laid_over_the_catalogue(pack: TastePack) -> None:
    order = np.array([IDS[4], 5_000_000, IDS[0], 1], dtype=np.int32)
    laid = pack.over(order)
    assert laid.rows.shape == (len(pack.opinions), 4)
    assert laid.support.tolist() == [pack.support[4], 0, pack.support[0], 0]
    np.testing.assert_array_equal(laid.rows[:, [0, 2]], pack.opinions[:, [4, 0]])
    np.testing.assert_array_equal(laid.popularity, [pack.popularity[4], 0, pack.popularity[0], 0])
    assert not laid.rows[:, [1, 3]].any()


def test_over_no_film_lies_nothing(pack: TastePack) -> None:
    assert pack.over(np.empty(0, dtype=np.int32)).rows.shape == (len(pack.opinions), 0)


def test_a_pack_counts_who_rated_a_film_and_how_much_they_think_of_it() -> None:
    matrix = crowd() * 0.5
    learned = learn_pack(IDS, csr_array(matrix), films=described(IDS), embeddings=no_embeddings(FILMS))
    rated = (matrix.toarray() > 0).sum(axis=0)
    here = rated >= LEAST_SUPPORT
    np.testing.assert_array_equal(learned.film_ids, IDS[here])
    np.testing.assert_array_equal(learned.support, rated[here])
    np.testing.assert_allclose(learned.popularity, 0.5 * rated[here], rtol=1e-6)


def test_who_did_nothing_is_nobody() -> None:
    silent = csr_array(np.vstack([crowd().toarray(), np.zeros((7, FILMS), dtype=np.float32)]))
    assert learn_pack(IDS, silent, films=described(IDS), embeddings=no_embeddings(FILMS)).people == PEOPLE


def test_a_new_film_is_thought_of_like_its_like(pack: TastePack) -> None:
    new = np.array([9000, 9001], dtype=np.int32)
    placed = pack.placing.place(described(new), no_embeddings(2)).T
    alike = pack.opinions.T @ placed
    even = pack.film_ids % 2 == 0
    assert alike[even, 0].mean() > 1.2 * alike[~even, 0].mean()
    assert alike[~even, 1].mean() > 1.2 * alike[even, 1].mean()


def test_the_map_says_less_the_more_people_rate_a_film() -> None:
    trust = trust_in_place(np.array([0, 10, 200]))
    assert trust[0] == PLACED_GAIN
    assert trust[1] == pytest.approx(PLACED_GAIN / 2)
    assert 0 < trust[2] < 0.1 * trust[0]


def test_a_pack_survives_being_written(pack: TastePack, tmp_path: Path) -> None:
    write_pack(pack, tmp_path / "movielens-small", terms=MOVIELENS_TERMS)
    again = read_pack(tmp_path / "movielens-small")
    assert np.array_equal(again.film_ids, pack.film_ids)
    assert np.array_equal(again.support, pack.support)
    assert np.array_equal(again.popularity, pack.popularity)
    assert again.people == pack.people
    assert np.allclose(again.opinions, pack.opinions, rtol=2e-3, atol=1e-4)
    placed, expected = (one.placing.place(described(IDS), no_embeddings(FILMS)) for one in (again, pack))
    assert np.allclose(placed, expected, rtol=1e-2, atol=1e-2)


def test_a_pack_carries_the_terms_it_is_under(pack: TastePack, tmp_path: Path) -> None:
    write_pack(pack, tmp_path, terms=MOVIELENS_TERMS)
    terms = (tmp_path / LICENCE).read_text("utf-8")
    for part in ("commercial", "same\n  license conditions", "Harper", "10.1145/2827872", "TASTE_PACK=none"):
        assert part in terms


def test_a_pack_that_is_missing_or_damaged_is_refused(pack: TastePack, tmp_path: Path) -> None:
    with pytest.raises(LayerUnavailableError, match="taste pack"):
        read_pack(tmp_path / "nowhere")
    write_pack(pack, tmp_path, terms=MOVIELENS_TERMS)
    whole = (tmp_path / FILE).read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not a pack"):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(LayerUnavailableError, match="taste pack"):
            read_pack(tmp_path)
