"""How good a training is: it is asked for what it has not seen, and asked in the way people are answered."""

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.feedback.weights import Kind
from backend.ml.item_factors import DIMENSIONS, ItemFactors
from backend.ml.people_store import ACT, KIND_NUMBER, Acts
from backend.ml.quality import LEAST_PEOPLE, MOST_PEOPLE, figures, hold_out, last_liked, measure

FILMS = np.arange(1, 101, dtype=np.int32)


def acts(*given: tuple[int, Kind, float]) -> Acts:
    """Film, kind, and the value of a rating or else nothing; later ones are newer."""
    rows = [
        (film, KIND_NUMBER[kind], value if kind == "rating" else np.nan, at)
        for at, (film, kind, value) in enumerate(given)
    ]
    return np.array(rows, dtype=ACT)


def fan(number: int, *, films: int = 50) -> Acts:
    """Somebody who likes every second film, and has come to like theirs last."""
    return acts(*((1 + (number + 2 * place) % 100, "like", 0) for place in range(films)))


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_what_is_kept_from_the_training_is_the_film_that_each_liked_last() -> None:
    people = [fan(number) for number in range(40)]
    held = hold_out(people, FILMS, rng=rng())
    assert len(held.tested) == 40
    for person, film in held.tested.items():
        assert film == people[person]["movie_id"][-1]
        assert film not in held.people[person]["movie_id"]
        assert len(held.people[person]) == len(people[person]) - 1


def test_liked_is_neither_what_was_only_watched_nor_what_was_rated_badly() -> None:
    did = acts(
        (1, "rating", 5),
        (2, "rating", 4),
        (3, "rating", 3.5),
        (4, "watched", 0),
        (5, "dislike", 0),
        (6, "click", 0),
    )
    assert last_liked(did, FILMS) == 2
    assert last_liked(did, np.array([1, 3], dtype=np.int32)) == 1, "of the films of the catalogue"
    assert last_liked(did[2:], FILMS) is None


def test_the_training_loses_no_more_than_one_opinion_in_fifty() -> None:
    people = [fan(number, films=20) for number in range(100)]
    held = hold_out(people, FILMS, rng=rng())
    assert len(held.tested) == 100 * 20 // 50
    assert sum(map(len, held.people)) == 100 * 20 - len(held.tested)


def test_never_more_people_are_asked_about_than_tell_enough() -> None:
    held = hold_out([fan(number) for number in range(400)], FILMS, rng=rng())
    assert len(held.tested) == MOST_PEOPLE


@pytest.mark.parametrize(("people", "films"), [(LEAST_PEOPLE - 1, 100), (400, 9), (0, 0)])
def test_of_too_few_or_of_whom_too_little_is_known_nothing_is_measured(people: int, films: int) -> None:
    given = [fan(number, films=films) for number in range(people)]
    held = hold_out(given, FILMS, rng=rng())
    assert held.tested == {}
    assert all(one.tobytes() == other.tobytes() for one, other in zip(held.people, given, strict=True))
    assert measure(held, parity(), FILMS, popularity=np.ones(100, dtype=np.float32)) is None


def test_figures_are_means_over_people() -> None:
    lists = np.array(
        [[5, *range(20, 39)], [*range(20, 22), 7, *range(22, 39)], [*range(20, 35), 9, *range(35, 39)]]
    )
    found = figures(lists, np.array([5, 7, 9]), films=100)
    assert found["ndcg_at_10"] == pytest.approx((1 + 1 / np.log2(4) + 0) / 3, abs=1e-4)
    assert found["recall_at_20"] == 1
    assert found["coverage"] == pytest.approx(len({5, 7, *range(20, 30)}) / 100)
    assert figures(lists, np.array([99, 98, 9]), films=100)["recall_at_20"] == pytest.approx(1 / 3, abs=1e-4)


def parity() -> ItemFactors:
    """Factors that know one thing: whether a film is even or odd, the low numbers better."""
    p = np.zeros((len(FILMS), DIMENSIONS), dtype=np.float32)
    p[np.arange(len(FILMS)), FILMS % 2] = 1
    q: NDArray[np.float32] = p * (2 - FILMS[:, None] / 100).astype(np.float32)
    start, known = np.zeros(DIMENSIONS, dtype=np.float32), np.ones(len(FILMS), dtype=bool)
    return ItemFactors(p=p, q=q, s=p, genres=p[:, :1], start=start, known=known)


def test_factors_that_know_what_people_like_are_better_than_what_is_popular() -> None:
    people = [fan(number, films=45) for number in range(60)]
    held = hold_out(people, FILMS, rng=rng())
    popularity = np.arange(100, dtype=np.float32)
    found = measure(held, parity(), FILMS, popularity=popularity)
    assert found is not None
    assert found.people == len(held.tested) >= LEAST_PEOPLE
    # Each has six films of their kind left, and the film that is looked for is one of these.
    assert found.figures["recall_at_20"] == 1
    assert found.figures["recall_at_20"] > found.popularity["recall_at_20"]
    assert found.figures["ndcg_at_10"] > found.popularity["ndcg_at_10"]
