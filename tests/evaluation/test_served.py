"""The served method is judged by what it serves."""

import numpy as np

from backend.evaluation.learner import ServedLearner
from backend.evaluation.served import Served
from backend.ml.fold_in import opinions
from backend.ml.item_factors import loudness
from tests.evaluation.world import acts_of, dataset_of


def test_who_likes_even_films_is_served_even_films_and_none_that_they_know() -> None:
    lists = Served(ServedLearner()).fit(dataset_of()).rank([acts_of({10: 5.0, 50: 4.0, 90: 1.0})])
    assert (lists[0, :10] % 2 == 0).all()
    assert not {0, 4, 8} & set(lists[0])
    assert (lists[0] >= 0).sum() == 57


def test_the_served_list_is_the_linear_form_that_is_served() -> None:
    dataset = dataset_of()
    ranker = Served(ServedLearner()).fit(dataset)
    given = acts_of({10: 5.0, 40: 4.0})
    factors = ranker.factors
    lists = ranker.rank([given])
    films, weights = opinions(given)
    gained = weights @ factors.p[dataset.catalogue.places(films)]
    person = factors.start + gained * loudness(float(np.abs(weights).sum()))
    scores = factors.q @ person
    scores[[0, 3]] = -np.inf
    assert lists[0, :20].tolist() == np.argsort(-scores, kind="stable")[:20].tolist()


def test_diversity_is_that_of_the_service() -> None:
    ranker = Served(ServedLearner()).fit(dataset_of())
    given = [acts_of({10: 5.0, 50: 4.0})]
    plain, diverse = ranker.rank(given), ranker.diverse(0.9).rank(given)
    assert plain[0, 0] == diverse[0, 0]
    assert plain[0].tolist() != diverse[0].tolist()
    assert sorted(plain[0]) == sorted(diverse[0])


def test_films_that_are_left_out_still_say_what_a_person_likes() -> None:
    dataset = dataset_of()
    among = np.arange(len(dataset.catalogue)) >= 30
    lists = Served(ServedLearner()).fit(dataset).rank([acts_of({10: 5.0, 50: 5.0})], among=among)
    shown = lists[0][lists[0] >= 0]
    assert shown.min() >= 30
    assert (shown[:8] % 2 == 0).all()


def test_a_pack_takes_the_place_of_a_crowd() -> None:
    crowd, learner = dataset_of(), ServedLearner()
    home = crowd.of([acts_of({10: 5.0, 50: 4.0})])
    lists = Served(learner, pack=learner.pack(crowd)).fit(home).rank(home.people)
    assert (lists[0, :10] % 2 == 0).all()
