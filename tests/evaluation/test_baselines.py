"""The baselines are what their papers say."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from backend.evaluation.baselines import BASELINES, ContentMean, Ease, Ials, ItemKnn, Popular, PureSvd, TmdbVotes
from backend.evaluation.ease import Decomposed
from backend.evaluation.grading import graded
from backend.evaluation.methods import LIST, Method, best
from backend.evaluation.neighbours import Nearest
from backend.evaluation.splits import held_out
from backend.evaluation.tuning import Tuner, parameters
from backend.ml.fold_in import opinion_matrix
from tests.evaluation.world import acts_of, dataset_of

METHODS = [
    Popular(),
    TmdbVotes(),
    ContentMean(),
    ContentMean(centred=True),
    ItemKnn(20),
    PureSvd(2),
    Ease(10.0),
    Ials(4, 1.0, 5.0),
]


def weights_of(people: int, films: int) -> csr_array:
    rng = np.random.default_rng(people)
    return csr_array(np.where(rng.random((people, films)) < 0.3, rng.random((people, films)), 0))


@pytest.mark.parametrize(("people", "films"), [(12, 30), (40, 15)])
def test_ease_is_the_closed_form_whichever_side_is_smaller(people: int, films: int) -> None:
    weights, given, strength = weights_of(people, films), weights_of(5, films), 3.0
    dense = weights.toarray()
    inverse = np.linalg.inv(dense.T @ dense + strength * np.eye(films))
    learned = -inverse / np.diag(inverse)
    np.fill_diagonal(learned, 0)
    found = Decomposed.of(weights).scores(regularisation=strength)(given)
    assert found == pytest.approx(given.toarray() @ learned, abs=1e-9)


def test_pure_svd_uses_the_strongest_singular_vectors() -> None:
    weights = weights_of(12, 30)
    vectors = np.linalg.svd(weights.toarray())[2][:4]
    found = Decomposed.of(weights).vectors[-4:]
    assert found.T @ found == pytest.approx(vectors.T @ vectors, abs=1e-9)


def test_neighbours_are_the_nearest_of_each_film() -> None:
    weights, given = weights_of(20, 30), weights_of(3, 30)
    dense = weights.toarray()
    lengths = np.linalg.norm(dense, axis=0)
    similarity = dense.T @ dense / (np.outer(lengths, lengths) + 2.0)
    np.fill_diagonal(similarity, 0)
    for column in similarity.T:
        column[np.argsort(-column)[5:]] = 0
    found = Nearest.of(weights, shrinkage=2.0).scores(neighbours=5)(given)
    assert found == pytest.approx(given.toarray() @ similarity, abs=1e-5)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_lists_hold_no_film_twice_and_none_that_is_given(method: Method) -> None:
    dataset = dataset_of()
    lists = method.fit(dataset).rank(dataset.people)
    assert lists.shape == (len(dataset.people), LIST)
    for row, acts in zip(lists, dataset.people, strict=True):
        shown = row[row >= 0]
        assert len(shown) == len(set(shown)) == len(dataset.catalogue) - len(acts)
        assert not set(dataset.catalogue.ids[shown]) & set(acts["movie_id"])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_a_list_among_some_films_holds_only_these(method: Method) -> None:
    dataset = dataset_of()
    among = np.zeros(len(dataset.catalogue), dtype=bool)
    among[[3, 5, 8]] = True
    lists = method.fit(dataset).rank([acts_of({60: 5.0})], among=among)
    assert set(lists[0][lists[0] >= 0]) == {3, 8}


@pytest.mark.parametrize("method", [ItemKnn(20), PureSvd(2), Ease(10.0), Ials(4, 1.0, 5.0)])
def test_who_likes_even_films_gets_even_films(method: Method) -> None:
    lists = method.fit(dataset_of()).rank([acts_of({10: 5.0, 50: 4.5}), acts_of({20: 5.0, 40: 5.0})])
    assert (lists[0, :10] % 2 == 0).all()
    assert (lists[1, :10] % 2 == 1).all()


def test_equal_scores_go_by_place_and_what_does_not_count_is_left_out() -> None:
    assert best(np.array([[1.0, 3.0, 3.0, -np.inf]]))[0, :5].tolist() == [1, 2, 0, -1, -1]


def test_ratings_weigh_by_their_grade() -> None:
    acts = acts_of({10: 5.0, 20: 4.5, 30: 3.0, 40: 0.5})
    weights = opinion_matrix([acts], dataset_of().catalogue.ids, weigh=graded).toarray()[0]
    assert weights[:5] == pytest.approx([1.0, 0.9, 0.5, 0.1, 0])


def test_tuning_takes_what_does_best_with_validation_people() -> None:
    training = next(held_out(dataset_of(), rounds=1, rng=np.random.default_rng(0))).training
    tuner = Tuner(training, rng=np.random.default_rng(1))
    assert tuner.choose([TmdbVotes(), Ease(10.0)]) == Ease(10.0)
    assert parameters(Ease(10.0)) == {"regularisation": 10.0, "weigh": "graded"}


def test_every_baseline_has_a_grid_without_repetition() -> None:
    for name, grid in BASELINES.items():
        assert len(set(grid)) == len(grid) > (name != "popular"), name
