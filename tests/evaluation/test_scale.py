"""Replicated people are like the originals, and no film is another."""

import numpy as np
import pytest

from backend.evaluation.scale import replicate
from tests.evaluation.world import dataset_of


def test_the_original_is_its_own_replica() -> None:
    dataset = dataset_of()
    assert replicate(dataset, people=1, films=1, rng=np.random.default_rng(0)) is dataset


def test_copies_do_nearly_what_the_originals_did() -> None:
    dataset = dataset_of()
    larger = replicate(dataset, people=8, films=2, rng=np.random.default_rng(0))
    films = larger.catalogue.ids
    assert len(larger.people) == 8 * len(dataset.people)
    assert (np.diff(films) > 0).all()
    assert len(films) == len(larger.catalogue.embeddings) == 2 * len(dataset.catalogue)
    assert larger.interactions == pytest.approx(8 * dataset.interactions, rel=0.1)
    assert all(set(acts["movie_id"]) <= set(films) for acts in larger.people)
    assert all(len(np.unique(acts["movie_id"])) == len(acts) for acts in larger.people)
    originals = np.isin(larger.people[0]["movie_id"] % (films[59] + 1), dataset.people[0]["movie_id"])
    assert originals.mean() > 0.6
