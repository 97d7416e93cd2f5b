"""How good lists are: every list is ranked among all films, never among a sample.

An undefined figure is NaN, a miss is 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.ml.film_table import Bools, Indexes

Floats = NDArray[np.float64]

SHOWN = 10
"""Films of a list that coverage, novelty, diversity and the like look at."""
POPULAR = 100
"""How many of the best-known films are counted as what everyone shows anyway."""


def hits(lists: Indexes, wanted: Sequence[Indexes]) -> Bools:
    """Which films of the lists are to be found: shape of the lists (people, length)."""
    return np.array([np.isin(row, films) for row, films in zip(lists, wanted, strict=True)]).reshape(lists.shape)


def ndcg(hit: Bools, wanted: NDArray[np.int64], *, at: int) -> Floats:
    """Normalised discounted cumulative gain with binary relevance (Jarvelin & Kekalainen 2002), shape (people,).

    sum(1 / log2(rank + 1) of the hits) over the same sum of the best list possible.
    """
    discount = 1.0 / np.log2(np.arange(2, at + 2))
    gain = hit[:, :at] @ discount[: hit.shape[1]]
    ideal = np.concatenate([[np.nan], np.cumsum(discount)])[np.minimum(wanted, at)]
    return np.asarray(gain / ideal)


def recall(hit: Bools, wanted: NDArray[np.int64], *, at: int) -> Floats:
    """The share of what is to be found that is among the first, shape (people,)."""
    return np.asarray(hit[:, :at].sum(axis=1) / np.where(wanted > 0, wanted, np.nan))


def reciprocal_rank(hit: Bools, wanted: NDArray[np.int64]) -> Floats:
    """1 / rank of the first hit, 0 where the list holds none, shape (people,)."""
    first = hit.argmax(axis=1) + 1
    return np.where(wanted > 0, np.where(hit.any(axis=1), 1.0 / first, 0.0), np.nan)


def novelty(lists: Indexes, raters: NDArray[np.int64], people: int) -> Floats:
    """The mean of -log2(share of people who know the film) over a list, shape (people,), in bits.

    One person more is counted for every film, so that a film nobody knows is as new as can be told from so many.
    """
    surprise = -np.log2((raters + 1) / (people + 1))
    return _mean_over_lists(surprise, lists)


def similarity(lists: Indexes, units: NDArray[np.float32]) -> Floats:
    """The mean cosine over the pairs of a list, shape (people,); 1 - this is the diversity of the list."""
    found = np.full(len(lists), np.nan)
    for number, row in enumerate(lists):
        vectors = units[row[row >= 0]].astype(np.float64)
        if len(vectors) > 1:
            cosines = vectors @ vectors.T
            found[number] = (cosines.sum() - np.trace(cosines)) / (len(vectors) * (len(vectors) - 1))
    return found


def popular_share(lists: Indexes, raters: NDArray[np.int64]) -> Floats:
    """The share of a list that the POPULAR best-known films take, shape (people,)."""
    is_popular = np.zeros(len(raters))
    is_popular[np.argsort(-raters, kind="stable")[:POPULAR]] = 1.0
    return _mean_over_lists(is_popular, lists)


def coverage(lists: Indexes, films: int) -> float:
    """The share of the catalogue that stands in any list."""
    return float(len(np.unique(lists[lists >= 0])) / films) if films else float("nan")


def gini(lists: Indexes, films: int) -> float:
    """How unequally films are shown: 0 where all are shown as often, towards 1 where few take all."""
    shown = np.sort(np.bincount(lists[lists >= 0], minlength=films))
    if not shown.sum():
        return float("nan")
    ranks = np.arange(1, films + 1)
    return float(((2 * ranks - films - 1) * shown).sum() / (films * shown.sum()))


def per_person(
    lists: Indexes,
    wanted: Sequence[Indexes],
    *,
    raters: NDArray[np.int64],
    people: int,
    units: NDArray[np.float32],
) -> dict[str, Floats]:
    """Every metric that is a mean over people, by name, each of shape (people,).

    `raters` and `people` are those of the training.
    """
    hit, counts = hits(lists, wanted), np.array([len(films) for films in wanted], dtype=np.int64)
    shown = lists[:, :SHOWN]
    alike = similarity(shown, units)
    return {
        "ndcg@10": ndcg(hit, counts, at=10),
        "ndcg@100": ndcg(hit, counts, at=100),
        "recall@20": recall(hit, counts, at=20),
        "recall@50": recall(hit, counts, at=50),
        "mrr": reciprocal_rank(hit, counts),
        "novelty": novelty(shown, raters, people),
        "diversity": 1 - alike,
        "similarity": alike,
        "popular share": popular_share(shown, raters),
    }


def _mean_over_lists(values: NDArray[Any], lists: Indexes) -> Floats:
    """NaN for an empty list."""
    there = lists >= 0
    counts = there.sum(axis=1)
    return np.asarray(np.where(there, values[lists], 0.0).sum(axis=1) / np.where(counts > 0, counts, np.nan))
