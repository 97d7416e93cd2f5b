"""How sure a mean over people is: the bootstrap (Efron 1979), always from the same seed."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]

SEED = 20_260_101
DRAWS = 2_000
COVERAGE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval it lies in."""

    mean: float
    low: float
    high: float


def mean(values: Floats) -> Estimate:
    """The mean over people who have a value; NaN where nobody has."""
    there = values[~np.isnan(values)]
    return _between(float(there.mean()), _drawn_means(there)) if len(there) else _nothing()


def advantage(ours: Floats, theirs: Floats) -> Estimate:
    """By which share the mean of ours is above theirs, of the same people: resampled in pairs."""
    there = ~(np.isnan(ours) | np.isnan(theirs))
    if not there.any() or not theirs[there].any():
        return _nothing()
    drawn = _drawn_means(np.stack([ours[there], theirs[there]], axis=1))
    # Where the other found nothing in a draw, no share can be told.
    told = drawn[drawn[:, 1] > 0]
    return _between(float(ours[there].mean() / theirs[there].mean() - 1), told[:, 0] / told[:, 1] - 1)


def average_by_person(people: NDArray[np.intp], values: Floats) -> Floats:
    """One value a person, of those who were asked about more than once; in the order of their numbers."""
    _, places = np.unique(people, return_inverse=True)
    there = ~np.isnan(values)
    counts = np.bincount(places[there], minlength=places.max(initial=-1) + 1)
    sums = np.bincount(places[there], values[there], minlength=len(counts))
    return np.asarray(sums / np.where(counts > 0, counts, np.nan))


def _drawn_means(values: Floats) -> Floats:
    """Means of so many samples with replacement; shape (DRAWS,) and whatever follows people."""
    return np.asarray(_drawn(len(values)) @ values / len(values))


@lru_cache(maxsize=4)
def _drawn(people: int) -> Floats:
    """How often each of so many people is in each sample, shape (DRAWS, people)."""
    rng = np.random.default_rng(SEED)
    return rng.multinomial(people, np.full(people, 1 / people), size=DRAWS).astype(np.float64)


def _between(value: float, drawn: Floats) -> Estimate:
    low, high = np.quantile(drawn, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]) if len(drawn) else (np.nan, np.nan)
    return Estimate(value, float(low), float(high))


def _nothing() -> Estimate:
    return Estimate(float("nan"), float("nan"), float("nan"))
