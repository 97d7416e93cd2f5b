"""Intervals hold what they promise, and are the same every time."""

import numpy as np
import pytest

from backend.evaluation.intervals import advantage, average_by_person, mean


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(5, 2, size=400)
    found = mean(values)
    assert found.mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - half, abs=half / 5)
    assert found.high == pytest.approx(values.mean() + half, abs=half / 5)
    assert found == mean(values)


def test_people_without_a_value_do_not_count() -> None:
    assert mean(np.array([1.0, np.nan, 3.0])).mean == 2
    assert np.isnan(mean(np.array([np.nan])).mean)


def test_pairs_tell_a_small_difference_from_large_ones_between_people() -> None:
    theirs = np.random.default_rng(2).uniform(0, 1, size=200)
    found = advantage(theirs * 1.1, theirs)
    assert (found.low, found.mean, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert np.isnan(advantage(theirs, np.zeros(200)).mean)


def test_someone_asked_twice_counts_once() -> None:
    people, values = np.array([7, 3, 7, 9]), np.array([1.0, 5.0, 3.0, np.nan])
    assert average_by_person(people, values) == pytest.approx([5.0, 2.0, np.nan], nan_ok=True)
    assert len(average_by_person(np.array([], dtype=np.intp), np.array([]))) == 0
