"""From what people did to what they think of films: as `taste_statements.Taste.of_person`, in numpy."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.feedback.weights import (
    BASE_WEIGHTS,
    EVIDENCE,
    FORGOTTEN,
    HALF_LIFE_DAYS,
    KINDS,
    RATING_EVIDENCE,
    RATING_WEIGHTS,
    TASTE_KINDS,
    between,
)
from backend.ml.people_store import KIND_NUMBER, Acts

SECONDS_A_DAY = 86_400

Opinions = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Films by id, ascending, and the weight of each: both shape (films,)."""
Weigh = Callable[[Acts], Opinions]
"""A way to tell them; what it tells may be in any order."""

_IS_TASTE = np.array([kind in TASTE_KINDS for kind in KINDS])
_BASE = np.array([BASE_WEIGHTS.get(kind, np.nan) for kind in KINDS])
_EVIDENCE = np.array([EVIDENCE.get(kind, np.nan) for kind in KINDS])
_ALPHABETICAL = np.argsort(np.argsort(np.array(KINDS)))


def opinions(acts: Acts) -> Opinions:
    """What a person is folded in by: per film the newest taste, or else the newest other act, weighed.

    The weights are those of `interaction_weight`.
    """
    newest = _newest(acts)
    if not len(newest):
        return newest["movie_id"], np.empty(0, dtype=np.float32)
    half_lives = (newest["at"].max() - newest["at"]) / SECONDS_A_DAY / HALF_LIFE_DAYS
    weights = _weights(newest, _BASE, RATING_WEIGHTS) * 0.5 ** np.minimum(half_lives, FORGOTTEN)
    return newest["movie_id"], weights.astype(np.float32)


def evidence(acts: Acts) -> Opinions:
    """What the training learns from the same acts: never negative, however old; films without any are left out."""
    newest = _newest(acts)
    weights = _weights(newest, _EVIDENCE, RATING_EVIDENCE)
    told = weights > 0
    return newest["movie_id"][told], weights[told].astype(np.float32)


def opinion_matrix(people: Sequence[Acts], ids: NDArray[np.int32], *, weigh: Weigh) -> csr_array:
    """Shape (people, films): the weight of what each person thinks of each film; 0 for unknown.

    Args:
        ids: of all films, ascending.
    """
    weighed = [weigh(acts) for acts in people]
    begins = np.concatenate([[0], np.cumsum([len(films) for films, _ in weighed])]).astype(np.int64)
    films = np.concatenate([np.empty(0, dtype=np.int32), *(films for films, _ in weighed)])
    weights = np.concatenate([np.empty(0, dtype=np.float32), *(weights for _, weights in weighed)])
    matrix = csr_array((weights, np.searchsorted(ids, films), begins), shape=(len(people), len(ids)))
    matrix.sort_indices()
    return matrix


def support_of(matrix: csr_array) -> NDArray[np.int64]:
    """By film: how many people think something of it."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.int64)


def active_people(matrix: csr_array) -> NDArray[np.intp]:
    """The rows of those who think something of any film."""
    return np.flatnonzero(np.diff(matrix.indptr))


def films_done(acts: Acts, *, not_counting: tuple[str, ...]) -> NDArray[np.int32]:
    """The films of a person's acts, but for acts of these kinds."""
    counting = ~np.isin(acts["kind"], [KIND_NUMBER[kind] for kind in KINDS if kind in not_counting])
    return np.unique(acts["movie_id"][counting])


def _newest(acts: Acts) -> Acts:
    order = np.lexsort((_ALPHABETICAL[acts["kind"]], -acts["at"], ~_IS_TASTE[acts["kind"]], acts["movie_id"]))
    ordered = acts[order]
    _, first = np.unique(ordered["movie_id"], return_index=True)
    return ordered[first]


def _weights(acts: Acts, by_kind: NDArray[np.float64], by_value: tuple[float, ...]) -> NDArray[np.float64]:
    ratings = between(by_value, acts["value"])
    return np.where(acts["kind"] == KIND_NUMBER["rating"], ratings, by_kind[acts["kind"]])
