"""What is known about a film says what people think of it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.ml.placing import REGULARISATION, Placing, _features, _ridge, learn_placing

GENRES = ("Western", "Musical", "Horror")


def films(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Films of one genre each, every other one famous."""
    chance = np.random.default_rng(seed)
    return [
        {
            "genres": [GENRES[number % 3]],
            "keywords": [f"keyword {chance.integers(30)}"],
            "release_year": int(chance.integers(1950, 2020)),
            "vote_count": (20, 5000)[number % 2],
            "vote_average": 6.5,
        }
        for number in range(count)
    ]


def embeddings(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Random directions."""
    drawn = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def by_genre(rows: list[dict[str, Any]]) -> NDArray[np.float32]:
    """One target for each genre."""
    return np.array([[genre in row["genres"] for genre in GENRES] for row in rows], dtype=np.float32)


def test_a_new_film_is_placed_with_its_like() -> None:
    known = films(3000)
    learned = learn_placing(known, embeddings(3000), by_genre(known))
    new = films(30, seed=1)
    placed = learned.place(new, embeddings(30, seed=1))
    assert placed.shape == (30, 3)
    assert np.array_equal(placed.argmax(axis=1), by_genre(new).argmax(axis=1))


def test_fame_matters_more_in_some_genres() -> None:
    known = films(3000)
    famous = np.array([row["vote_count"] > 1000 for row in known])
    targets = by_genre(known)[:, :1] * famous[:, None]
    learned = learn_placing(known, embeddings(3000), targets)
    bare = np.zeros((4, 8), dtype=np.float32)
    asked = [
        {"genres": [genre], "release_year": 1985, "vote_count": votes, "vote_average": 6.5}
        for genre in ("Western", "Musical")
        for votes in (5000, 20)
    ]
    western, obscure_western, musical, obscure_musical = learned.place(asked, bare)[:, 0]
    assert western - obscure_western > 2 * abs(musical - obscure_musical)


def test_the_iteration_ends_at_the_solution_of_the_ridge_regression() -> None:
    known, vectors = films(300), embeddings(300)
    targets = np.random.default_rng(2).standard_normal((300, 5)).astype(np.float32)
    learned = learn_placing(known, vectors, targets)
    features = _features(learned.vocabulary, learned.centre, known, vectors)
    dense = np.hstack([features.sparse.toarray(), features.dense]).astype(np.float64)
    exact = np.linalg.solve(dense.T @ dense + REGULARISATION * np.eye(dense.shape[1]), dense.T @ targets)
    assert np.abs(dense @ (_ridge(features, targets) - exact)).max() < 0.01 * np.abs(dense @ exact).max()


def test_a_target_of_zeros_stays_zero() -> None:
    known = films(60)
    targets = by_genre(known) * np.array([1, 0, 1], dtype=np.float32)
    placed = learn_placing(known, embeddings(60), targets).place(known, embeddings(60))
    assert np.isfinite(placed).all()
    assert not placed[:, 1].any()


def test_what_is_missing_counts_as_average() -> None:
    known = films(300)
    vectors = embeddings(300)
    vectors[::2] = 0
    learned = learn_placing(known, vectors, by_genre(known))
    unknown = {"genres": None, "keywords": [], "release_year": None, "vote_count": None, "vote_average": None}
    placed = learned.place([unknown, {}], np.zeros((2, 8), dtype=np.float32))
    assert np.isfinite(placed).all()
    assert np.array_equal(placed[0], placed[1])
    assert learned.place([], np.zeros((0, 8), dtype=np.float32)).shape == (0, 3)


def test_films_without_any_embedding_or_votes_can_be_learned_from() -> None:
    known = [{"genres": row["genres"]} for row in films(600)]
    learned = learn_placing(known, np.zeros((600, 8), dtype=np.float32), by_genre(known))
    placed = learned.place(known, np.zeros((600, 8), dtype=np.float32))
    assert np.array_equal(placed.argmax(axis=1), by_genre(known).argmax(axis=1))


def test_a_map_survives_being_written() -> None:
    known = films(300)
    learned = learn_placing(known, embeddings(300), by_genre(known))
    again = Placing.from_arrays(learned.to_arrays())
    expected = learned.place(known, embeddings(300))
    assert np.allclose(again.place(known, embeddings(300)), expected, atol=2e-3)


def test_the_same_films_give_the_same_map() -> None:
    known = films(300)
    first, second = (learn_placing(known, embeddings(300), by_genre(known)) for _ in range(2))
    assert np.array_equal(first.weights, second.weights)
