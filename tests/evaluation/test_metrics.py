"""The metrics are those of NIST's trec_eval, and what that has not is computed by hand."""

import numpy as np
import pytest
import pytrec_eval

from backend.evaluation.metrics import (
    coverage,
    gini,
    hits,
    ndcg,
    novelty,
    per_person,
    popular_share,
    recall,
    reciprocal_rank,
    similarity,
)
from backend.ml.film_table import Indexes

FILMS = 150


def lists_and_wanted(people: int) -> tuple[Indexes, list[Indexes]]:
    rng = np.random.default_rng(4)
    lists = np.array([rng.permutation(FILMS)[:100] for _ in range(people)])
    return lists, [rng.choice(FILMS, size=rng.integers(1, 40), replace=False) for _ in range(people)]


def test_accuracy_is_what_trec_eval_says() -> None:
    lists, wanted = lists_and_wanted(50)
    judged = {str(n): {str(film): 1 for film in films} for n, films in enumerate(wanted)}
    ranked = {str(n): {str(film): 100.0 - place for place, film in enumerate(row)} for n, row in enumerate(lists)}
    measures = {"ndcg_cut.10,100", "recall.20,50", "recip_rank"}
    theirs = pytrec_eval.RelevanceEvaluator(judged, measures).evaluate(ranked)
    raters = np.ones(FILMS, dtype=np.int64)
    ours = per_person(lists, wanted, raters=raters, people=1, units=np.eye(FILMS, dtype=np.float32))
    names = {
        "ndcg@10": "ndcg_cut_10",
        "ndcg@100": "ndcg_cut_100",
        "recall@20": "recall_20",
        "recall@50": "recall_50",
        "mrr": "recip_rank",
    }
    for name, theirs_name in names.items():
        assert ours[name] == pytest.approx([theirs[str(n)][theirs_name] for n in range(50)], abs=1e-9), name


def test_a_miss_is_zero_and_what_is_undefined_is_nan() -> None:
    lists = np.array([[1, 2, -1], [1, 2, -1]])
    hit, counts = hits(lists, [np.array([0]), np.array([], dtype=np.intp)]), np.array([1, 0])
    for found in (ndcg(hit, counts, at=10), recall(hit, counts, at=2), reciprocal_rank(hit, counts)):
        assert found[0] == 0
        assert np.isnan(found[1])


def test_nobody_asked_is_no_error() -> None:
    empty = np.empty((0, 100), dtype=np.intp)
    found = per_person(empty, [], raters=np.ones(3, dtype=np.int64), people=2, units=np.eye(3, dtype=np.float32))
    assert {len(values) for values in found.values()} == {0}


def test_the_end_of_a_list_is_no_hit() -> None:
    assert not hits(np.array([[-1, -1]]), [np.array([0, FILMS - 1])]).any()


def test_the_figures_of_lists_by_hand() -> None:
    lists = np.array([[0, 1], [0, 2]])
    raters = np.array([3, 1, 0, 0])
    assert novelty(lists, raters, 3) == pytest.approx([(0 + 1) / 2, (0 + 2) / 2])
    assert coverage(lists, 4) == 3 / 4
    assert gini(np.array([[0, 1], [2, 3]]), 4) == pytest.approx(0)
    assert gini(np.array([[0], [0]]), 4) == pytest.approx(3 / 4)
    units = np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0]], dtype=np.float32)
    assert similarity(lists, units) == pytest.approx([0.0, 0.6])
    assert np.isnan(similarity(np.array([[0, -1]]), units)).all()


def test_the_popular_share_counts_the_hundred_best_known() -> None:
    raters = np.arange(300)
    assert popular_share(np.array([[299, 200, 199, -1]]), raters) == pytest.approx([2 / 3])
